"""Where in a TOML text something stands: lines and columns for messages, both from 1. Pure text, no meaning."""

from __future__ import annotations

import re
import tomllib


def not_toml(error: tomllib.TOMLDecodeError, text: str, file: str) -> str:
    """`config.toml:2:5: not valid TOML: Invalid value`; the library puts the place behind its message."""
    message, _, place = str(error).removesuffix(")").rpartition(" (at ")
    at = re.fullmatch(r"line (\d+), column (\d+)", place)
    line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1)
    return f"{file}:{line}:{column}: not valid TOML: {message}"


def place_of(text: str, keys: list[str]) -> tuple[int, int] | None:
    """Line and column of what sets `keys`, None when that cannot be told (inline tables, dotted keys)."""
    section: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([\w.\-\"' ]+?)\s*\]", line)
        if header:
            section = [part.strip(" \"'") for part in header[1].split(".")]
            if section == keys:
                return number, header.start(1) + 1
            continue
        setting = re.match(r"\s*([\w.\-\"']+)\s*=", line)
        if setting and section + [part.strip("\"'") for part in setting[1].split(".")] == keys:
            return number, setting.start(1) + 1
    return None
