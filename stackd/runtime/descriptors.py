"""The limit of open files: raised at the start, and asked by whoever opens descriptors on behalf of others.

Law: only the soft limit is changed, never beyond the hard one (systemd.exec(5) recommends it to programs that do not
use select(2)). What this module does not do: count what is open.
"""

from __future__ import annotations

import resource

WANTED = 16_384
"""Enough for every connection and log follower; more would slow down children that close all descriptors one by one."""


def open_files() -> int:
    """How many descriptors this process may have open (RLIMIT_NOFILE, the soft limit)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def raise_open_files() -> int:
    """Raise the soft limit towards `WANTED`, as far as the hard limit allows; the limit that is then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    aim = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < aim:
        resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
    return open_files()
