"""A reload: what is said of the configuration, in the log and to systemd."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stackd.config import Config
from stackd.daemon import read_config
from stackd.runtime.outage import Outage
from stackd.runtime.reloading import Reloading
from stackd.runtime.sdnotify import Notifier

ENV = {"HOME": "/home/dev"}


class Systemd(Notifier):
    """Keeps what is said to the service manager."""

    def __init__(self) -> None:
        super().__init__({})
        self.said: list[str] = []
        self.answered = asyncio.Event()

    def reloading(self) -> None:
        self.said.append("reloading")

    def ready(self, status: str = "") -> None:
        self.said.append(status)
        self.answered.set()


class Reloads:
    """A daemon's reloads, its configuration file and its service manager."""

    def __init__(self, file: Path, read: Callable[[], Config] | None = None) -> None:
        self.file = file
        self.systemd = Systemd()
        self.scans = 0
        reread = read or self._reread
        self.reloading = Reloading(reread(), reread, self._rescan, self.systemd, Outage(lambda: 0.0).note)

    def _reread(self) -> Config:
        return read_config(self.file, {}, ENV)

    async def _rescan(self) -> None:
        self.scans += 1

    async def reload(self) -> str:
        """SIGHUP; the status line that follows."""
        self.systemd.answered.clear()
        self.reloading.ask()
        async with asyncio.timeout(10):
            await self.systemd.answered.wait()
        return self.systemd.said[-1]


@asynccontextmanager
async def running(tmp_path: Path, text: str = "") -> AsyncIterator[Reloads]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    made = Reloads(file)
    task = asyncio.create_task(made.reloading.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_changed_settings_are_named_and_wait_for_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, '[notify]\nwebhook = "https://x/hunter2"\n') as daemon:
        daemon.file.write_text("[limits]\nstarts = 2\n")
        status = await daemon.reload()
        assert status == "keeping stacks; a restart is needed for changed settings: limits.starts, notify.webhook"
        assert "(systemctl --user restart stackd): limits.starts, notify.webhook" in caplog.text
        assert "hunter2" not in caplog.text
        assert await daemon.reload() == status
        daemon.file.write_text('[notify]\nwebhook = "https://x/hunter2"\n')
        assert await daemon.reload() == "keeping stacks"
        assert daemon.scans == 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[limits]\nstarts = = 2\n", "config.toml:2:10: not valid TOML: Invalid value"),
        ("[limits]\n  startz = 2\n", "config.toml:2:3: unknown key limits.startz; did you mean starts?"),
        ("\n[limits]\nstarts = 0\n", "config.toml:3:1: limits.starts: found 0"),
    ],
)
async def test_a_broken_configuration_is_refused_by_its_place_and_the_daemon_runs_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, wanted: str
) -> None:
    async with running(tmp_path) as daemon:
        daemon.file.write_text(text)
        status = await daemon.reload()
        assert status.startswith("keeping stacks; configuration refused: ")
        assert wanted in status
        assert [wanted in record.message for record in caplog.records if record.levelno == logging.ERROR] == [True]
        assert daemon.scans == 1
        daemon.file.write_text("")
        assert await daemon.reload() == "keeping stacks"


async def test_a_configuration_file_that_is_gone_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        daemon.file.write_bytes(b"\xff")
        assert f"{daemon.file}: cannot be read" in await daemon.reload()
        daemon.file.unlink()
        assert f"{daemon.file}: there is no such file" in await daemon.reload()


async def test_reloads_that_come_while_one_is_answered_are_answered_together(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        for _ in range(5):
            daemon.reloading.ask()
        await daemon.reload()
        assert daemon.scans == 1
        assert daemon.systemd.said == ["reloading", "keeping stacks"]
