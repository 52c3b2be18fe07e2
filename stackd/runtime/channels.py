"""The ways by which a message leaves the daemon: a command, a webhook; each queued, limited in rate, and retried.

Law: handing over never waits and never fails. What the queue or the limit does not take is counted and told as one
"and N more". A try ends after 10 s, a failed one is repeated three times, then it is given up and said. A webhook's
address is a secret (user, path and query may hold one): only its host is ever named.
What this module does NOT do: decide what is told (see `notify`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from yarl import URL

TIMEOUT = 10.0
"""Seconds that one try may take."""
RETRIES = (5.0, 30.0, 120.0)
"""Seconds before each further try."""
QUEUE = 200
"""Messages that wait for a channel, at most."""
MORE = "more"
_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Variables that systemd meant for the daemon alone."""


class DeliveryError(Exception):
    """A message was not delivered; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is delivered. `event`: crash_loop, hold, recovery, storm, or `more` for `count` that were not told singly.

    `at` is wall clock; `stack` and `service` are "" where it concerns none; `incident` is the same for a message and
    for the one about its end.
    """

    event: str
    at: float
    stack: str
    service: str
    text: str
    instance: str
    incident: str = ""
    count: int = 1

    def facts(self) -> dict[str, str | int | None]:
        """As JSON has it."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "event": self.event,
            "at": at,
            "stack": self.stack or None,
            "service": self.service or None,
            "message": self.text,
            "instance": self.instance,
            "incident": self.incident,
            "count": self.count,
        }


Send = Callable[[Message], Awaitable[None]]
"""Delivers a message once. Raises DeliveryError."""
Done = Callable[[Message, str], None]
"""Hears of a message that a channel is done with; the text says why it was given up, "" = it was not."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` messages of a channel within `window` seconds."""

    most: int = 30
    window: float = 600.0


@dataclass(slots=True)
class Channel:
    """One way out. `clock` gives monotonic seconds."""

    name: str
    send: Send
    limit: Limit
    clock: Callable[[], float]
    done: Done
    _queue: deque[Message] = field(default_factory=deque)
    _untold: Counter[str] = field(default_factory=Counter)
    _last: Message | None = None
    _sent: deque[float] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: Message) -> None:
        """Hand a message over; never waits."""
        if len(self._queue) < QUEUE:
            self._queue.append(message)
        else:
            self._count(message)
        self._news.set()

    def _count(self, message: Message) -> None:
        """Not told singly."""
        self._untold[message.event] += 1
        self._last = message
        self.done(message, "")

    async def run(self) -> None:
        """Deliver until cancelled, in order."""
        while True:
            message = await self._next()
            self.done(message, await self._tried(message))

    async def _next(self) -> Message:
        while True:
            self._news.clear()
            pause = self._pause()
            if not pause and (found := self._summary() or (self._queue.popleft() if self._queue else None)):
                self._sent.append(self.clock())
                return found
            while self._queue:
                self._count(self._queue.popleft())
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if self._untold else None):
                    await self._news.wait()

    def _pause(self) -> float:
        """Seconds until the limit lets another message through; 0 = now."""
        now = self.clock()
        while self._sent and self._sent[0] + self.limit.window <= now:
            self._sent.popleft()
        return self._sent[0] + self.limit.window - now if len(self._sent) >= self.limit.most else 0.0

    def _summary(self) -> Message | None:
        """What was not told singly, as one message; None = everything was."""
        last, untold = self._last, self._untold
        if last is None or not untold:
            return None
        self._last, self._untold = None, Counter()
        count = untold.total()
        kinds = ", ".join(f"{number} {event}" for event, number in sorted(untold.items()))
        return Message(MORE, last.at, "", "", f"and {count} more: {kinds}", last.instance, count=count)

    async def _tried(self, message: Message) -> str:
        """Deliver with retries; why it was given up, "" = it was delivered."""
        problem = ""
        for rest in (*RETRIES, None):
            try:
                await self.send(message)
            except DeliveryError as error:
                problem = str(error)
            else:
                return ""
            if rest is not None:
                await asyncio.sleep(rest)
        return problem


@dataclass(frozen=True, slots=True)
class Command:
    """A program of the user's: the message as JSON on its standard input and as STACKD_ variables; no shell."""

    words: tuple[str, ...]
    environment: Mapping[str, str]

    async def send(self, message: Message) -> None:
        """Run it once. Raises DeliveryError when it cannot be run, fails, or takes too long (then it is killed)."""
        facts = message.facts()
        told = {f"STACKD_{key.upper()}": "" if value is None else str(value) for key, value in facts.items()}
        kept = {name: value for name, value in self.environment.items() if name not in _OWN}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                env=kept | told, start_new_session=True, cwd="/",
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise DeliveryError(f"{self.words[0]} cannot be run: {getattr(error, 'strerror', '') or error}") from error
        try:
            async with asyncio.timeout(TIMEOUT):
                await process.communicate(json.dumps(facts, ensure_ascii=False).encode() + b"\n")
        except TimeoutError:
            raise DeliveryError(f"{self.words[0]} has not ended after {TIMEOUT:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            raise DeliveryError(f"{self.words[0]} ended with {process.returncode}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes the message as a JSON body by POST. Redirections are not followed."""

    address: str = field(repr=False)

    async def send(self, message: Message) -> None:
        """Post it once. Raises DeliveryError when nobody answers in time, or not with 2xx."""
        url = URL(self.address)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
                session.post(url, json=message.facts(), allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise DeliveryError(f"{url.host} has not answered after {TIMEOUT:.0f} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise DeliveryError(f"{url.host} cannot be reached: {why}") from None
        if not 200 <= status < 300:
            raise DeliveryError(f"{url.host} answered {status}")
