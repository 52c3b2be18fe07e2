"""A thread for one reading, for what may hang: a folder on a network mount that does not answer.

Law: it takes no thread of the shared pool and does not hold up the exit of the daemon. What it does NOT do: end by
itself; who starts a second one beside a first that hangs has two.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def in_thread(read: Callable[[], T]) -> asyncio.Future[T]:
    """Run `read` in a daemon thread: one that never ends takes no shared thread and does not hold up the exit."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if error is not None:
            found.set_exception(error)
        elif result is not None:
            found.set_result(result)

    def work() -> None:
        result, error = None, None
        try:
            result = read()
        except BaseException as broken:
            error = broken
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, name="read one stack", daemon=True).start()
    return found
