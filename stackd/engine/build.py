"""Building images: `docker buildx build` where it is installed, else the engine's classic builder over its API.

Law: which builder was used is logged. 60 s (Deadlines.silence) without a line of output is a time-out; a cancelled
build ends its process, and the packing of its context, which may take Deadlines.packing. Build args reach buildx by its
environment, which other users cannot read; its command line they can. `# syntax=` lines, secrets and RUN --mount are
buildx's affair: the classic builder's own error says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackd.engine.base import Progress
from stackd.engine.context import Halt, Packed, inspect, pack
from stackd.engine.failures import refused
from stackd.engine.wire import Ask, Stream, Wire
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.spec import BuildSpec
from stackd.translate.node import Json

_LOG = logging.getLogger(__name__)
_STEP = re.compile(r"(?:^Step |\[(?:[^\]]* )?)(\d+)/(\d+)")
_LAST_LINES = 12
_LINE_LIMIT = 1 << 20
_PROXY = re.compile(r"(?:https?|ftp|all|no)_proxy", re.IGNORECASE)
_READ_BY_TOOLS = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|TMPDIR|TZ|TERM|LANG|NO_COLOR|SSL_CERT_(?:FILE|DIR)"
    r"|GO(?:DEBUG|MAXPROCS|GC|MEMLIMIT|TRACEBACK)|(?:LC|LD|XDG|BUILDX|BUILDKIT|OTEL)_.*"
    r"|DOCKER_(?:HOST|CONTEXT|CONFIG|API_VERSION|CERT_PATH|TLS|TLS_VERIFY|CONTENT_TRUST.*|DEFAULT_PLATFORM|BUILDKIT"
    r"|HIDE_LEGACY_COMMANDS|CUSTOM_HEADERS|AUTH_CONFIG|CLI_.*)"
    r"|GIT_(?:DIR|WORK_TREE|INDEX_FILE|SSH.*|CONFIG.*|ASKPASS|EXEC_PATH|TRACE.*)|SSH_(?:AUTH_SOCK|AGENT_PID|ASKPASS)"
)
"""Names of variables that change the Docker CLI, buildx, or a program that they start, besides the proxies."""
_SECRET = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, and how to tell of it. `silence` and `packing` (Deadlines) in seconds."""

    build: BuildSpec
    tag: str
    labels: Mapping[str, str]
    progress: Callable[[Progress], None]
    silence: float
    packing: float = 600.0

    @property
    def doing(self) -> str:
        """For errors."""
        return f"build {self.tag}"

    def tell(self, line: str) -> None:
        """Pass a line of the builder's output on."""
        step = _STEP.search(line)
        percent = min(99.0, 100.0 * (int(step[1]) - 1) / int(step[2])) if step and int(step[2]) else None
        self.progress(Progress(line, percent))


async def build_image(wire: Wire, request: BuildRequest) -> None:
    """Build and tag. Raises EngineError: failed (with the builder's last lines), timeout, unavailable."""
    if await has_buildx():
        _LOG.info("building %s with docker buildx", request.tag)
        await _with_buildx(wire, request)
    else:
        _LOG.info("building %s with the engine's classic builder (docker buildx is not installed)", request.tag)
        await _classic(wire, request)


async def has_buildx() -> bool:
    """Whether the Docker CLI and its buildx plugin can be run."""
    try:
        process = await asyncio.create_subprocess_exec("docker", "buildx", "version", stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return False
    try:
        return await process.wait() == 0
    finally:
        await _end(process)


async def _with_buildx(wire: Wire, request: BuildRequest) -> None:
    build = request.build
    await asyncio.to_thread(inspect, build)
    args = passed_args(request)
    environ = os.environ | args.environment
    environ |= {"DOCKER_HOST": f"unix://{wire.socket}", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    environ.pop("DOCKER_CONTEXT", None)
    try:
        process = await asyncio.create_subprocess_exec(
            *buildx_command(request, args.words),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env=environ,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
    except OSError as error:
        message = f"{request.doing}: docker buildx cannot be started: {error.strerror}"
        raise EngineError(EngineErrorKind.FAILED, message) from error
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        await _feed(process, build.dockerfile_inline.encode())
        while (line := await _line(process, request)) is not None:
            if line:
                last.append(line)
                request.tell(line)
        code = await process.wait()
    finally:
        await _end(process)
    if code != 0:
        raise refused("\n".join(last) or f"docker buildx ended with {code}", request.doing)


@dataclass(frozen=True, slots=True)
class PassedArgs:
    """Build args on their way to buildx: words of its command line, and variables of its environment."""

    words: list[str]
    environment: dict[str, str]


def passed_args(request: BuildRequest) -> PassedArgs:
    """`{"A": "1"}` -> `--build-arg A` and `A=1` in the environment, where buildx itself looks for a value.

    A name that the builder's own programs read (`PATH`, `DOCKER_*`) must not reach their environment: its value stays
    on the command line. Such a name with a secret is refused (EngineError `failed`). A proxy with a password goes by
    the environment all the same: buildx then uses it for itself too.
    """
    words, environment = [], {}
    for name, value in request.build.args.items():
        if value is None:
            words += ["--build-arg", name]
            continue
        if "\0" in name + value:
            raise _unfit(request, name, "it holds a NUL character")
        name, _, value = f"{name}={value}".partition("=")
        proxy = _PROXY.fullmatch(name) is not None
        open_to_all = proxy or _READ_BY_TOOLS.fullmatch(name) is not None
        if open_to_all and not (proxy and "@" in value):
            if not proxy and (_SECRET.search(name) or ("@" in value and "://" in value)):
                raise _unfit(request, name, "docker itself reads a variable of this name; rename it")
            words += ["--build-arg", f"{name}={value}"]
        else:
            words += ["--build-arg", name]
            environment[name] = value
    return PassedArgs(words, environment)


def _unfit(request: BuildRequest, name: str, why: str) -> EngineError:
    text = f"{request.doing}: the build arg {name} cannot be given to docker buildx in private: {why}"
    return EngineError(EngineErrorKind.FAILED, text)


def buildx_command(request: BuildRequest, args: Sequence[str]) -> list[str]:
    """The command line; `args` are the words of `passed_args`."""
    build = request.build
    command = ["docker", "buildx", "build", "--load", "--progress=plain", f"--tag={request.tag}"]
    dockerfile = "-" if build.dockerfile_inline else str(Path(build.context) / build.dockerfile)
    command.append(f"--file={dockerfile}")
    command += args
    for name, text in _labels(request).items():
        command += ["--label", f"{name}={text}"]
    if build.target:
        command.append(f"--target={build.target}")
    return [*command, build.context]


def _labels(request: BuildRequest) -> dict[str, str]:
    return {**request.build.labels, **request.labels}


async def _feed(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(text)
        await process.stdin.drain()
    process.stdin.close()


async def _line(process: asyncio.subprocess.Process, request: BuildRequest) -> str | None:
    """The next line of output, None at its end."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(request.silence):
            raw = await process.stdout.readline()
    except TimeoutError as error:
        message = f"{request.doing}: no output for {request.silence:g} s"
        raise EngineError(EngineErrorKind.TIMEOUT, message) from error
    except ValueError:
        return ""
    return raw.decode(errors="replace").rstrip() if raw else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it stays behind."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()


async def _packed(request: BuildRequest) -> Packed:
    """The context as a tar. A thread cannot be cancelled, so it is called off."""
    halt = Halt.after(request.packing)
    try:
        return await asyncio.to_thread(pack, request.build, halt)
    except asyncio.CancelledError:
        halt.called.set()
        raise


async def _classic(wire: Wire, request: BuildRequest) -> None:
    packed = await _packed(request)
    try:
        ask = Ask(
            "POST",
            "build",
            request.doing,
            classic_params(request, packed.dockerfile),
            payload=packed.file,
            headers={"Content-Type": "application/x-tar"},
        )
        async with wire.stream(ask, request.silence) as stream:
            await _follow(stream, request)
    finally:
        packed.file.close()


def classic_params(request: BuildRequest, dockerfile: str) -> dict[str, Json]:
    """The parameters of `POST /build`; arguments without a value are taken from our environment, as the CLI does."""
    args = {name: os.environ.get(name) if value is None else value for name, value in request.build.args.items()}
    told: dict[str, Json] = {name: value for name, value in args.items() if value is not None}
    labels: dict[str, Json] = dict(_labels(request))
    params: dict[str, Json] = {
        "t": request.tag,
        "dockerfile": dockerfile,
        "buildargs": told,
        "labels": labels,
        "rm": True,
        "forcerm": True,
        "version": "1",
    }
    if request.build.target:
        params["target"] = request.build.target
    return params


async def _follow(stream: Stream, request: BuildRequest) -> None:
    while (line := await stream.document(request.silence)) is not None:
        if error := line.text("error") or line["errorDetail"].text("message"):
            raise refused(error, request.doing)
        if text := (line.text("stream") or line.text("status")).strip():
            request.tell(text)
