"""Values that are wrong by themselves, whatever stands beside them: docker compose refuses them in every definition.

Law: it does so even where references are left as they are written, where nothing is checked against anything else, and
in services that no profile asks for. Works on the expanded tree; each finding stands at its place.
What this module does NOT do: look for what is named (`check`), or compare values (`agree`).
"""

from __future__ import annotations

import ipaddress

from stackd.compose.normalise import items, reserved, services, text
from stackd.compose.report import Report, quote
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, is_null

_RESOURCES = ("networks", "volumes", "secrets", "configs")
_CONTENTS = {"secrets": ("file", "environment"), "configs": ("file", "environment", "content")}


def judge(root: Map, report: Report, *, paths_resolved: bool = True) -> None:
    """Report every such value. `paths_resolved`: paths were made absolute, so every bind mount had to have one."""
    for name, service in services(root):
        path = ("services", name)
        for at, port in enumerate(items(service.get("ports"))):
            _port(port, (*path, "ports", str(at)), report)
        for at, mount in enumerate(items(service.get("volumes"))):
            if isinstance(mount, Map):
                _mount(mount, (*path, "volumes", str(at)), report, paths_resolved)
        _triggers(service, (*path, "develop", "watch"), report)
        for request in [*items(service.get("gpus")), *items(reserved(service))]:
            if isinstance(request, Map) and "device_ids" in request.entries and "count" in request.entries:
                message = '"count" and "device_ids" exclude each other'
                report.error("bad-value", message, request.key_span("device_ids"), path)
    _external(root, report)
    _file_objects(root, report)


def shaped(root: Map, report: Report, *, paths_resolved: bool = True) -> None:
    """Report what cannot even be walked through; all else may be there where no rule is asked."""
    for section in ("services", *_RESOURCES):
        table = root.get(section)
        if table is not None and not isinstance(table, Map):
            report.error("bad-type", f'"{section}" wants a mapping, found {quote(table)}', table.span, (section,))
        for key, item in table.entries.items() if isinstance(table, Map) else ():
            if not isinstance(item, Map) and (section == "services" or not is_null(item)):
                report.error("bad-type", f'"{key}" wants a mapping, found {quote(item)}', item.span, (section, key))
    for name, service in services(root):
        for key in ("ports", "volumes"):
            node = service.get(key)
            if node is not None and not isinstance(node, Seq):
                path = ("services", name, key)
                report.error("bad-type", f'"{key}" wants a list, found {quote(node)}', node.span, path)
        for at, mount in enumerate(items(service.get("volumes"))):
            if isinstance(mount, Map):
                _mount(mount, ("services", name, "volumes", str(at)), report, paths_resolved)


def _port(port: Node, path: Path, report: Report) -> None:
    if not isinstance(port, Map):
        return
    if port.get("target") is None and not report.told((*path, "target")):
        report.error("missing-key", 'a port needs "target"', port.span, path)
    address = port.get("host_ip")
    if address is None:
        return
    try:
        ipaddress.ip_address("%" if "%" in text(address) else text(address))
    except ValueError:
        report.error("bad-port", f"{quote(address)} is no IP address", address.span, (*path, "host_ip"))


def _mount(mount: Map, path: Path, report: Report, paths_resolved: bool) -> None:
    if paths_resolved and text(mount.get("type")) == "bind" and mount.get("source") is None:
        report.error("missing-key", 'a bind mount needs "source"', mount.span, path)
    if mount.get("target") is None:
        report.error("missing-key", 'a mount needs "target"', mount.span, path)


def _triggers(service: Map, path: Path, report: Report) -> None:
    develop = service.get("develop")
    for trigger in items(develop.get("watch")) if isinstance(develop, Map) else ():
        place = trigger.get("path") if isinstance(trigger, Map) else None
        if place is not None and not text(place):
            report.error("bad-value", '"path" is empty, wants a path', place.span, path)


def _external(root: Map, report: Report) -> None:
    """An external volume has nothing but a name; whether it is one cannot be left to a reference."""
    table = root.get("volumes")
    for key, resource in table.entries.items() if isinstance(table, Map) else ():
        external = resource.get("external") if isinstance(resource, Map) else None
        if not isinstance(resource, Map) or not isinstance(external, Scalar) or external.value is False:
            continue
        if external.value is not True and not is_null(external):
            message = f'"external" is {quote(external)}, wants true or false'
            report.error("bad-value", message, external.span, ("volumes", key, "external"))
        for other in resource.entries:
            if external.value is True and other not in ("name", "external") and not other.startswith("x-"):
                message = f'"{key}" is external, so "{other}" cannot be set here'
                report.error("bad-external", message, resource.key_span(other), ("volumes", key, other))


def _file_objects(root: Map, report: Report) -> None:
    """Secrets and configs say once where their content is, unless somebody else knows."""
    for section, choices in _CONTENTS.items():
        table = root.get(section)
        for key, resource in table.entries.items() if isinstance(table, Map) else ():
            if isinstance(resource, Map):
                given = [choice for choice in choices if choice in resource.entries]
                elsewhere = not {"external", "driver"}.isdisjoint(resource.entries)
                if len(given) > 1:
                    message = f'"{key}" has both "{given[0]}" and "{given[1]}", wants one of {", ".join(choices)}'
                    report.error("bad-value", message, resource.key_span(given[1]), (section, key))
                elif not (given or elsewhere):
                    no_source(report, (section, key), table, choices)


def no_source(report: Report, path: Path, table: Node | None, choices: tuple[str, ...]) -> None:
    """Report a secret or config that does not say where its content is, at its name."""
    key = path[-1]
    if isinstance(table, Map):
        message = f'"{key}" does not say where its content is; one of {", ".join(choices)} is missing'
        report.error("bad-value", message, table.key_span(key), path, f'write "file: PATH" below "{key}:"')
