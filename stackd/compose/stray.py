"""The rule of a whole file, which sees services that are not indented below `services:` as the one mistake they are.

Law: such services are told once, at the first, and cut out; all else is as in any mapping.
What this module does NOT do: know the keys (`rules`).
"""

from __future__ import annotations

from stackd.compose.schema import Context, Record
from stackd.compose.tree import Map, Node, Path, is_null

_HINT = 'write "services:" at the left edge, and indent every service below it'


class Whole(Record):
    """A whole file."""

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if isinstance(node, Map) and is_null(node.get("services")):
            strays = [key for key, item in node.entries.items() if self._stray(key, item)]
            if strays:
                message = (
                    f'"{strays[0]}" stands beside "services:", not below it'
                    if "services" in node.entries
                    else f'"{strays[0]}" stands at the top level of the file; services stand below "services:"'
                )
                context.report.error("stray-service", message, node.key_span(strays[0]), (strays[0],), _HINT)
                for key in (*strays, "services"):
                    node.drop(key)
        return super().check(node, path, context)

    def _stray(self, key: str, node: Node) -> bool:
        """Whether an entry looks like a service; a template in an extension field is none."""
        return key not in self.fields and not key.startswith("x-") and _looks_served(node)


def _looks_served(node: Node) -> bool:
    return isinstance(node, Map) and bool(node.entries.keys() & {"image", "build", "extends"})
