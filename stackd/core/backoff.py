"""When to try again: curves, as pure functions. Sources: systemd, kubelet and the engine (supervision.md, Back-off).

Law: what a person or a disk must mend is tried every `slow_delay`, what mends itself sooner; nothing but a refused
payload is given up. Instants are monotonic seconds. Jitter is a hash of what is retried, so the same failure always
waits the same time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from stackd.errors import EngineErrorKind
from stackd.model.ids import ServiceName, StackName
from stackd.model.spec import RestartPolicy
from stackd.model.view import Failure, ServiceLedger


@dataclass(frozen=True, slots=True)
class Curve:
    """A back-off: `first` for the first failure, then `base` growing by `factor` up to `most`; seconds."""

    first: float
    base: float
    factor: float
    most: float
    jitter: float = 0.2

    def delay(self, attempt: int, seed: str) -> float:
        """How long to wait after the `attempt`th failure (from 1)."""
        grown = min(self.most, self.base * self.factor ** min(attempt - 2, 64))
        plain = self.first if attempt <= 1 else grown
        return plain * (1 + self.jitter * _noise(f"{seed}:{attempt}"))


CALL = Curve(first=1.0, base=2.0, factor=2.0, most=60.0)
"""A create, start, rename, remove or network call that went wrong."""
PORT = Curve(first=0.5, base=1.0, factor=1.5, most=5.0)
"""A published port is taken: a freed one sends no event, and asking is cheap."""
PORT_TRIES = 120
"""So many tries of that curve (ten minutes); whoever holds the port so long is asked for only every `slow_delay`."""
PULL = Curve(first=10.0, base=20.0, factor=2.0, most=300.0)
"""A pull or a build: the registry or the network is away."""
SLOW_DELAY = RestartPolicy().slow_delay
NOT_RUNNABLE = {126: "its command cannot be run", 127: "its command is not there"}
"""Exit codes of a shell, and of the engine, that no further try mends by itself."""


def _noise(seed: str) -> float:
    """A number in [-1, 1] that depends on the seed alone."""
    digest = hashlib.blake2b(seed.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 0x7FFFFFFF - 1.0


def is_crash_looping(ledger: ServiceLedger, policy: RestartPolicy) -> bool:
    """Whether `crashloop_after` failures ever fell into one window since the last reset. Sticky until that reset."""
    times = [death.seen_at for death in ledger.deaths]
    span = policy.crashloop_after
    return any(late - early <= policy.crashloop_window for early, late in zip(times, times[span - 1 :], strict=False))


def is_slow(ledger: ServiceLedger, policy: RestartPolicy) -> bool:
    """Whether a service that died is tried only every `slow_delay`: it crash loops, or its command cannot be run."""
    unrunnable = bool(ledger.deaths) and ledger.deaths[-1].exit_code in NOT_RUNNABLE
    return unrunnable or is_crash_looping(ledger, policy)


def next_start(stack: StackName, service: ServiceName, ledger: ServiceLedger, policy: RestartPolicy) -> float | None:
    """When a service that died is started again; None = never, its policy's attempts are used up."""
    if not ledger.deaths:
        return 0.0
    if policy.max_attempts is not None and ledger.attempts > policy.max_attempts:
        return None
    last = ledger.deaths[-1].seen_at
    seed = f"{stack}/{service}"
    if is_slow(ledger, policy):
        return last + policy.slow_delay * (1 + policy.jitter * _noise(f"{seed}:slow:{ledger.attempts}"))
    curve = Curve(policy.first_delay, policy.base_delay, policy.factor, policy.max_delay, policy.jitter)
    return last + curve.delay(ledger.attempts, seed)


def next_health_restart(ledger: ServiceLedger, policy: RestartPolicy, now: float) -> float | None:
    """When a service that has used up its health restarts may have another; None = it has not."""
    recent = [at for _, at in ledger.health_restarts if at > now - policy.unhealthy_window]
    if len(recent) < policy.unhealthy_limit:
        return None
    return recent[-policy.unhealthy_limit] + policy.unhealthy_window


def next_call(failure: Failure, slow_delay: float = SLOW_DELAY) -> float | None:
    """When a failed engine call is tried again; None = not before its definition or the engine changes."""
    text = failure.message.lower()
    if "already allocated" in text or "address already in use" in text:
        slow = failure.count > PORT_TRIES
        return failure.at + (slow_delay if slow else PORT.delay(failure.count, failure.key))
    fetches = failure.key.startswith(("pull:", "build:"))
    if (fetches and failure.kind in _ANSWERED) or _UNMENDED.search(text):
        return failure.at + slow_delay * (1 + CALL.jitter * _noise(f"{failure.key}:{failure.count}"))
    if failure.kind is EngineErrorKind.BAD_REQUEST and not fetches and not failure.key.startswith("start:"):
        return None
    return failure.at + (PULL if fetches else CALL).delay(failure.count, failure.key)


_ANSWERED = (EngineErrorKind.MISSING, EngineErrorKind.DENIED)
"""The registry has answered: there is no such image, or not for us. Asking again soon changes nothing."""
_UNMENDED = re.compile(
    r"bind source path does not exist|error (?:while )?mounting|failed to mount|no such device"
    r"|\bexec(?:utable)?\b.*(?:not found|no such file or directory|permission denied|is a directory)"
)
"""A mount or a program is not there: no event tells when it is."""


def in_words(failure: Failure) -> str:
    """What went wrong, for a person: a taken port is named, the rest is the engine's own text."""
    taken = _TAKEN.search(failure.message)
    return f"port {taken[1]} of the host is taken" if taken is not None else failure.message


_TAKEN = re.compile(
    r"(?:Bind for|listen \w+|failed to bind host port(?: for)?) (\S+?):? .*already (?:allocated|in use)"
)


def cause_in_words(ledger: ServiceLedger, policy: RestartPolicy) -> str:
    """Why a service that died is not running, for a person: how it ended, which try comes next, and why so late."""
    last = ledger.deaths[-1]
    text = last.detail
    if policy.max_attempts is not None:
        text += f"; restart {ledger.attempts} of {policy.max_attempts} comes next"
    if is_crash_looping(ledger, policy):
        span = duration(policy.crashloop_window)
        text += f"; {policy.crashloop_after} failures within {span}: tried every {duration(policy.slow_delay)}"
    elif last.exit_code in NOT_RUNNABLE:
        text += f": {NOT_RUNNABLE[last.exit_code]}; tried every {duration(policy.slow_delay)}"
    return text


def duration(seconds: float) -> str:
    """A length of time for a person: `10 min`, `90 s`."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g} s"
