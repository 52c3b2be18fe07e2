"""POSIX access control lists, as the kernel gives them in `system.posix_acl_access`.

Law: `parse` is pure. What this module does NOT do: judge who may write (`permissions` does).
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass

_NAME = "system.posix_acl_access"
_VERSION = 2
_ENTRY = struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_WRITE = 0x02
_NO_LIST = (errno.ENODATA, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Acl:
    """Who may write by the list, beside the owner and everybody: named users, named groups, the file's group.

    The mask is applied already.
    """

    users: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    own_group: bool = False


def parse(raw: bytes) -> Acl:
    """The list in an attribute's value (linux/posix_acl_xattr.h). Raises ValueError when it is not one."""
    if len(raw) < 4 or int.from_bytes(raw[:4], "little") != _VERSION or (len(raw) - 4) % _ENTRY.size:
        raise ValueError("this is no POSIX access control list")
    entries = list(_ENTRY.iter_unpack(raw[4:]))
    mask = next((allowed for tag, allowed, _ in entries if tag == _MASK), _WRITE)
    writers = [(tag, who) for tag, allowed, who in entries if allowed & mask & _WRITE]
    return Acl(
        users=tuple(who for tag, who in writers if tag == _USER),
        groups=tuple(who for tag, who in writers if tag == _GROUP),
        own_group=any(tag == _GROUP_OBJ for tag, _ in writers),
    )


def read_acl(path: str) -> Acl | None:
    """The list of a file or folder, None when it has none or its file system knows none. Raises OSError."""
    try:
        return parse(os.getxattr(path, _NAME, follow_symlinks=False))
    except OSError as error:
        if error.errno in _NO_LIST:
            return None
        raise
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from error
