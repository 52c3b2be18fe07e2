"""The composition root: builds the objects, owns every task, handles signals, ends in order.

The life of the process: configuration, state directory, socket; then source, engine contact, one task per stack and the
API; on SIGTERM first the API, then jobs (calls that were sent may finish), then everything else. Containers run on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from stackd.api.listening import Listener, inherited, listen
from stackd.api.server import Server
from stackd.compose.redact import Redaction
from stackd.config import Config, default_file, parse, with_options
from stackd.engine.base import Engine
from stackd.engine.docker import DockerEngine
from stackd.engine.locate import locate
from stackd.errors import ConfigError, StateError
from stackd.model.ids import InstanceName, StackName
from stackd.model.view import DesiredStack, HostFacts, Ledger, Now
from stackd.runtime.applied import AppliedRevisions, pin
from stackd.runtime.channels import Limit
from stackd.runtime.commands import Commands, Parts
from stackd.runtime.crashes import Crashes
from stackd.runtime.database import Bounds
from stackd.runtime.descriptors import raise_open_files
from stackd.runtime.digest_key import digest_key
from stackd.runtime.handing import hand_over
from stackd.runtime.history import History
from stackd.runtime.host import HostWatch
from stackd.runtime.intake import Inlets, Intake
from stackd.runtime.intents import Intents
from stackd.runtime.jobs import Jobs, Tools
from stackd.runtime.journal import Journal, JournalContents
from stackd.runtime.limiter import Limiter, Limits
from stackd.runtime.log import setup
from stackd.runtime.notify import Address, Notify, ways
from stackd.runtime.observer import Observer
from stackd.runtime.past import read_pins
from stackd.runtime.reconciler import Loop
from stackd.runtime.reloading import Reloading
from stackd.runtime.sdnotify import Notifier, listen_fds
from stackd.runtime.stacks import Stacks
from stackd.runtime.store import Store
from stackd.source.scan import SourceSettings
from stackd.source.source import Source, SourceOptions

DRAIN = 5.0
"""Seconds that calls already sent have to finish at the end."""
HANDOVER = 5.0
"""Seconds for giving the containers to the engine's own restart policy."""
LAG = 5.0
LATE = 30.0
"""Beyond these the watchdog is not fed: the event loop hung, or a stack's task did not wake (architecture.md)."""
MISCONFIGURED = 6
"""The exit code after which systemd/stackd.service does not try again (as `stackd.cli.exits` has it)."""


def clock() -> Now:
    """Both clocks, now."""
    return Now(time.monotonic(), time.time())


class Daemon:
    """Everything that runs. Made inside a running event loop."""

    def __init__(self, config: Config, engine: Engine, journal: Journal, contents: JournalContents) -> None:
        self._config = config
        self._journal = journal
        self._engine = engine
        host = HostFacts(
            InstanceName(config.instance), tuple(map(str, config.stacks)),
            on_external_stop_hold=config.supervision.on_external_stop == "hold",
            on_external_remove_hold=config.supervision.on_external_remove == "hold",
        )  # fmt: skip
        self.store = Store(host, time.monotonic, self._begin)
        kept = config.history.max_events
        self.history = History(time.time, journal.append_history, contents.history, contents.next_seq, kept)
        self.intents = Intents(self.store, journal, self.history, clock)
        self.observer = Observer(engine, self.store, time.monotonic)
        limits = config.limits
        limiter = Limiter(Limits(limits.starts, limits.creates, limits.stops, limits.pulls, limits.builds))
        self.jobs = Jobs(Tools(engine, self.store, self.observer, limiter, journal, self.history, clock))
        options = _source_options(config)
        self.applied = AppliedRevisions(journal, self.history, options.settings, clock)
        self.crashes = Crashes(engine, journal, self.history, clock, self.applied.revived)
        self.host = HostWatch(self.store, self.history, clock)
        witnesses = (self.crashes.look, self.applied.look, self.host.note, self.observer.attend)
        parts = (self.store, self.jobs, self.intents, journal, self.history, clock, witnesses, self.host.check)
        self.stacks = Stacks(Loop(*parts, partings=(self.crashes.forget, self.host.forget)))
        supervision = config.supervision
        self._handing_over = supervision.handover
        self.intake = Intake(Inlets(engine, self.store, self.observer, self.intents, clock, supervision.hold_for))
        self.source = Source(options, self, self._running, journal, contents.revisions)
        self._restore(contents)
        self.control = Commands(
            Parts(
                engine, self.store, self.intents, self.jobs, self.history, journal, self.intake, self.source, clock,
            )
        )  # fmt: skip

        self.notify = Notify(
            self.store, self.history, journal, clock, _address(config), self.control.headline, contents.meta
        )

    def _begin(self, stack: StackName) -> None:
        self.stacks.begin(stack)

    def _restore(self, contents: JournalContents) -> None:
        overrides = read_pins(
            self.store, self._journal, self.history, contents.overrides, partial(pin, settings=self.source.settings)
        )
        names = {one.stack for one in contents.overrides} | {one.stack for one in contents.requests}
        names |= {*contents.ledgers, *contents.condemned}
        for name in sorted(names):
            self.store.restore(
                name, contents.ledgers.get(name, Ledger()), contents.condemned.get(name, {}),
                tuple(one for one in overrides if one.stack == name),
                tuple(one for one in contents.requests if one.stack == name),
            )  # fmt: skip
        self.intents.restore(contents.requests, contents.operations)

    # The publisher of `source`

    def publish(self, desired: DesiredStack) -> None:
        """A stack is new, or its desired side has changed."""
        self.store.set_desired(desired)
        self.observer.look(desired.name)

    def withdraw(self, stack: StackName) -> None:
        """A stack is gone, and so are its containers."""
        self.store.drop_desired(stack)

    def frozen(self, reason: str) -> None:
        """Why no stack may be removed now; "" = removal is allowed again."""
        self.store.update_host(frozen=reason)

    def loaded(self) -> None:
        """Everything has been read once."""
        self.store.update_host(sources_loaded=True)

    def _running(self) -> Mapping[StackName, str] | None:
        """Which stacks have containers or networks of ours, with their working_dir; None = not seen yet."""
        found: dict[StackName, str] = {}
        for name in self.store.names():
            seen = self.store.view(name).observed
            if seen is None:
                return None
            mine = self.store.host.instance
            folders = [one.working_dir for one in seen.containers if one.instance in ("", mine) and not one.oneoff]
            if folders or any(network.instance == mine for network in seen.networks):
                found[name] = folders[0] if folders else ""
        return found

    # Running

    async def run(self, listener: Listener, notifier: Notifier, reread: Callable[[], Config]) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP reads all files again, the configuration by `reread`."""
        server, stop = Server(self.control), asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        async with asyncio.TaskGroup() as tasks:
            reloading = Reloading(self._config, reread, self.source.rescan, notifier, self.intake.outage.note)
            loop.add_signal_handler(signal.SIGHUP, reloading.ask)
            running = [
                tasks.create_task(self.source.run(), name="source"),
                tasks.create_task(self.intake.run(), name="intake"),
                tasks.create_task(self.host.run(), name="host"),
                tasks.create_task(self._watchdog(notifier), name="watchdog"),
                tasks.create_task(self.notify.run(), name="notify"),
                tasks.create_task(reloading.run(), name="reloads"),
            ]
            await server.start(listener)
            notifier.ready(self.intake.outage.status)
            self.intake.outage.announce_to(notifier.status)
            await stop.wait()
            notifier.stopping()
            await server.stop()
            await self.jobs.drain(DRAIN)
            await self.stacks.stop()
            await self.crashes.stop()
            await self.applied.stop()
            if self._handing_over:
                await hand_over(self._engine, self.store, HANDOVER)
            for task in running:
                task.cancel()
        await self.observer.stop()
        await self.intake.stop()
        await self._engine.close()

    async def _watchdog(self, notifier: Notifier) -> None:
        """Feed the watchdog while the loop turns and no stack oversleeps; a hung engine never starves it."""
        if notifier.watchdog is None:
            return
        beat = notifier.watchdog / 4
        due = time.monotonic() + beat
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if now - due < LAG and not self.stacks.late(now, LATE):
                notifier.alive()
            due = now + beat


def _address(config: Config) -> Address:
    notify = config.notify
    limit = Limit(notify.max_messages, notify.window)
    return Address(ways(notify.command, notify.webhook, os.environ), frozenset(notify.on), config.instance, limit)


def _source_options(config: Config) -> SourceOptions:
    env = {name: os.environ[name] for name in config.pass_env if name in os.environ}
    default = config.supervision.policy()
    redaction = Redaction(digest_key(config.state_dir))
    settings = SourceSettings(config.stacks, env, config.env_files, default, config.limits.replicas, redaction)
    return SourceOptions(settings, config.watch, config.freeze)


def read_config(file: Path | None, options: Mapping[str, object], env: Mapping[str, str]) -> Config:
    """The configuration file (a missing default one is empty) with command-line options over it. Raises ConfigError."""
    path = file or default_file(env)
    try:
        text = path.read_text()
    except FileNotFoundError:
        if file is not None:
            raise ConfigError(f"{path}: there is no such file") from None
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return with_options(parse(text, str(path), env), options)


async def serve(config: Config, reread: Callable[[], Config]) -> None:
    """Run the daemon; `reread` gives the configuration anew, for a reload.

    Raises ConfigError or StateError before anything has been touched.
    """
    notifier = Notifier(os.environ)
    listener = _listener(config)
    kept = config.history
    bounds = Bounds(kept.max_events, kept.max_age, kept.max_crashes, max_revisions=kept.max_revisions)
    journal = Journal(config.state_dir, bounds, clock)
    try:
        contents = await journal.load()
    except BaseException:
        listener.close()
        raise
    engine = DockerEngine(config.engine or locate(os.environ))
    daemon = Daemon(config, engine, journal, contents)
    try:
        await daemon.run(listener, notifier, reread)
    finally:
        await journal.close(daemon.history.last_seq)


def _listener(config: Config) -> Listener:
    handed = listen_fds(os.environ, os.getpid())
    if handed:
        return inherited(socket.socket(fileno=handed[0]))
    return listen(config.socket)


def _make(root: Path) -> None:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"the stacks directory {root} cannot be made: {error.strerror}") from error


def main(file: Path | None, options: Mapping[str, object]) -> int:
    """`stackd run`: the exit code. 0 = ended by a signal, 1 = it could not start, 6 = the configuration is wrong."""
    reread = partial(read_config, file, options, os.environ)
    try:
        config = reread()
    except ConfigError as error:
        sys.stderr.write(f"stackd: {error}\n")
        return MISCONFIGURED
    raise_open_files()
    try:
        setup(config.log.level, as_json=config.log.format == "json", env=os.environ)
        for root in config.stacks:
            if options.get("stacks") is None:
                _make(root)
        asyncio.run(serve(config, reread))
    except (ConfigError, StateError) as error:
        sys.stderr.write(f"stackd: {error}\n")
        return 1
    return 0
