"""A reload (SIGHUP, `systemctl --user reload stackd`): all stack files are read again, and so is the configuration.

Law: nothing of a new configuration is applied while the daemon runs: what differs is named, and takes effect with the
next start. A configuration that cannot be used is refused by file, line and column, and the daemon runs on.
What this module does NOT do: read the file (`read` does), or start anything again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from stackd.config import Config, changed_settings
from stackd.errors import ConfigError
from stackd.runtime.sdnotify import Notifier

log = logging.getLogger(__name__)

RESTART = "systemctl --user restart stackd"


class Reloading:
    """Answers reloads one after the other; those that come while one is answered are answered together.

    `read` gives the configuration as a start would read it now, and may raise ConfigError; `rescan` reads stack files;
    `note` adds what is to be said of the configuration to the status line, and returns the whole line.
    """

    def __init__(
        self, running: Config, read: Callable[[], Config], rescan: Callable[[], Awaitable[None]], notifier: Notifier,
        note: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._running = running
        self._read = read
        self._rescan = rescan
        self._notifier = notifier
        self._note = note
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload soon."""
        self._asked.set()

    async def run(self) -> None:
        """Answer reloads, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._notifier.reloading()
            note = await self._look_at_configuration()
            await self._rescan()
            self._notifier.ready(self._note(note))

    async def _look_at_configuration(self) -> str:
        """Say in the log what a restart would change; what to add to the status line."""
        try:
            new = await asyncio.to_thread(self._read)
        except ConfigError as error:
            log.error("reload: the configuration is refused, the one in force stays: %s", error)
            return f"configuration refused: {error}"
        changed = ", ".join(changed_settings(self._running, new))
        if not changed:
            log.info("reload: stack files are read again; no setting differs from the one in force")
            return ""
        log.warning("reload: changed settings take effect with a restart (%s): %s", RESTART, changed)
        return f"a restart is needed for changed settings: {changed}"
