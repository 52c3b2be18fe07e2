"""The state directory, or a file in it, is removed or replaced while the daemon runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stackd.errors import StateError
from stackd.model.override import OverrideKind
from stackd.runtime import writer as writer_module
from tests.unit.journal.world import BLOG, bundle, entry, ledger, opened, override, read, until

HELD = override(OverrideKind.HELD)


async def test_a_state_directory_that_was_removed_is_made_again_with_all_that_it_held(tmp_path: Path) -> None:
    place = tmp_path / "state"
    async with opened(place) as (journal, _):
        assert await journal.put_override(override())
        journal.save_ledger(BLOG, ledger(90.0))
        journal.append_history(entry(1))
        journal.save_crash(bundle(journal.next_crash()))
        assert await journal.flush(5)
        shutil.rmtree(place)
        assert await journal.put_override(HELD), "what is answered as on the disk is on the disk"
        assert journal.problem == ""
        found = await journal.crash(1)
        assert found is not None and found.logs == ("out of luck",)
    assert (place.stat().st_mode & 0o777, (place / "stackd.db").stat().st_mode & 0o777) == (0o700, 0o600)
    assert sorted(one.name for one in place.iterdir()) == ["lock", "stackd.db"]
    kept = await read(place)
    assert set(kept.overrides) == {override(), HELD}
    assert kept.ledgers == {BLOG: ledger(90.0)}
    assert kept.history == (entry(1),)


async def test_a_removed_directory_is_noticed_though_nothing_is_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LOOK", 0.02)
    place = tmp_path / "state"
    async with opened(place) as (journal, _):
        assert await journal.put_override(override())
        shutil.rmtree(place)
        await until(lambda: (place / "stackd.db").exists() and (place / "lock").exists())
    assert (await read(place)).overrides == (override(),)


async def test_a_removed_database_file_alone_is_made_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        assert await journal.put_override(override())
        (tmp_path / "stackd.db").unlink()
        assert await journal.put_override(HELD)
    assert set((await read(tmp_path)).overrides) == {override(), HELD}


async def test_a_removed_lock_is_taken_again_before_the_next_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        (tmp_path / "lock").unlink()
        assert await journal.put_override(override())
        with pytest.raises(StateError, match="another stackd uses the state directory"):
            await read(tmp_path)


async def test_a_directory_that_cannot_be_made_again_is_a_problem_until_it_can(tmp_path: Path) -> None:
    place = tmp_path / "state"
    async with opened(place) as (journal, _):
        assert await journal.put_override(override())
        shutil.rmtree(place)
        place.write_text("in the way")
        assert not await journal.put_override(HELD)
        assert "is not a directory" in journal.problem
        place.unlink()
        assert await journal.flush(5)
        assert journal.problem == ""
    assert set((await read(place)).overrides) == {override(), HELD}


async def test_what_another_daemon_has_made_in_its_place_is_never_written_over(tmp_path: Path) -> None:
    place = tmp_path / "state"
    others = override(OverrideKind.PAUSED)
    async with opened(place) as (journal, _):
        assert await journal.put_override(override())
        shutil.rmtree(place)
        async with opened(place) as (other, contents):
            assert contents.overrides == ()
            assert await other.put_override(others)
            assert not await journal.put_override(HELD), "it is in memory only, and that is said"
            assert "another stackd uses the state directory" in journal.problem
        assert not await journal.flush(5)
        assert "replaced while stackd ran" in journal.problem
    assert (await read(place)).overrides == (others,)
