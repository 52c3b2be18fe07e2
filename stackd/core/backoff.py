"""When to try again: curves, as pure functions. Sources: systemd, kubelet and the engine (supervision.md, Back-off).

Instants are monotonic seconds. Jitter is a hash of what is retried, so the same failure always waits the same time.
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
PULL = Curve(first=10.0, base=20.0, factor=2.0, most=300.0)
"""A pull or a build."""


def _noise(seed: str) -> float:
    """A number in [-1, 1] that depends on the seed alone."""
    digest = hashlib.blake2b(seed.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 0x7FFFFFFF - 1.0


def is_crash_looping(ledger: ServiceLedger, policy: RestartPolicy) -> bool:
    """Whether `crashloop_after` failures ever fell into one window since the last reset. Sticky until that reset."""
    times = [death.seen_at for death in ledger.deaths]
    span = policy.crashloop_after
    return any(late - early <= policy.crashloop_window for early, late in zip(times, times[span - 1 :], strict=False))


def next_start(stack: StackName, service: ServiceName, ledger: ServiceLedger, policy: RestartPolicy) -> float | None:
    """When a service that died is started again; None = never, its policy's attempts are used up."""
    if not ledger.deaths:
        return 0.0
    if policy.max_attempts is not None and ledger.attempts > policy.max_attempts:
        return None
    last = ledger.deaths[-1].seen_at
    seed = f"{stack}/{service}"
    if is_crash_looping(ledger, policy):
        return last + policy.slow_delay * (1 + policy.jitter * _noise(f"{seed}:slow:{ledger.attempts}"))
    curve = Curve(policy.first_delay, policy.base_delay, policy.factor, policy.max_delay, policy.jitter)
    return last + curve.delay(ledger.attempts, seed)


def next_call(failure: Failure) -> float | None:
    """When a failed engine call is tried again; None = not before its definition or the engine changes."""
    if failure.kind is EngineErrorKind.BAD_REQUEST and not failure.key.startswith(("start:", "pull:", "build:")):
        return None
    return failure.at + _curve_of(failure).delay(failure.count, failure.key)


def in_words(failure: Failure) -> str:
    """What went wrong, for a person: a taken port is named, the rest is the engine's own text."""
    taken = _TAKEN.search(failure.message)
    return f"port {taken[1]} of the host is taken" if taken is not None else failure.message


_TAKEN = re.compile(
    r"(?:Bind for|listen \w+|failed to bind host port(?: for)?) (\S+?):? .*already (?:allocated|in use)"
)


def _curve_of(failure: Failure) -> Curve:
    text = failure.message.lower()
    if failure.key.startswith(("pull:", "build:")):
        return PULL
    if "already allocated" in text or "address already in use" in text:
        return PORT
    return CALL
