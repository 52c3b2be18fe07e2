"""Whose files may tell the daemon what to run: the permission rules of stack files.

Law: on every component of a file's real path (sticky directories such as /tmp excepted) nobody but its owner, who is
this user or root, may write; the owner's private group counts as the owner. What breaks this is refused with a reason.
What this module does NOT do: open files, or look at what they hold.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


class Permissions:
    """The rules for one user, remembering what it has looked at: make a new one for every reading."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self._seen: dict[Path, str] = {}

    def refusal(self, real: Path) -> str:
        """Why the file or folder at this real path is not to be trusted, "" = it is. Raises OSError if not there."""
        for part in (real, *real.parents):
            if reason := self._of(part):
                return reason
        return ""

    def _of(self, part: Path) -> str:
        if part not in self._seen:
            reason = objection(part.lstat(), self._uid)
            self._seen[part] = f"{part} {reason}" if reason else ""
        return self._seen[part]


def objection(found: os.stat_result, uid: int) -> str:
    """What speaks against trusting a component with these properties, "" = nothing."""
    if found.st_uid not in (uid, 0):
        return f"belongs to uid {found.st_uid}, not to this user or root"
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if found.st_mode & stat.S_IWGRP and not is_private_group(found.st_gid, found.st_uid):
        return f"can be written by group {found.st_gid}"
    return ""


def is_private_group(gid: int, uid: int) -> bool:
    """Whether the group is the user's own: the primary one, of the user's name or number, with nobody else in it."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    own = user.pw_gid == gid and (group.gr_name == user.pw_name or gid == uid)
    return own and set(group.gr_mem) <= {user.pw_name}
