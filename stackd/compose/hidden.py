"""The values of a definition that may stand in no message: what an engine's or a fault's own words are scrubbed of.

Law: every value that `redact` hides, and every part that it cuts out of a readable one, wherever it stands; but no word
that the definition shows elsewhere (the name of a service, a part of an image, a path), unless the name of the value
says that it is a secret. What this module does NOT do: decide what is hidden (`redact`), or scrub (`redact.scrub`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stackd.compose.expand import pairs
from stackd.compose.redact import (
    LEAST,
    TABLES,
    TEXTS,
    Redaction,
    assigned,
    cut_parts,
    harmless,
    readable_words,
    secret_key,
)
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Node, Scalar, Seq, leaves

_WORD = re.compile(r"[\s=:,;/@\"']+")
_IMAGES = ("image", "source", "target", "published", "container_name", "hostname", "context", "dockerfile")
"""Keys whose value is shown as a fact elsewhere, whatever contributed to it."""
_PATH = 1024
"""Characters of such a value whose beginnings (the folder of a path) are known to be shown."""


def hidden_values(root: Map, redaction: Redaction, variables: Mapping[str, str]) -> frozenset[str]:
    """The values of a merged tree that may not be shown, and those of `variables` (what `.env` gives)."""
    found = _Found(redaction)
    found.walk(root, "")
    for name, value in variables.items():
        found.hide(name, value)
    return frozenset((found.maybe - found.public) | found.secret)


class _Found:
    """What a walk gathers: `secret` is never shown, `maybe` unless it is `public`."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.secret: set[str] = set()
        self.maybe: set[str] = set()
        self.public: set[str] = set()
        self._seen: set[tuple[str, str, str, bool]] = set()

    def walk(self, node: Node, key: str) -> None:
        """Take all below `node`, the value of `key`."""
        match node:
            case Map() | Seq() if key in TABLES:
                for name, entry in _entries(pairs(node)):
                    self._entry(key, name, entry)
            case Map():
                for name, item in node.entries.items():
                    if name.startswith("x-"):
                        self._extension(name, item)
                    else:
                        if name not in self.public:
                            self.public.update(_words(name))
                        if not isinstance(item, Scalar) or isinstance(item.value, str):
                            self.walk(item, name)
            case Seq():
                for item in node.items:
                    self.walk(item, key)
            case Scalar():
                if isinstance(node.value, str) and len(node.value) >= LEAST and not node.value.isdigit():
                    self._text(key, node.value, secret=node.secret)

    def hide(self, name: str, text: str) -> None:
        """Take the value of `name`, and what looks like a secret in it."""
        if not harmless("", name, text):
            (self.secret if secret_key(name) else self.maybe).add(text)
        self.secret.update(cut_parts(text))

    def _extension(self, key: str, node: Node) -> None:
        """An extension field is never shown."""
        for path, leaf in leaves(node, (key,)):
            if isinstance(leaf.value, str):
                self.hide(path[-1], leaf.value)

    def _is_known(self, table: str, key: str, text: str, secret: bool) -> bool:
        """Whether the same value of the same key was taken already: `extends` repeats them."""
        mark = (table, key, text, secret)
        known = mark in self._seen
        self._seen.add(mark)
        return known

    def _entry(self, table: str, name: str, item: Scalar) -> None:
        text = "" if item.value is None else go_text(item.value)
        if self._is_known(table, name, text, item.secret):
            return
        self.public.update(_words(name))
        if self._redaction.is_shown(table, name, text, secret=item.secret):
            self.public.update(_words(text))
        else:
            self.hide(name, text)

    def _text(self, key: str, text: str, *, secret: bool) -> None:
        if self._is_known("", key, text, secret):
            return
        if key in TEXTS or secret_key(key):
            self.hide(key, text)
            self.maybe.update(one for one in assigned(text) if not harmless("", "", one))
        elif secret and key not in _IMAGES:
            self.hide("", text)
        else:
            self.secret.update(cut_parts(text))
            self.public.update(_words(" ".join(readable_words([text]))))
            self.public.update(text[: at.start()] for at in re.finditer("[/:@]", text[:_PATH]) if key in _IMAGES)


def _entries(table: Map) -> Iterator[tuple[str, Scalar]]:
    """The values of a table by name, those of a list below it as well."""
    for name, item in table.entries.items():
        for _, leaf in leaves(item):
            yield name, leaf


def _words(text: str) -> Iterator[str]:
    yield text
    yield from text.split()
    yield from _WORD.split(text)
