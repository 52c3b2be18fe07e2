"""The watcher on real files and the real watchfiles: what is noticed, what is not, and what a broken watch costs."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stackd.source.discover import list_root
from stackd.source.reading import Files
from stackd.source.watch import Prints, Target, Watcher, trail


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Disk:
    """A target, its watcher, and how often it was looked at."""

    def __init__(self, *files: Path, roots: tuple[Path, ...] = ()) -> None:
        self.target = Target(frozenset(roots), frozenset(files))
        self.looks = 0
        self.watcher = Watcher(self.prints, step=0.02, degraded_rescan=0.2)

    def prints(self, target: Target) -> Prints:
        files = Files(os.geteuid())
        listed = {root: str(list_root(root, files)) for root in target.roots}
        self.looks += 1
        return {path: files.fingerprint(path) for path in target.files} | listed

    async def looked(self, more_than: int) -> None:
        await until(lambda: self.looks > more_than)

    async def noticed(self) -> None:
        """Wait for a change and take it as known."""
        async with asyncio.timeout(20):
            await self.watcher.changed()
        before = self.looks
        self.watcher.aim(self.target, self.prints(self.target))
        await self.looked(before + 1)  # The look that follows every aim.
        assert not self.watcher._changed.is_set()

    def silent(self) -> bool:
        return not self.watcher._changed.is_set()


@asynccontextmanager
async def watched(*files: Path, roots: tuple[Path, ...] = ()) -> AsyncIterator[Disk]:
    disk = Disk(*files, roots=roots)
    task = asyncio.create_task(disk.watcher.run())
    try:
        await disk.looked(0)
        before = disk.looks
        disk.watcher.aim(disk.target, disk.prints(disk.target))
        await disk.looked(before + 2)  # The watch on the target stands, and has been compared.
        disk.watcher._changed.clear()
        yield disk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def replace(path: Path, text: str) -> None:
    """As careful editors do: a new file renamed over the old one."""
    new = path.with_name(path.name + "~new")
    new.write_text(text)
    new.replace(path)


async def test_every_way_of_saving_is_noticed_again_and_again(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("0")
    async with watched(file) as disk:
        for number in range(2):
            file.write_text(f"plain {number}")
            await disk.noticed()
            replace(file, f"renamed over {number}")
            await disk.noticed()
            file.rename(tmp_path / "compose.yaml~")  # As vim does: away, written anew, the backup removed.
            file.write_text(f"vim {number}")
            (tmp_path / "compose.yaml~").unlink()
            await disk.noticed()


async def test_touch_chmod_and_an_equal_text_are_looked_at_and_are_no_change(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("a")
    async with watched(file) as disk:
        acts: list[Callable[[], None]] = [file.touch, lambda: file.chmod(0o600), lambda: replace(file, "a")]
        for act in acts:
            before = disk.looks
            act()
            await disk.looked(before)
            assert disk.silent()


async def test_editors_temporary_files_are_not_even_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("a")
    async with watched(file) as disk:
        before = disk.looks
        for name in (".compose.yaml.swp", "4913", "compose.yaml~", "#compose.yaml#"):
            (tmp_path / name).write_text("x")
            (tmp_path / name).unlink()
        file.write_text("b")
        await disk.looked(before)
        await disk.noticed()
        assert disk.looks <= before + 4  # One for the write (two if it was seen half done), and those of `noticed`.


async def test_an_absent_folder_and_file_are_noticed_when_they_come(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "env"
    async with watched(file) as disk:
        before = disk.looks
        file.parent.mkdir(parents=True)
        await disk.looked(before)
        file.write_text("x")
        await disk.noticed()


async def test_a_folder_removed_and_made_again_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    file = folder / "compose.yaml"
    file.write_text("1")
    async with watched(file) as disk:
        shutil.rmtree(folder)
        await disk.noticed()
        folder.mkdir()
        file.write_text("2")
        await disk.noticed()
        file.write_text("3")
        await disk.noticed()


async def test_a_folder_moved_away_and_replaced_is_followed(tmp_path: Path) -> None:
    folder, other = tmp_path / "stack", tmp_path / "other"
    for place, text in ((folder, "1"), (other, "2")):
        place.mkdir()
        (place / "compose.yaml").write_text(text)
    async with watched(folder / "compose.yaml") as disk:
        folder.rename(tmp_path / "old")
        other.rename(folder)
        await disk.noticed()
        (folder / "compose.yaml").write_text("3")
        await disk.noticed()


async def test_a_configmap_like_swap_of_links_is_noticed_twice(tmp_path: Path) -> None:
    for number in "123":
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "compose.yaml").write_text(number)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "compose.yaml").symlink_to("..data/compose.yaml")
    async with watched(tmp_path / "compose.yaml") as disk:
        for number in "23":
            (tmp_path / "..tmp").symlink_to(f"v{number}")
            (tmp_path / "..tmp").rename(tmp_path / "..data")
            await disk.noticed()
        (tmp_path / "v3" / "compose.yaml").write_text("4")
        await disk.noticed()


async def test_what_a_link_points_to_and_the_link_itself_are_watched(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yaml").write_text(name)
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "blog").symlink_to(tmp_path / "a")
    async with watched(stacks / "blog" / "compose.yaml") as disk:
        (tmp_path / "a" / "compose.yaml").write_text("new")
        await disk.noticed()
        (stacks / "next").symlink_to(tmp_path / "b")
        (stacks / "next").rename(stacks / "blog")
        await disk.noticed()
        (tmp_path / "b" / "compose.yaml").write_text("new too")
        await disk.noticed()


async def test_a_dangling_link_is_noticed_when_its_folder_comes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("there")
    async with watched(tmp_path / "link" / "compose.yaml") as disk:
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / "compose.yaml").write_text("x")
        await disk.noticed()


async def test_a_link_that_points_to_itself_harms_nothing(tmp_path: Path) -> None:
    loop, file = tmp_path / "loop", tmp_path / "compose.yaml"
    loop.symlink_to("loop")
    async with watched(loop / "x", file) as disk:
        file.write_text("x")
        await disk.noticed()


async def test_entries_of_a_stacks_directory_come_and_go(tmp_path: Path) -> None:
    async with watched(roots=(tmp_path,)) as disk:
        (tmp_path / "blog").mkdir()
        await disk.noticed()
        (tmp_path / "blog").rename(tmp_path / "shop")
        await disk.noticed()
        (tmp_path / "shop").rmdir()
        await disk.noticed()


async def test_a_stacks_directory_that_does_not_exist_yet_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "config" / "stacks"
    async with watched(roots=(root,)) as disk:
        root.mkdir(parents=True)
        await disk.noticed()
        (root / "blog").mkdir()
        await disk.noticed()


async def test_a_file_that_becomes_writable_for_all_is_a_change_and_so_is_its_cure(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("a")
    async with watched(file) as disk:
        file.chmod(0o666)
        await disk.noticed()
        file.chmod(0o644)
        await disk.noticed()


async def test_a_new_target_is_watched_without_a_gap(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "f", tmp_path / "b" / "f"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("1")
    async with watched(first) as disk:
        disk.target = Target(files=frozenset((second,)))
        known = disk.prints(disk.target)
        second.write_text("2")  # After the reading, before the watch.
        disk.watcher.aim(disk.target, known)
        await disk.noticed()
        second.write_text("3")
        await disk.noticed()


async def test_a_name_that_is_no_text_ends_the_watch_and_a_new_one_is_made(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("a")
    async with watched(file) as disk:
        (Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))).write_text("x")
        file.write_text("b")
        await disk.noticed()
        await until(lambda: not disk.watcher.problem)
        file.write_text("c")
        await disk.noticed()


async def test_without_any_watch_changes_are_found_by_time_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr("stackd.source.watch.awatch", refused)
    file = tmp_path / "compose.yaml"
    file.write_text("a")
    async with watched(file) as disk:
        assert "watch limit reached" in disk.watcher.problem
        assert "every 0 s" in disk.watcher.problem
        file.write_text("b")
        async with asyncio.timeout(20):
            await disk.watcher.changed()
        monkeypatch.undo()
        await until(lambda: not disk.watcher.problem)


@pytest.mark.parametrize("name", ["a\0b", "a\0b/c", "\udcff/c", "a" * 300, "/".join(["a"] * 3000)])
def test_a_path_that_no_file_can_have_is_watched_as_an_absent_one(tmp_path: Path, name: str) -> None:
    """A definition may name it: `env_file: "a\\0b"`."""
    laid = trail(Target(frozenset(), frozenset((tmp_path / name, tmp_path / "compose.yaml"))))
    assert laid.matters(tmp_path / "compose.yaml")


async def test_a_fault_while_comparing_does_not_end_the_watch(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("0")
    async with watched(file) as disk:
        faults = 3
        real = disk.prints

        def failing(target: Target) -> Prints:
            nonlocal faults
            if faults:
                faults -= 1
                raise TypeError("object of type 'NoneType' has no len()")
            return real(target)

        disk.watcher._fingerprints = failing
        replace(file, "1")
        await disk.noticed()
        assert not faults
