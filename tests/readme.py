"""The commands that the README prints, as a newcomer would type them.

Law: read from the file, never repeated here, so that what is tested is what is printed.
"""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def commands(section: str) -> list[str]:
    """The commands of a section (`## SECTION`): every line of its `sh` blocks, and of its `console` blocks those that
    begin with a prompt."""
    text = README.read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    body = dict(zip(parts[1::2], parts[2::2], strict=True))[section]
    found = []
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL):
        lines = [line for line in block.splitlines() if line]
        found += lines if kind == "sh" else [line[2:] for line in lines if line.startswith("$ ")]
    return found
