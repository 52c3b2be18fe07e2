"""From short to long: every place where Compose allows two ways of writing becomes the long one.

Law: works in place on a validated tree; what a short text gave keeps the span of that text. The outcome equals docker
compose's canonical model. What this module does NOT do: defaults, paths and names (`normalise`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stackd.compose.redact import REDACTED
from stackd.compose.report import Report, quote
from stackd.compose.scalars import go_text
from stackd.compose.short import NoPort, ShortPort, ShortVolume, parse_device, parse_port, parse_volume
from stackd.compose.tree import Map, Node, Path, Plain, Scalar, Seq, any_secret
from stackd.errors import Span

PORTS = 2 * 65_535
"""The ports that all ranges of a load may have together: a few characters ask for as many as there are."""


@dataclass(slots=True)
class Budget:
    """How many ports of ranges are still to be had in one load, whatever it includes."""

    ports: int = PORTS


def expand(root: Map, report: Report, budget: Budget, *, lenient: bool = False) -> None:
    """Bring every service and every top-level resource into its long form.

    `lenient`: what cannot be taken apart may have references left in it, so it stays short and nothing is said.
    """
    services = root.get("services")
    if isinstance(services, Map):
        for name, service in services.entries.items():
            if isinstance(service, Map):
                _Service(service, ("services", name), report, budget, lenient=lenient).expand()
    for section in ("networks", "volumes", "secrets", "configs"):
        table = root.get(section)
        if isinstance(table, Map):
            for key, resource in table.entries.items():
                if isinstance(resource, Map):
                    _external(resource, (section, key), report)


def clean_path(path: str) -> str:
    """A path without `.`, `..` and doubled slashes (Go's path.Clean)."""
    if not path:
        return "."
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if path.startswith("/") else cleaned


def _external(resource: Map, path: Path, report: Report) -> None:
    old = resource.get("external")
    if not isinstance(old, Map):
        return
    resource.put("external", Scalar(True, old.span), resource.keys.get("external"))
    name = old.get("name")
    if name is None:
        return
    report.warning("old-external", "external.name is the old way; write external: true and name:", name.span, path)
    own = resource.get("name")
    if isinstance(own, Scalar) and isinstance(name, Scalar) and own.value != name.value:
        report.error("bad-value", "name and external.name differ; keep only name", name.span, path)
    elif own is None:
        resource.put("name", name, old.keys.get("name"))


class _Service:
    """The expansion of one service."""

    def __init__(self, service: Map, path: Path, report: Report, budget: Budget, *, lenient: bool) -> None:
        self._service, self._path, self._report, self._lenient = service, path, report, lenient
        self._budget = budget

    def expand(self) -> None:
        service = self._service
        if isinstance(build := service.get("build"), Scalar):
            service.entries["build"] = _fields(build, context=build.value)
        elif isinstance(build, Map):
            _build(build)
        for key in ("networks", "models"):
            node = service.get(key)
            if isinstance(node, Seq):
                service.entries[key] = _names(node)
        _each(service, "secrets", lambda node: _fields(node, source=node.value))
        _each(service, "configs", lambda node: _fields(node, source=node.value))
        for key in ("label_file", "dns"):
            node = service.get(key)
            if isinstance(node, Scalar):
                service.entries[key] = node = Seq([node], node.span)
            if key == "dns" and isinstance(node, Seq) and "pre_start" not in self._path:
                node.items = [item for item in node.items if not isinstance(item, Scalar) or item.value != ""]
        extends = service.get("extends")
        if isinstance(extends, Scalar):
            service.entries["extends"] = _fields(extends, service=extends.value)
        gpus = service.get("gpus")
        if isinstance(gpus, Scalar):
            service.entries["gpus"] = Seq([_fields(gpus, count=gpus.value)], gpus.span)
        self._depends_on()
        self._env_file()
        self._ports()
        self._volumes()
        self._devices()
        hooks = service.get("pre_start")
        for at, hook in enumerate(hooks.items if isinstance(hooks, Seq) else ()):
            if isinstance(hook, Map):
                path = (*self._path, "pre_start", str(at))
                _Service(hook, path, self._report, self._budget, lenient=self._lenient).expand()
        _triggers(service)

    def _depends_on(self) -> None:
        node = self._service.get("depends_on")
        if isinstance(node, Seq):
            node = _names(node)
            for name, item in node.entries.items():
                required = Scalar(True, item.span, any_secret(item))
                node.entries[name] = Map({"required": required}, item.span)
            self._service.entries["depends_on"] = node
        if isinstance(node, Map):
            for item in node.entries.values():
                if isinstance(item, Map):
                    item.entries.setdefault("condition", Scalar("service_started", item.span))
                    item.entries.setdefault("required", Scalar(True, item.span))

    def _env_file(self) -> None:
        node = self._service.get("env_file")
        if isinstance(node, Scalar):
            node = Seq([node], node.span)
            self._service.entries["env_file"] = node
        if isinstance(node, Seq):
            node.items = [_fields(item, path=item.value) if isinstance(item, Scalar) else item for item in node.items]
            for item in node.items:
                if isinstance(item, Map):
                    item.entries.setdefault("required", Scalar(True, item.span))

    def _ports(self) -> None:
        node = self._service.get("ports")
        if not isinstance(node, Seq):
            return
        items: list[Node] = []
        for at, item in enumerate(node.items):
            if not isinstance(item, Scalar):
                items.append(item)
                continue
            try:
                ports = parse_port(str(item.value))  # 80.0 is no port
                self._budget.ports -= len(ports) - 1
                if self._budget.ports < 0:
                    message = f"all ranges of ports together have more than {PORTS} ports"
                    self._report.error("too-big", message, item.span, (*self._path, "ports", str(at)))
                    break
                items += _range(item, ports)
            except ValueError as wrong:
                if self._lenient and isinstance(item.value, str) and not isinstance(wrong, NoPort):
                    return  # all of them stay as they are
                self._report.error(
                    "bad-port", f"{quote(item)} {_why(wrong, item)}", item.span, (*self._path, "ports", str(at))
                )
        node.items = items

    def _volumes(self) -> None:
        node = self._service.get("volumes")
        if not isinstance(node, Seq):
            return
        items: list[Node] = []
        for at, item in enumerate(node.items):
            if not isinstance(item, Scalar):
                items.append(item)
                continue
            path = (*self._path, "volumes", str(at))
            try:
                volume = parse_volume(str(item.value))
            except ValueError as wrong:
                if not self._lenient or item.value == "" or str(item.value).startswith(":"):
                    self._report.error("bad-volume", f"{quote(item)} {_why(wrong, item)}", item.span, path)
                items.append(item)
                continue
            if self._lenient:
                volume.drive, volume.unknown = False, []
            if volume.drive and not volume.bind:
                message = f"{quote(item)} reads as a Windows drive and names no volume; use a longer name"
                self._report.warning("drive-letter", message, item.span, path)
            for option in volume.unknown:
                shown = REDACTED if any_secret(item) else option
                message = f'the option "{shown}" means nothing for a volume'
                self._report.warning("unknown-option", message, item.span, path)
            items.append(_volume(volume, item))
        node.items = items

    def _devices(self) -> None:
        node = self._service.get("devices")
        if not isinstance(node, Seq):
            return
        for at, item in enumerate(node.items):
            if not isinstance(item, Scalar):
                continue
            try:
                source, target, permissions = parse_device(str(item.value))
            except ValueError as wrong:
                if self._lenient:
                    node.items[at] = _fields(item, source="", target="", permissions="rwm")
                    continue
                self._report.error(
                    "bad-device", f"{quote(item)} {_why(wrong, item)}", item.span, (*self._path, "devices", str(at))
                )
                continue
            node.items[at] = _fields(item, source=source, target=target, permissions=permissions)


def _build(build: Map) -> None:
    _each(build, "secrets", lambda node: _fields(node, source=node.value))
    for key in ("provenance", "sbom"):
        node = build.get(key)
        if isinstance(node, Scalar) and not isinstance(node.value, str):
            build.entries[key] = Scalar(go_text(node.value), node.span, node.secret)
    for key in ("ssh", "additional_contexts"):
        if isinstance(node := build.get(key), Seq):
            build.entries[key] = pairs(node)


def pairs(node: Node) -> Map:
    """NAME=VALUE texts as a mapping; a name alone has no value."""
    if isinstance(node, Map):
        return node
    found = Map({}, node.span)
    for item in node.items if isinstance(node, Seq) else ():
        if isinstance(item, Scalar):
            name, equals, value = str(item.value).partition("=")
            found.put(name, Scalar(value if equals else None, item.span, item.secret), item.span)
    return found


def _triggers(service: Map) -> None:
    develop = service.get("develop")
    watch = develop.get("watch") if isinstance(develop, Map) else None
    for trigger in watch.items if isinstance(watch, Seq) else ():
        if not isinstance(trigger, Map):
            continue
        if "x-initialSync" in trigger.entries:  # its name before it was one
            trigger.entries.setdefault("initial_sync", trigger.entries["x-initialSync"])
            trigger.drop("x-initialSync")
        for key in ("ignore", "include"):
            if isinstance(node := trigger.get(key), Scalar):
                trigger.entries[key] = Seq([node], node.span)


def _each(owner: Map, key: str, long: Callable[[Scalar], Map]) -> None:
    node = owner.get(key)
    if isinstance(node, Seq):
        node.items = [long(item) if isinstance(item, Scalar) else item for item in node.items]


def _why(wrong: ValueError, item: Scalar) -> str:
    """What a parser said, unless it might show a part of a value that must stay hidden."""
    return "does not fit here" if item.secret else str(wrong)


def _fields(origin: Scalar, **values: Plain) -> Map:
    """A mapping whose leaves all come from one short text; None leaves a key out."""
    entries: dict[str, Node] = {
        key: Scalar(value, origin.span, origin.secret) for key, value in values.items() if value is not None
    }
    return Map(entries, origin.span)


def _range(origin: Scalar, ports: Sequence[ShortPort]) -> Iterator[Map]:
    """The long forms of one text, which may be a range of all ports: what they have in common is made once."""
    shared = {
        word: Scalar(word, origin.span, origin.secret) for port in ports for word in (port.host_ip, port.protocol)
    }
    mode = Scalar("ingress", origin.span, origin.secret)
    for port in ports:
        entries: dict[str, Node] = {"mode": mode}
        if port.host_ip:
            entries["host_ip"] = shared[port.host_ip]
        entries["target"] = Scalar(port.target, origin.span, origin.secret)
        if port.published:
            entries["published"] = Scalar(port.published, origin.span, origin.secret)
        entries["protocol"] = shared[port.protocol]
        yield Map(entries, origin.span)


def _names(node: Seq) -> Map:
    found = Map({}, node.span)
    for item in node.items:
        if isinstance(item, Scalar):
            found.put(str(item.value), Scalar(None, item.span, item.secret), item.span)
    return found


def _volume(volume: ShortVolume, origin: Scalar) -> Map:
    span, secret = origin.span, origin.secret
    out = _fields(
        origin,
        type="bind" if volume.bind else "volume",
        source=volume.source or None,
        target=clean_path(volume.target) if volume.target else None,
        read_only=True if volume.read_only else None,
    )
    if volume.bind or volume.propagation or volume.selinux:
        bind = _options(span, secret, selinux=volume.selinux, propagation=volume.propagation)
        bind.entries["create_host_path"] = Scalar(True, span)
        out.entries["bind"] = bind
    # A text of one or two characters takes a shorter way through compose's parser and gets no options.
    if (not volume.bind and len(str(origin.value).encode("utf-8", "surrogatepass")) > 2) or volume.nocopy:
        out.entries["volume"] = Map({"nocopy": Scalar(True, span)} if volume.nocopy else {}, span)
    return out


def _options(span: Span, secret: bool, **values: str) -> Map:
    return Map({key: Scalar(value, span, secret) for key, value in values.items() if value}, span)
