"""Reading canonical values with their types, so that nothing beyond handles loose JSON.

Law: a value of another type reads as the empty one; validation has reported it before. Pure helpers, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from stackd.compose.tree import Json
from stackd.compose.units import parse_duration

Obj: TypeAlias = "Mapping[str, Json]"


def txt(obj: Obj, key: str) -> str:
    """A string, "" when absent."""
    value = obj.get(key)
    return value if isinstance(value, str) else ""


def flag(obj: Obj, key: str, default: bool = False) -> bool:
    """A boolean."""
    value = obj.get(key)
    return value if isinstance(value, bool) else default


def maybe(obj: Obj, key: str) -> bool | None:
    """A boolean, None when absent."""
    value = obj.get(key)
    return value if isinstance(value, bool) else None


def number(obj: Obj, key: str, default: int = 0) -> int:
    """A whole number."""
    value = obj.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def strings(obj: Obj, key: str) -> tuple[str, ...]:
    """A list of strings."""
    value = obj.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def maybe_strings(obj: Obj, key: str) -> tuple[str, ...] | None:
    """A list of strings, None when absent."""
    return strings(obj, key) if isinstance(obj.get(key), list) else None


def sub(obj: Obj, key: str) -> Obj:
    """A mapping, empty when absent."""
    value = obj.get(key)
    return value if isinstance(value, dict) else {}


def objects(obj: Obj, key: str) -> list[Obj]:
    """A list of mappings."""
    value = obj.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(obj: Obj, key: str) -> dict[str, str]:
    """A mapping of names to strings."""
    return {name: value for name, value in sub(obj, key).items() if isinstance(value, str)}


def seconds(obj: Obj, key: str) -> float | None:
    """A duration in seconds, None when absent."""
    value = obj.get(key)
    return parse_duration(value) / 1e9 if isinstance(value, str) else None
