"""The story: up, curl, edit, crash, broken file, stop and start, and a daemon killed in between.

Law: every line that begins with `$` was run as it stands (with `stackd` and the socket as the session's); each chapter
looks for itself whether what it tells has happened, and the first one that finds otherwise ends the story.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bed.api import free_port
from tests.e2e import world as worlds
from tests.e2e.engine import Container
from tests.e2e.webapp import SERVICES, ask, copied
from tests.e2e.world import EXAMPLES, Daemon, Json, Stack, World, until

BROKEN = "  web: [\n"


@dataclass(slots=True)
class Narrator:
    """Prints the transcript and keeps the time of each chapter."""

    began: float = field(default_factory=time.monotonic)
    chapters: int = 0

    def chapter(self, title: str) -> None:
        """The next chapter."""
        self.chapters += 1
        self.say(f"\n== {self.chapters}. {title}   ({time.monotonic() - self.began:.1f} s)")

    def say(self, text: str) -> None:
        """A line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def command(self, words: str, output: str) -> None:
        """A command and what it printed."""
        self.say(f"$ {words}")
        self.say("\n".join(f"  {line}" for line in output.rstrip().splitlines()))


@dataclass(frozen=True, slots=True)
class Session:
    """What the chapters share."""

    narrator: Narrator
    daemon: Daemon
    stack: Stack
    port: int

    def stackd(self, *words: str) -> str:
        """Run a command of the CLI and show it."""
        printed = self.daemon.cli(*words)
        self.narrator.command(f"stackd {' '.join(words)}", printed)
        return printed

    def curl(self) -> dict[str, Json]:
        """Ask the web app and show it."""
        url = f"http://127.0.0.1:{self.port}/"
        if shutil.which("curl"):
            done = subprocess.run(["curl", "-s", url], capture_output=True, text=True, timeout=20, check=False)
            self.narrator.command(f"curl -s {url}", done.stdout)
            body = json.loads(done.stdout) if done.returncode == 0 else None
        else:
            body = ask(self.port)
            self.narrator.command(f"GET {url}", json.dumps(body))
        assert isinstance(body, dict), "the web app does not answer"
        return body

    def started(self) -> dict[str, str]:
        """Since when each service runs."""
        return {one.service: one.started for one in self.stack.containers()}

    def timed(self, look: Callable[[], object], what: str) -> float:
        """Wait for something; returns the seconds it took."""
        began = time.monotonic()
        until(look, what)
        return time.monotonic() - began

    def expect(self, good: object, what: str) -> None:
        """Say what was found to be so; ends the story when it is not."""
        assert good, f"not so: {what}"
        self.narrator.say(f"  ok: {what}")


def tell(host: str) -> int:
    """Tell the story on an engine; returns 0 when all went as it should."""
    narrator = Narrator()
    narrator.say(f"stackd on {host}")
    with worlds.world(host, "demo", quiet=True) as world:
        daemon = world.daemon(start=False)
        try:
            _chapters(world, daemon, narrator)
        except Exception as error:  # the seam of the demo: whatever it was, say it, and clean up
            narrator.say(f"\nFAILED: {error}\n--- the daemon's log\n{daemon.tail()}")
            return 1
        narrator.say("\nTaking everything away again.")
    narrator.say(f"The whole story took {time.monotonic() - narrator.began:.1f} s.")
    return 0


def _chapters(world: World, daemon: Daemon, narrator: Narrator) -> None:
    session = _up(world, daemon, narrator)
    for chapter in (_edit, _crash, _mistake, _stop, _killed):
        chapter(session)


def _up(world: World, daemon: Daemon, narrator: Narrator) -> Session:
    narrator.chapter("A saved file becomes running containers")
    daemon.start()
    port, source = free_port(), world.folder / "webapp"
    copied(EXAMPLES / "webapp", source)
    (source / ".env").write_text(f"WEB_PORT={port}\nPOSTGRES_PORT={free_port()}\n", encoding="utf-8")
    began = time.monotonic()
    stack = world.stack(daemon, "webapp", source)
    session = Session(narrator, daemon, stack, port)
    narrator.say(f"$ cp -r examples/webapp {stack.folder}")
    stack.running(*SERVICES, seconds=180)
    stack.settled()
    narrator.say(f"  all four run, in dependency order, after {time.monotonic() - began:.1f} s")
    session.stackd("status", stack.name)
    answer = session.curl()
    session.expect({"postgres", "redis", "memcached"} <= set(answer), "it answers with data from all three servers")
    path = f"http://stackd/v1/stacks/{stack.name}/services/redis"
    narrator.command(f'curl --unix-socket "$(stackd socket)" {path}', stack.service("redis").text)
    return session


def _edit(session: Session) -> None:
    session.narrator.chapter("An edit replaces what it is about, and nothing else")
    before = session.started()
    session.stack.edit("GREETING: hello", "GREETING: good morning")
    session.narrator.say("$ sed -i 's/GREETING: hello/GREETING: good morning/' compose.yaml")
    seconds = session.timed(lambda: (ask(session.port) or {}).get("greeting") == "good morning", "the new greeting")
    session.curl()
    session.stack.running(*SERVICES)
    session.stack.settled()
    after = session.started()
    kept = [name for name in SERVICES if before[name] == after[name]]
    session.expect(
        kept == ["postgres", "redis", "memcached"], f"web was replaced in {seconds:.1f} s, the others run on"
    )


def _crash(session: Session) -> None:
    session.narrator.chapter("What crashes is restarted, and what depends on it")
    redis = session.stack.one("redis")
    before, seen = session.started(), session.daemon.events()[-1]["seq"]
    _kill(session, redis)
    seconds = session.timed(lambda: session.stack.one("redis").started != redis.started, "redis started again")
    session.timed(lambda: session.stack.one("web").started != before["web"], "web restarted")
    session.stack.running(*SERVICES)
    session.stackd("events", session.stack.name, "--type", "container", "--from", str(seen))
    session.expect("exited 137" in session.stack.messages(), f"redis ran again after {seconds:.2f} s, then web")
    session.curl()


def _kill(session: Session, redis: Container) -> None:
    try:
        session.stack.engine.kill(redis)
        session.narrator.say(f"$ kill -9 {redis.pid}   # redis")
    except PermissionError:
        session.stack.engine.docker("kill", redis.id)
        session.narrator.say(f"$ docker kill {redis.name}")


def _mistake(session: Session) -> None:
    session.narrator.chapter("A mistake in the file stops nothing")
    before = session.started()
    text = (session.stack.folder / "compose.yaml").read_text(encoding="utf-8")
    session.stack.write(text.replace("  web:\n", BROKEN))
    session.narrator.say("$ sed -i 's/^  web:$/  web: [/' compose.yaml")
    until(lambda: session.stack.status().at("diagnostics"), "the mistake found")
    printed = session.stackd("status", session.stack.name)
    session.expect("compose.yaml:" in printed and "error" in printed, "file, line and column are shown")
    session.curl()
    session.stack.write(text)
    until(lambda: not session.stack.status().at("diagnostics"), "the mistake mended")
    session.stack.settled()
    session.expect(session.started() == before, "nothing was stopped or started")


def _stop(session: Session) -> None:
    session.narrator.chapter("What you stop stays stopped, until you start it")
    session.stackd("stop", session.stack.name, "web")
    session.expect(ask(session.port) is None, "the web app is down")
    session.stackd("ps", session.stack.name)
    session.stackd("start", session.stack.name, "web")
    session.stack.running(*SERVICES)
    session.curl()


def _killed(session: Session) -> None:
    session.narrator.chapter("The daemon may be killed at any time")
    session.stack.settled()
    before = session.started()
    assert session.daemon.process is not None
    session.narrator.say(f"$ kill -9 {session.daemon.process.pid}   # stackd itself, then start it again")
    session.daemon.restart(signal.SIGKILL)
    session.stack.settled()
    session.expect(session.started() == before, "no container was stopped, started or made twice")
