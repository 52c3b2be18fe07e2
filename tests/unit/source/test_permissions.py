"""Whose files are trusted, and what to type when one is not."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from stackd.source.acl import Acl
from stackd.source.permissions import Accounts, Found, Permissions, is_private_group, link_objection, objection

ME, OTHER, SHARED = 4242, 4343, 54321
FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR


def found(mode: int, uid: int = ME, gid: int = SHARED) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


def judged(mode: int, uid: int = ME, gid: int = SHARED, *, acl: Acl | None = None, path: str = "/s/f") -> str:
    return objection(path, Found(found(mode, uid, gid), acl), ME, Accounts())


@pytest.mark.parametrize(
    ("mode", "uid", "reason"),
    [
        (FILE | 0o644, ME, ""),
        (FILE | 0o600, 0, ""),
        (FILE | 0o644, OTHER, f"/s/f belongs to uid {OTHER}, not to this user or root: chown {ME} /s/f"),
        (FILE | 0o646, ME, "/s/f can be written by everybody: chmod o-w /s/f"),
        (FILE | 0o666, ME, "/s/f can be written by everybody: chmod go-w /s/f"),
        (FILE | 0o664, ME, f"/s/f can be written by group {SHARED}: chmod g-w /s/f"),
        (FOLDER | 0o775, 0, f"/s/f can be written by group {SHARED}: chmod g-w /s/f"),
        (FOLDER | 0o1777, 0, ""),
        (FOLDER | 0o1777, OTHER, f"/s/f belongs to uid {OTHER}, not to this user or root: chown {ME} /s/f"),
        (FILE | 0o1666, ME, "/s/f can be written by everybody: chmod go-w /s/f"),
    ],
)
def test_only_the_owner_may_write_and_a_refusal_names_the_command(mode: int, uid: int, reason: str) -> None:
    assert judged(mode, uid) == reason


@pytest.mark.parametrize(
    ("acl", "reason"),
    [
        (Acl(), ""),
        (Acl(users=(ME, 0)), ""),
        (Acl(users=(OTHER,)), f"/s/f can be written by user {OTHER} (ACL): setfacl -x u:{OTHER} /s/f"),
        (Acl(groups=(SHARED,)), f"/s/f can be written by group {SHARED} (ACL): setfacl -x g:{SHARED} /s/f"),
        (Acl(own_group=True), f"/s/f can be written by group {SHARED}: setfacl -m g::rX /s/f"),
    ],
)
def test_an_access_control_list_that_lets_another_user_write_is_refused(acl: Acl, reason: str) -> None:
    assert judged(FILE | 0o664, acl=acl) == reason


def test_a_path_in_a_command_is_quoted_for_the_shell() -> None:
    assert judged(FILE | 0o646, path="/s/a b; x").endswith("chmod o-w '/s/a b; x'")


def _account(monkeypatch: pytest.MonkeyPatch, members: Iterable[str] = (), *others: tuple[int, int]) -> None:
    """A user with a group of the same name, its `members`, and `others` (uid, primary group)."""
    me = pwd.struct_passwd(("ann", "x", ME, ME, "", "/", "/bin/sh"))
    group = grp.struct_group(("ann", "x", ME, list(members)))
    rest = [pwd.struct_passwd((f"u{uid}", "x", uid, gid, "", "/", "/bin/sh")) for uid, gid in others]
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {ME: me}[uid])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: {ME: group}[gid])
    monkeypatch.setattr(pwd, "getpwall", lambda: [me, *rest])


def test_the_owners_private_group_counts_as_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    _account(monkeypatch, ["ann"], (OTHER, OTHER))
    assert is_private_group(ME, ME)
    assert judged(FILE | 0o664, gid=ME) == ""
    assert judged(FILE | 0o664, acl=Acl(groups=(ME,))) == ""
    assert not is_private_group(SHARED, ME)


def test_a_group_with_another_member_is_not_private(monkeypatch: pytest.MonkeyPatch) -> None:
    _account(monkeypatch, ["ann", "bob"])
    assert not is_private_group(ME, ME)


def test_a_group_that_is_another_users_primary_one_is_not_private(monkeypatch: pytest.MonkeyPatch) -> None:
    _account(monkeypatch, [], (OTHER, ME))
    assert not is_private_group(ME, ME)
    assert judged(FILE | 0o664, gid=ME) == "/s/f can be written by group ann: chmod g-w /s/f"


def test_every_component_of_the_real_path_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "open" / "inner" / "compose.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    assert Permissions(os.geteuid()).trace(str(file)).reason == ""
    (tmp_path / "open").chmod(0o777)
    reason = Permissions(os.geteuid()).trace(str(file)).reason
    assert reason.startswith(f"{tmp_path / 'open'} can be written by everybody: chmod ")


def test_a_link_of_another_user_in_a_sticky_directory_is_refused() -> None:
    link = found(stat.S_IFLNK | 0o777, OTHER)
    wanted = f"/tmp/l is a link of uid {OTHER} in a directory that others may write to: chown -h {ME} /tmp/l"
    assert link_objection("/tmp/l", link, ME) == wanted
    assert link_objection("/tmp/l", found(stat.S_IFLNK | 0o777, 0), ME) == ""
    assert link_objection("/tmp/l", found(stat.S_IFLNK | 0o777, ME), ME) == ""


class _Links:
    """A file that two links lead to, the second of them in a sticky directory; `owner` is that link's."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sticky, self.owner = place / "sticky", os.geteuid()
        self.sticky.mkdir()
        self.sticky.chmod(0o1777)
        self.target = place / "mine" / "f"
        self.target.parent.mkdir()
        self.target.write_text("x")
        (self.sticky / "link").symlink_to("../mine/f")
        self.first = place / "first"
        self.first.symlink_to(self.sticky / "link")
        real = os.lstat

        def lstat(path: str) -> os.stat_result:
            seen = real(path)
            if path != str(self.sticky / "link"):
                return seen
            return os.stat_result((*seen[:4], self.owner, *seen[5:]))

        monkeypatch.setattr(os, "lstat", lstat)


def test_every_link_on_the_way_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = _Links(tmp_path, monkeypatch)
    traced = Permissions(os.geteuid()).trace(str(links.first))
    assert (traced.real, traced.reason) == (str(links.target), "")
    links.owner = OTHER
    reason = Permissions(os.geteuid()).trace(str(links.first)).reason
    assert reason.startswith(f"{links.sticky / 'link'} is a link of uid {OTHER}")
    links.sticky.chmod(0o755)  # nobody else can have put it there
    assert Permissions(os.geteuid()).trace(str(links.first)).reason == ""


@pytest.mark.parametrize("path", ["a/../a/f", "./a//f", "up/a/f", "abs"])
def test_a_path_leads_where_the_kernel_says(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("x")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "up").symlink_to("a/up")
    (tmp_path / "abs").symlink_to(tmp_path / "up" / "a" / "f")
    whole = f"{tmp_path}/{path}"
    assert Permissions(os.geteuid()).trace(whole).real == os.path.realpath(whole)


def test_links_in_a_circle_are_an_error_and_so_is_an_absent_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        Permissions(os.geteuid()).trace(str(tmp_path / "a"))
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(FileNotFoundError):
        Permissions(os.geteuid()).trace(str(tmp_path / "c"))
