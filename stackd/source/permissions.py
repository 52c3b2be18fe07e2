"""Whose files may tell the daemon what to run: the permission rules of stack files.

Law: on every component of a path, each link and what it leads to, nobody but its owner, who is this user or root, may
write; POSIX ACLs count, and the owner's private group counts as the owner. In a sticky directory such as /tmp others
may write, so there a link must belong to this user or root (fs.protected_symlinks has the same rule, and may be off).
What breaks this is refused with the reason and the command that mends it.
What this module does NOT do: open files, or look at what they hold.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from dataclasses import dataclass, field

from stackd.source.acl import Acl, read_acl

_MOST_LINKS = 40  # the kernel's own limit for symbolic links


@dataclass(frozen=True, slots=True)
class Traced:
    """Where a path leads to, and why it is not to be trusted, "" = it is."""

    real: str
    reason: str = ""


@dataclass(slots=True)
class _Part:
    """A component that was looked at: the text of the link that it is, "" = it is none."""

    link: str = ""
    sticky: bool = False
    reason: str = ""


class Permissions:
    """The rules for one user, remembering what it has looked at: make a new one for every reading."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self._seen: dict[str, _Part] = {}
        self._accounts = Accounts()

    def trace(self, path: str) -> Traced:
        """Follow an absolute path, link by link, to the first component that is refused. Raises OSError."""
        done, todo, links = "/", _parts(path), 0
        part = self._of("/", sticky=False)
        while todo and not part.reason:
            name = todo.pop()
            if name == "..":
                done = os.path.dirname(done)
                part = self._seen[done]
                continue
            here = os.path.join(done, name)
            part = self._of(here, sticky=self._seen[done].sticky)
            if not part.link:
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            done = "/" if part.link.startswith("/") else done
            todo += _parts(part.link)
        return Traced(done, part.reason)

    def objection(self, path: str, found: os.stat_result) -> str:
        """What speaks against trusting a file or folder with these properties, "" = nothing. Raises OSError."""
        # The group's bits are the list's mask: without them no entry of a list may write.
        acl = read_acl(path) if found.st_mode & stat.S_IWGRP else None
        return objection(path, Found(found, acl), self._uid, self._accounts)

    def _of(self, path: str, *, sticky: bool) -> _Part:
        if path not in self._seen:
            self._seen[path] = self._look(path, sticky=sticky)
        return self._seen[path]

    def _look(self, path: str, *, sticky: bool) -> _Part:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            reason = link_objection(path, found, self._uid) if sticky else ""
            return _Part(os.readlink(path), reason=reason)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return _Part()  # Not read at all, whoever may write: a chmod of /dev/zero would be bad advice.
        return _Part(sticky=_is_sticky(found), reason=self.objection(path, found))


def _parts(path: str) -> list[str]:
    """The components of a path, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a file or folder: its properties and its access control list (None = it has none)."""

    stat: os.stat_result
    acl: Acl | None = None


@dataclass(slots=True)
class Accounts:
    """What the user and group databases say, each group asked for once."""

    _private: dict[tuple[int, int], bool] = field(default_factory=dict)

    def private(self, gid: int, uid: int) -> bool:
        """Whether the group is the user's own: the primary one, of the user's name or number, with nobody else in it,
        be it as a member or because it is somebody else's primary group."""
        if (gid, uid) not in self._private:
            self._private[gid, uid] = is_private_group(gid, uid)
        return self._private[gid, uid]


def objection(path: str, found: Found, uid: int, accounts: Accounts) -> str:
    """What speaks against trusting a component with these properties and how to mend it, "" = nothing."""
    status, quoted = found.stat, shlex.quote(path)
    if status.st_uid not in (uid, 0):
        return f"{path} belongs to uid {status.st_uid}, not to this user or root: chown {_user(uid)} {quoted}"
    if _is_sticky(status):
        return ""
    group = status.st_mode & stat.S_IWGRP and (found.acl is None or found.acl.own_group)
    shared = bool(group) and not accounts.private(status.st_gid, status.st_uid)
    if status.st_mode & stat.S_IWOTH:
        return f"{path} can be written by everybody: chmod {'go' if shared else 'o'}-w {quoted}"
    if shared and found.acl is None:
        return f"{path} can be written by group {_group(status.st_gid)}: chmod g-w {quoted}"
    if shared:  # chmod would change the mask, and with it what named users may do
        return f"{path} can be written by group {_group(status.st_gid)}: setfacl -m g::rX {quoted}"
    return _listed(path, found, uid, accounts)


def _listed(path: str, found: Found, uid: int, accounts: Accounts) -> str:
    """What speaks against the named entries of an access control list."""
    acl, quoted = found.acl or Acl(), shlex.quote(path)
    for user in acl.users:
        if user not in (uid, 0):
            return f"{path} can be written by user {_user(user)} (ACL): setfacl -x u:{_user(user)} {quoted}"
    for group in acl.groups:
        if not accounts.private(group, found.stat.st_uid):
            return f"{path} can be written by group {_group(group)} (ACL): setfacl -x g:{_group(group)} {quoted}"
    return ""


def link_objection(path: str, found: os.stat_result, uid: int) -> str:
    """What speaks against following a link in a sticky directory and how to mend it, "" = nothing."""
    if found.st_uid in (uid, 0):
        return ""
    how = f"chown -h {_user(uid)} {shlex.quote(path)}"
    return f"{path} is a link of uid {found.st_uid} in a directory that others may write to: {how}"


def _is_sticky(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def is_private_group(gid: int, uid: int) -> bool:
    """Whether the group is the user's own: the primary one, of the user's name or number, with nobody else in it.

    Somebody else is in it as a member, or by having it as the primary group. An account database that does not list
    its users (SSSD without `enumerate`) cannot say the latter.
    """
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    own = user.pw_gid == gid and (group.gr_name == user.pw_name or gid == uid)
    return own and set(group.gr_mem) <= {user.pw_name} and not _strangers(gid, user.pw_uid)


def _strangers(gid: int, uid: int) -> bool:
    """Whether another user has this group as the primary one."""
    return any(one.pw_gid == gid and one.pw_uid not in (uid, 0) for one in pwd.getpwall())
