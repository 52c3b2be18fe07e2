"""Reading POSIX access control lists."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from stackd.source.acl import Acl, parse, read_acl
from stackd.source.permissions import Permissions

OWNER, USER, OWN_GROUP, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF
BOB = 54321


def raw(*entries: tuple[int, int, int]) -> bytes:
    """The value of the attribute: a version, then tag, permissions and number of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def listed(user: int, mask: int) -> bytes:
    return raw(
        (OWNER, 6, NOBODY), (USER, user, BOB), (OWN_GROUP, 4, NOBODY), (GROUP, 6, 77), (MASK, mask, NOBODY),
        (OTHER, 4, NOBODY),
    )  # fmt: skip


def test_the_writers_of_a_list_are_read() -> None:
    assert parse(listed(6, 6)) == Acl(users=(BOB,), groups=(77,))
    assert parse(listed(4, 6)) == Acl(groups=(77,))
    assert parse(raw((OWNER, 6, NOBODY), (OWN_GROUP, 6, NOBODY), (OTHER, 4, NOBODY))) == Acl(own_group=True)


def test_the_mask_takes_away_what_entries_give() -> None:
    assert parse(listed(6, 4)) == Acl()


@pytest.mark.parametrize("broken", [b"", b"\x02\0\0", b"\x03\0\0\0", raw() + b"x"])
def test_what_is_no_list_is_an_error(broken: bytes) -> None:
    with pytest.raises(ValueError, match="no POSIX access control list"):
        parse(broken)


@pytest.mark.parametrize("number", [errno.ENODATA, errno.ENOTSUP])
def test_a_file_without_a_list_has_none(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_args: object, **_options: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getxattr", refused)
    assert read_acl("/x") is None


def test_a_file_that_another_user_may_write_by_its_list_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    file.chmod(0o664)
    value = listed(6, 6)
    try:
        os.setxattr(file, "system.posix_acl_access", value)
    except OSError:  # A file system without lists: what the kernel would answer stands in.
        monkeypatch.setattr(os, "getxattr", lambda *_args, **_options: value)
    reason = Permissions(os.geteuid()).trace(str(file)).reason
    assert reason == f"{file} can be written by user {BOB} (ACL): setfacl -x u:{BOB} {file}"
