"""Links in stacks directories: how a folder anywhere on the disk becomes a stack.

Law: only a link is ever made; what is there already, be it a folder or another link, is never replaced.
What this module does NOT do: judge the folder (see `adopting`), or tell the daemon to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stackd.errors import StackdError


class LinkError(StackdError):
    """The link cannot be made; the text says why. `taken` = something else is there under its name."""

    def __init__(self, text: str, *, taken: bool = False) -> None:
        super().__init__(text)
        self.taken = taken


def make_link(link: Path, folder: Path) -> bool:
    """Link `folder` (a real path) as the entry `link` of a stacks directory; whether it was not there already.

    Raises LinkError.
    """
    if link.is_symlink() or link.exists():
        if link.resolve() == folder:
            return False
        what = f"a link to {link.resolve()}" if link.is_symlink() else "a folder"
        raise LinkError(f"{link} is there already, {what}", taken=True)
    try:
        link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        link.symlink_to(folder, target_is_directory=True)
    except OSError as error:
        raise LinkError(f"cannot make {link}: {error.strerror}") from error
    return True


def link_into(directories: Sequence[Path], name: str, folder: Path) -> tuple[Path, bool]:
    """Link `folder` into the first of the stacks directories that can be written to, unless one has it already.

    Returns the link, and whether it was not there already. Raises LinkError with what each directory says.
    """
    for directory in directories:
        link = directory / name
        if link.is_symlink() and link.resolve() == folder:
            return link, False
    failed: list[str] = []
    for directory in directories:
        try:
            return directory / name, make_link(directory / name, folder)
        except LinkError as error:
            if error.taken:
                raise
            failed.append(str(error))
    raise LinkError("; ".join(failed))
