"""What a test's containers run: the same in a real busybox and in the fake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.observed import Health
from stackd.translate.node import Json
from tests.fake import Behaviour


@dataclass(frozen=True, slots=True)
class Program:
    """A command, and what the fake is told of it. `host` is added to HostConfig."""

    command: tuple[str, ...]
    behaviour: Behaviour = Behaviour()
    host: Mapping[str, Json] = field(default_factory=dict)
    probed: bool = False


def shell(script: str) -> tuple[str, ...]:
    """A busybox shell script."""
    return ("sh", "-c", script)


_LOOP = "while :; do sleep 0.05; done"
POLITE = Program(shell(f"trap 'exit 0' TERM; {_LOOP}"))
STUBBORN = Program(shell(f"trap '' TERM; {_LOOP}"), Behaviour(ignores_term=True))
EXITS = Program(shell("sleep 0.2; exit 3"), Behaviour(exits_after=0.2, exit_code=3))
GREEDY = Program(
    shell("sleep 0.2; exec tail /dev/zero"),
    Behaviour(exits_after=0.2, exit_code=137, oom=True),
    {"Memory": 16 << 20, "MemorySwap": 16 << 20},
)
NO_SUCH_PROGRAM = Program(
    ("/no/such/program",),
    Behaviour(start_error=EngineError(EngineErrorKind.FAILED, "no such file or directory", status=400)),
)
PROBED = Program(POLITE.command, Behaviour(health=((0.2, Health.HEALTHY),)), probed=True)
