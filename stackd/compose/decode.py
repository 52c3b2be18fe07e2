"""From the normalised tree to canonical values: what `docker-compose config --format json` shows, and what it hashes.

Law: fields come in the order of docker compose's own structs, because the config hash depends on it; a zero value is
left out unless the real one keeps it.
What this module does NOT do: know the keys (`fields`) or hash.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from stackd.compose.extensions import printed
from stackd.compose.gonumbers import INT64_MAX, int64, parse_float, parse_int, uint64
from stackd.compose.goyaml import go_sorted, sorted_deeply
from stackd.compose.interpolate import to_bool
from stackd.compose.report import Report, quote
from stackd.compose.scalars import Date, go_text
from stackd.compose.tree import EXTENSIONS, Json, Map, Node, Path, Scalar, Seq, is_null
from stackd.compose.units import float32, go_duration, parse_bytes, parse_duration
from stackd.compose.words import shell_words


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and whom to tell. `whole`: the form that is printed as YAML, extension fields and all."""

    path: Path
    report: Report
    whole: bool = False

    def under(self, part: str) -> Place:
        """The place of a part below."""
        return Place((*self.path, part), self.report, self.whole)


Decoder: TypeAlias = "Callable[[Node, Place], Json]"


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a struct. `keep`: a zero value is shown when the key is given; `always`: shown even when absent, as
    `empty`.
    """

    name: str
    decoder: Decoder
    keep: bool = False
    always: bool = False
    empty: Json = None
    shown: str = ""


def struct(node: Map, fields: tuple[Field, ...], place: Place, *, closed: bool = False) -> dict[str, Json]:
    """The canonical form of a mapping with known keys. `closed`: even the whole form has no extension fields."""
    out: dict[str, Json] = {}
    for one in fields:
        item = node.entries.get(one.name)
        absent = item is None or (isinstance(item, Scalar) and item.value is None)
        value = one.empty if item is None or absent else one.decoder(item, place.under(one.name))
        if place.whole and one.always and (value in (None, {}) or (absent and isinstance(value, dict))):
            continue
        if one.always or (not absent and ((one.keep and value is not None) or not _zero(value))):
            out[one.name if place.whole else one.shown or one.name] = value
    if place.whole and not closed:
        extensions = [key for key in node.entries if key.startswith("x-")]
        out.update({key: sorted_deeply(anything(node.entries[key], place)) for key in go_sorted(extensions)})
    return out


def _zero(value: Json) -> bool:
    return value is None or value is False or (value in ("", 0, [], {}) and value is not True)


def record(fields: tuple[Field, ...], *, closed: bool = False) -> Decoder:
    """A nested struct; `closed`: one without extension fields."""

    def decode(node: Node, place: Place) -> Json:
        return struct(node, fields, place, closed=closed) if isinstance(node, Map) else None

    return decode


def many(item: Decoder) -> Decoder:
    """A list of `item`."""

    def decode(node: Node, place: Place) -> Json:
        found = node.items if isinstance(node, Seq) else [node]
        return [item(one, place.under(str(at))) for at, one in enumerate(found)]

    return decode


def table(item: Decoder) -> Decoder:
    """A mapping of names to `item`, by name."""

    def decode(node: Node, place: Place) -> Json:
        if not isinstance(node, Map):
            return {}
        out: dict[str, Json] = {}
        for key in in_order(node.entries, place):
            value = None if is_null(one := node.entries[key]) else item(one, place.under(key))
            if key == EXTENSIONS and isinstance(value, dict):  # what it holds are no extensions of its own
                value = {name: held for name, held in value.items() if not name.startswith("x-")}
            out[key] = value
        return out

    return decode


def in_order(keys: Iterable[str], place: Place) -> list[str]:
    """The keys of a table: Go sorts them in one way for JSON, in another for YAML."""
    return go_sorted(keys) if place.whole else sorted(keys)


def text(node: Node, place: Place) -> Json:
    """A string; a number is its text."""
    return go_text(node.value) if isinstance(node, Scalar) and node.value is not None else ""


def texts(node: Node, place: Place) -> Json:
    """A list of strings; one string is a list of one."""
    found = node.items if isinstance(node, Seq) else [node]
    return [text(one, place) for one in found]


def boolean(node: Node, place: Place) -> Json:
    """true or false, from a boolean or its word."""
    if isinstance(node, Scalar):
        if isinstance(node.value, bool):
            return node.value
        word = to_bool(go_text(node.value))
        if word is not None:
            return word
    place.report.error("bad-value", f'"{place.path[-1]}" is {quote(node)}, wants true or false', node.span, place.path)
    return False


def integer(node: Node, place: Place, wanted: str = "a whole number") -> Json:
    """A whole number; `wanted` says what else could stand there."""
    if isinstance(node, Scalar):
        if isinstance(node.value, int | float) and math.isfinite(node.value):
            return int64(node.value)
        with contextlib.suppress(ValueError):
            return parse_int(go_text(node.value))
    place.report.error("bad-value", f'"{place.path[-1]}" is {quote(node)}, wants {wanted}', node.span, place.path)
    return 0


def count(node: Node, place: Place) -> Json:
    """A whole number that Go keeps without a sign."""
    if isinstance(node, Scalar) and isinstance(node.value, int | float) and math.isfinite(node.value):
        return uint64(node.value)
    return integer(node, place)


def single(node: Node, place: Place) -> Json:
    """A single-precision number."""
    if isinstance(node, Scalar):
        with contextlib.suppress(ValueError):
            value = node.value
            number = float(value) if isinstance(value, int | float) else parse_float(go_text(value))
            found = float32(number)
            if not math.isfinite(found):
                message = f'"{place.path[-1]}" is {quote(node)}, wants a number that 32 bits hold'
                place.report.refused("bad-value", message, node.span, place.path)
            return found
    place.report.error("bad-value", f'"{place.path[-1]}" is {quote(node)}, wants a number', node.span, place.path)
    return 0.0


def size(node: Node, place: Place) -> Json:
    """A size in bytes, as decimal text (Go's UnitBytes)."""
    if isinstance(node, Scalar) and isinstance(node.value, int):
        return str(node.value) if node.value and node.value <= INT64_MAX else 0
    if isinstance(node, Scalar) and isinstance(node.value, str):
        try:
            found = parse_bytes(node.value)
        except ValueError as wrong:
            place.report.error("bad-size", f'"{place.path[-1]}" is {quote(node)}, {wrong}', node.span, place.path)
            return 0
        return str(found) if found else 0
    return 0


def duration(node: Node, place: Place) -> Json:
    """A duration in Go's form."""
    try:
        return go_duration(parse_duration(go_text(node.value) if isinstance(node, Scalar) else ""))
    except ValueError as wrong:
        place.report.error("bad-duration", f'"{place.path[-1]}" is {quote(node)}, {wrong}', node.span, place.path)
        return "0s"


def pause(node: Node, place: Place) -> Json:
    """A duration that is left out when it is nothing."""
    found = duration(node, place)
    return None if found == "0s" else found


def ssh_keys(node: Node, place: Place) -> Json:
    """Names of SSH keys, those with a place of their own as `NAME: PATH`."""
    found = _pairs(node, "", place)
    return [f"{name}: {path}" if path else name for name, path in found.items()]


def pairs_or_null(node: Node, place: Place) -> Json:
    """NAME=VALUE; a name without value is kept as null (environment, build args)."""
    return _pairs(node, None, place)


def pairs(node: Node, place: Place) -> Json:
    """NAME=VALUE; a name without value is the empty text (labels, options)."""
    return _pairs(node, "", place)


def _pairs(node: Node, empty: Json, place: Place) -> dict[str, Json]:
    out: dict[str, Json] = {}
    if isinstance(node, Map):
        for key, one in node.entries.items():
            out[key] = empty if is_null(one) else printed(one)
    for one in node.items if isinstance(node, Seq) else ():
        name, equals, value_text = go_text(one.value if isinstance(one, Scalar) else None).partition("=")
        out[name] = value_text if equals else empty
    return {key: out[key] for key in in_order(out, place)}


def command(node: Node, place: Place) -> Json:
    """Words of a command; text is split, not run by a shell."""
    if isinstance(node, Seq):
        return [text(one, place) for one in node.items]
    if isinstance(node, Scalar) and isinstance(node.value, Date):
        return None  # docker compose passes over it
    words = go_text(node.value) if isinstance(node, Scalar) else ""
    try:
        split = shell_words(words)
    except ValueError as wrong:
        place.report.error("bad-command", f'"{place.path[-1]}" {wrong}', node.span, place.path)
        return []
    if split.cut_at is not None:
        message = f'"{place.path[-1]}" runs without a shell: "{words[split.cut_at]}" and all after it is dropped'
        hint = 'write sh -c "..." to use a shell'
        place.report.warning("shell-syntax", message, node.span, place.path, hint)
    return list[Json](split.words)


def health_test(node: Node, place: Place) -> Json:
    """A health check's command in the engine's form."""
    if isinstance(node, Seq):
        found = [go_text(one.value) if isinstance(one, Scalar) else "" for one in node.items]
        if found and found[0] not in ("CMD", "CMD-SHELL", "NONE"):
            message = f'"{place.path[-1]}" begins with {quote(node.items[0])}, wants CMD, CMD-SHELL or NONE'
            hint = 'put "CMD" in front of the command'
            place.report.error("bad-healthcheck", message, node.items[0].span, place.path, hint)
        return list[Json](found)
    return ["CMD-SHELL", text(node, place)]


def hosts(node: Node, place: Place) -> Json:
    """HOST=IP texts, sorted; brackets of IPv6 addresses are dropped."""
    found: list[str] = []
    if isinstance(node, Map | Seq) and not (node.entries if isinstance(node, Map) else node.items):
        return None
    for name, value in _hosts(node, place):
        bare = value[1:-1] if len(value) > 2 and value.startswith("[") and value.endswith("]") else value
        found.append(f"{name}={bare}")
    return list[Json](sorted(found))


def _hosts(node: Node, place: Place) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    if isinstance(node, Map):
        for name, one in node.entries.items():
            found = one.items if isinstance(one, Seq) else [one]
            out += [(name, go_text(item.value)) for item in found if isinstance(item, Scalar)]
    for one in node.items if isinstance(node, Seq) else ():
        value = go_text(one.value) if isinstance(one, Scalar) else ""
        separator = "=" if "=" in value else ":"
        name, found_it, addresses = value.partition(separator)
        if not found_it or not name or ":" in name:
            place.report.error("bad-host", f"{quote(one)} is not HOST=IP", one.span, place.path)
            continue
        out += [(name, address) for address in addresses.split(",")]
    return out


def file_mode(node: Node, place: Place) -> Json:
    """A file mode as octal text with a leading 0."""
    try:
        value = node.value if isinstance(node, Scalar) else 0
        return f"0{int(value, 8) if isinstance(value, str) else int(value or 0):o}"
    except ValueError:
        place.report.error(
            "bad-value", f'"{place.path[-1]}" is {quote(node)}, wants an octal mode', node.span, place.path
        )
        return "0"


def weight(node: Node, place: Place) -> Json:
    """A number that Go keeps in 16 bits."""
    found = integer(node, place)
    return found % 2**16 if isinstance(found, int) else found


def port(node: Node, place: Place) -> Json:
    """A number that Go keeps in 32 bits."""
    found = integer(node, place)
    return found % 2**32 if isinstance(found, int) else found


def rate(node: Node, place: Place) -> Json:
    """A size in bytes that is shown even when it is 0."""
    return str(size(node, place))


def options(node: Node, place: Place) -> Json:
    """A mapping of names to one or several texts; what has none is left out."""
    if not isinstance(node, Map):
        return {}
    found: dict[str, Json] = {}
    for key in in_order(node.entries, place):
        item = node.entries[key]
        if not isinstance(item, Seq) or item.items:
            found[key] = texts(item, place) if isinstance(item, Seq) else [printed(item)]
    return found


def env_files(node: Node, place: Place) -> Json:
    """The files of a container that runs before its service; JSON has `required` only where it is false."""
    fields = (Field("path", text), Field("required", boolean, keep=True), Field("format", text))
    found: list[Json] = []
    for one in node.items if isinstance(node, Seq) else ():
        shown = struct(one, fields, place) if isinstance(one, Map) else {}
        if shown.get("required") is True and not place.whole:
            shown.pop("required")
        found.append(shown)
    return found


def device_count(node: Node, place: Place) -> Json:
    """A number of devices; `all` is -1."""
    if isinstance(node, Scalar) and str(node.value).lower() == "all":
        return -1
    return integer(node, place, "a whole number, or all")


def ulimit(node: Node, place: Place) -> Json:
    """One number, or soft and hard."""
    if not isinstance(node, Map):
        return integer(node, place) or ({"soft": 0, "hard": 0} if place.whole else {})
    fields = (Field("single", integer), Field("soft", integer), Field("hard", integer))
    found = struct(node, fields, place, closed=True)
    return {"soft": found.get("soft", 0), "hard": found.get("hard", 0)} if place.whole else found


def anything(node: Node, place: Place) -> Json:
    """The value as it stands."""
    match node:
        case Scalar():
            return node.value
        case Seq():
            return [anything(one, place) for one in node.items]
        case Map():
            return {key: anything(one, place) for key, one in node.entries.items()}
