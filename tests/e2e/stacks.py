"""Small stacks of busybox for tests that need no real server."""

from __future__ import annotations

from collections.abc import Sequence

FOREVER = """sh -c "trap 'exit 0' TERM; sleep 1000000 & wait\""""
"""A command that runs until it is told to end, and then ends at once."""


def forever(*names: str, extra: Sequence[str] = ()) -> str:
    """A compose file with services that run until they are told to end; `extra` are lines for each of them."""
    lines = ["services:"]
    for name in names:
        lines += [f"  {name}:", "    image: busybox", f"    command: {FOREVER}", *(f"    {line}" for line in extra)]
    return "\n".join(lines) + "\n"
