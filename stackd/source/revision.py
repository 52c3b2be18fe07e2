"""What is remembered of a stack's definition across restarts of the daemon: the texts it was made from.

Law: a revision is written when a definition comes into force and read only when the files on disk are bad or gone.
It holds the raw texts, secrets included, so it lives in the 0600 store of the state directory and is shown to nobody.
What this module does NOT do: store (the journal does) or parse.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stackd.model.ids import StackName


@dataclass(frozen=True, slots=True)
class Revision:
    """A definition that was in force. `entry` is its place in the stacks directory `root`; `folder` the real folder.

    `folder_id` and `root_id` are (device, inode), `mark` that of `removal.Place`, `digest` the project's. `files` are
    the Compose files in merge order; `texts` maps every file read to its content in base64; `generation` counts the
    definitions of this stack that came into force.
    """

    name: StackName
    root: Path
    entry: str
    folder: Path
    folder_id: tuple[int, int]
    root_id: tuple[int, int]
    mark: str = ""
    digest: str = ""
    generation: int = 0
    files: tuple[Path, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: Path) -> bytes:
        """The remembered content of a file. Raises FileNotFoundError when it was not there (or not read)."""
        text = self.texts.get(str(path))
        if text is None:
            raise FileNotFoundError(2, "not part of the remembered definition", str(path))
        return base64.b64decode(text)


def encoded(texts: Mapping[Path, bytes]) -> dict[str, str]:
    """File contents as a revision keeps them."""
    return {str(path): base64.b64encode(content).decode("ascii") for path, content in texts.items()}


class RevisionStore(Protocol):
    """Where revisions are kept. Neither call blocks nor raises; the last second may be lost in a crash."""

    def save_revision(self, revision: Revision) -> None:
        """Remember it as the stack's newest."""

    def forget_revision(self, stack: StackName) -> None:
        """The stack is gone for good."""
