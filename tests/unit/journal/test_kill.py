"""SIGKILL at any moment: no acknowledged override is lost, and of the history only an end that nobody was promised."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from stackd.runtime.database import Bounds
from tests.unit.journal.world import opened

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.unit.journal.world import *

async def main(place):
    journal = Journal(place, Bounds(100_000, 1e9), Clock())
    await journal.load()
    seq = 0
    for number in range(1_000_000):
        for _ in range(number % 7):
            seq += 1
            journal.append_history(entry(seq))
            journal.save_crash(bundle(seq))
        kind = OverrideKind.HELD if number % 3 else OverrideKind.STOPPED
        one = Override(f"s{number % 50}", None, kind, str(number), "", 1.0)
        assert await (journal.put_override(one) if number % 5 else journal.delete_override(one))
        print(number, seq, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


def overrides_after(last: int) -> dict[tuple[str, str], str]:
    """What the first `last` + 1 rounds of the writer leave."""
    left: dict[tuple[str, str], str] = {}
    for number in range(last + 1):
        key = (f"s{number % 50}", "held" if number % 3 else "stopped")
        if number % 5:
            left[key] = str(number)
        else:
            left.pop(key, None)
    return left


@pytest.mark.parametrize("seed", range(8))
async def test_a_kill_at_any_moment_loses_no_override_and_leaves_no_hole_in_the_history(
    tmp_path: Path, seed: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    chance, told = random.Random(seed), b""
    for _ in range(chance.randrange(1, 60)):
        told = await process.stdout.readline()
    await asyncio.sleep(chance.random() * 0.02)  # Anywhere within a round; whatever it meets, the laws hold.
    process.kill()
    rest = (await process.stdout.read()).splitlines(keepends=True)
    assert await process.wait() == -signal.SIGKILL
    number, seq = map(int, [line for line in (told, *rest) if line.endswith(b"\n")][-1].split())

    async with opened(tmp_path, bounds=Bounds(100_000, 1e9)) as (journal, contents):
        kept = {(str(one.stack), one.kind.value): one.reason for one in contents.overrides}
        # The round after the last acknowledged one may have reached the disk, too.
        assert kept in (overrides_after(number), overrides_after(number + 1), overrides_after(number + 2))
        assert [one.seq for one in contents.history] == list(range(1, len(contents.history) + 1))
        assert len(contents.history) >= seq
        assert contents.next_seq > len(contents.history) + 900, "numbers that were told and lost are not used again"
        assert journal.healthy
