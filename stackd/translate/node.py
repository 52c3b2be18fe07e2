"""Reading the engine's JSON without trusting it: a cursor that never raises on what is missing or of another type.

Law: absent, null and wrong-typed all read as the empty value of the type that was asked for. Engines differ by version
in what they leave out, and an observation must not fail over a field that nobody needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_NOTHING: dict[str, Json] = {}


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a JSON document."""

    value: Json

    def __getitem__(self, key: str) -> Node:
        return Node(self._mapping().get(key))

    def __bool__(self) -> bool:
        return bool(self.value)

    def _mapping(self) -> dict[str, Json]:
        return self.value if isinstance(self.value, dict) else _NOTHING

    def text(self, key: str) -> str:
        """The string at `key`, "" if there is none."""
        value = self._mapping().get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int:
        """The whole number at `key`, 0 if there is none."""
        value = self._mapping().get(key)
        return int(value) if isinstance(value, (int, float)) else 0

    def seconds(self, key: str) -> float | None:
        """The number at `key`, None if there is none."""
        value = self._mapping().get(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def flag(self, key: str) -> bool:
        """Whether `key` holds true."""
        return self._mapping().get(key) is True

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings of the list at `key`."""
        value = self._mapping().get(key)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def strings(self, key: str) -> dict[str, str]:
        """The string values of the mapping at `key`."""
        value = self._mapping().get(key)
        if not isinstance(value, dict):
            return {}
        return {name: text for name, text in value.items() if isinstance(text, str)}

    def items(self) -> Iterator[Node]:
        """The entries, if this is a list."""
        if isinstance(self.value, list):
            yield from map(Node, self.value)

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Keys and values, if this is a mapping."""
        for key, value in self._mapping().items():
            yield key, Node(value)

    def names(self) -> tuple[str, ...]:
        """The keys, if this is a mapping."""
        return tuple(self._mapping())


def as_node(document: object) -> Node:
    """Start reading what a JSON parser returned."""
    return Node(document if isinstance(document, (dict, list, str, int, float, bool)) else None)
