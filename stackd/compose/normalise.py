"""What a definition leaves unsaid, said: defaults, absolute paths, names, the default network, implied dependencies.

Law: works in place on the merged, expanded tree; an implied node carries the span of what implied it. The outcome
equals docker compose's normalised model.
What this module does NOT do: turn values into Go's forms (`decode`).
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass

from stackd.compose.before import inherit
from stackd.compose.expand import clean_path, pairs
from stackd.compose.interpolate import to_bool
from stackd.compose.remote import is_remote
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, Plain, Scalar, Seq, any_secret, is_null

_WINDOWS = re.compile(r"[a-zA-Z]:[\\/]|\\\\")
_REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")


@dataclass(frozen=True, slots=True)
class _Around:
    """From where paths are seen: a folder, and a home for `~`."""

    folder: str
    home: str


def settle(root: Map, folder: str, home: str, *, resolved: bool = True) -> None:
    """What is true of a definition wherever it is included: defaults, and paths made absolute."""
    for _, service in services(root):
        _defaults(service)
    if resolved:
        paths(root, folder, home)


def paths(root: Map, folder: str, home: str) -> None:
    """Make every path absolute, as seen from `folder`."""
    around = _Around(folder, home)
    for _, service in services(root):
        _paths(service, around)
    _top_paths(root, around)


def normalise(root: Map, name: str, variables: Variables, *, decoded: bool = True) -> None:
    """Complete the settled tree of the project `name` in place. Not `decoded`: a list of NAME=VALUE stays a list."""
    _networks(root)
    for _, service in services(root):
        _service(service, variables, decoded)
    _names(root, name)


def look_up(root: Map, variables: Variables, *, decoded: bool = True) -> None:
    """What is done even where nothing is to be completed: names without value take their variable, but those of a
    mapping that is not `decoded`.
    """
    for _, service in services(root):
        node = service.get("environment")
        if node is not None and (decoded or isinstance(node, Seq)):
            service.entries["environment"] = _looked_up(node, variables, keep=True, decoded=decoded)
    for section in ("networks", "volumes", "secrets", "configs") if decoded else ():
        table = root.get(section)
        for key, resource in table.entries.items() if isinstance(table, Map) else ():
            if is_null(resource) and isinstance(table, Map):
                table.entries[key] = Map({}, resource.span)


def services(root: Map) -> Iterator[tuple[str, Map]]:
    """Every service with its name, in file order."""
    table = root.get("services")
    for name, service in table.entries.items() if isinstance(table, Map) else ():
        if isinstance(service, Map):
            yield name, service


def text(node: Node | None) -> str:
    """The text of a leaf, "" for anything else."""
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""


def items(node: Node | None) -> list[Node]:
    """The items of a list, [] for anything else."""
    return node.items if isinstance(node, Seq) else []


def _default(node: Map, key: str, value: Plain) -> None:
    if key not in node.entries:
        node.entries[key] = Scalar(value, node.span)


def _defaults(service: Map) -> None:
    build = service.get("build")
    if isinstance(build, Map):
        _default(build, "context", ".")
    for port in items(service.get("ports")):
        if isinstance(port, Map):
            _default(port, "protocol", "tcp")
            _default(port, "mode", "ingress")
    for request in [*items(service.get("gpus")), *items(reserved(service))]:
        if isinstance(request, Map) and "device_ids" not in request.entries:
            _default(request, "count", "all")
    for secret in items(service.get("secrets")):
        if isinstance(secret, Map):
            _default(secret, "target", f"/run/secrets/{text(secret.get('source'))}")


def reserved(service: Map) -> Node | None:
    """The devices that a service reserves."""
    node: Node | None = service
    for key in ("deploy", "resources", "reservations", "devices"):
        node = node.get(key) if isinstance(node, Map) else None
    return node


def absolute(path: str, folder: str, home: str) -> str:
    """`path` seen from `folder`, with `~` resolved."""
    if path.startswith("~") and home:
        path = clean_path(f"{home}/{path[1:]}")
    return path if path.startswith("/") or not path or _WINDOWS.match(path) else clean_path(os.path.join(folder, path))


def _resolve(owner: Map, key: str, around: _Around) -> None:
    node = owner.get(key)
    if isinstance(node, Scalar) and isinstance(node.value, str):
        owner.entries[key] = _absolute(node, around)


def _absolute(node: Node, around: _Around) -> Scalar:
    """A path made absolute, with what the file says of it."""
    written = (node.written if isinstance(node, Scalar) else "") or text(node)
    return Scalar(absolute(text(node), around.folder, around.home), node.span, any_secret(node), written)


def _folder_if_empty(owner: Map, key: str, around: _Around) -> None:
    """No path at all, seen from the folder, is the folder."""
    node = owner.get(key)
    if isinstance(node, Scalar) and node.value == "":
        owner.entries[key] = Scalar(around.folder, node.span, node.secret)


def _paths(service: Map, around: _Around) -> None:
    build = service.get("build")
    if isinstance(build, Map):
        context = text(build.get("context"))
        if "://" not in context and not context.startswith((*_REMOTE, "service:")):
            _resolve(build, "context", around)
        keys, table = build.get("ssh"), build.get("additional_contexts")
        if isinstance(keys, Map):
            for key in keys.entries:
                _resolve(keys, key, around)
        if isinstance(table, Map):
            for key, item in list(table.entries.items()):
                if "://" not in text(item) and not text(item).startswith((*_REMOTE, "service:")):
                    _resolve(table, key, around)
    for env_file in items(service.get("env_file")):
        if isinstance(env_file, Map):
            _resolve(env_file, "path", around)
    for mount in items(service.get("volumes")):
        if isinstance(mount, Map) and text(mount.get("type")) == "bind":
            _folder_if_empty(mount, "source", around)
            _resolve(mount, "source", around)
    develop = service.get("develop")
    for trigger in items(develop.get("watch")) if isinstance(develop, Map) else ():
        if isinstance(trigger, Map):
            _resolve(trigger, "path", around)
    for hook in items(service.get("pre_start")):
        if isinstance(hook, Map):
            _paths(hook, around)
    extends = service.get("extends")
    if isinstance(extends, Map) and not is_remote(text(extends.get("file"))):
        _resolve(extends, "file", around)
    labels = service.get("label_file")
    if isinstance(labels, Seq):
        labels.items = [_absolute(item, around) for item in labels.items]


def _top_paths(root: Map, around: _Around) -> None:
    for section in ("secrets", "configs"):
        table = root.get(section)
        for resource in table.entries.values() if isinstance(table, Map) else ():
            if isinstance(resource, Map):
                _folder_if_empty(resource, "file", around)
                _resolve(resource, "file", around)
    volumes = root.get("volumes")
    for volume in volumes.entries.values() if isinstance(volumes, Map) else ():
        options = (
            volume.get("driver_opts") if isinstance(volume, Map) and text(volume.get("driver")) == "local" else None
        )
        if isinstance(options, Map) and text(options.get("o")) == "bind":
            _folder_if_empty(options, "device", around)
            _resolve(options, "device", around)


def _networks(root: Map) -> None:
    """A service that names no network stands on `default`, which exists only if somebody stands on it."""
    used = None
    for _, service in services(root):
        if "provider" in service.entries or "network_mode" in service.entries:
            continue
        node = service.get("networks")
        if not isinstance(node, Map) or not node.entries:
            service.entries["networks"] = Map({"default": Scalar(None, service.span)}, service.span)
            used = used or service.span
        elif "default" in node.entries:
            used = used or node.span
    if used is not None:
        table = root.get("networks")
        if not isinstance(table, Map):
            table = Map({}, used)
            root.entries["networks"] = table
        _default(table, "default", None)


def _service(service: Map, variables: Variables, decoded: bool) -> None:
    if text(service.get("pull_policy")) == "if_not_present":
        service.entries["pull_policy"] = Scalar("missing", service.entries["pull_policy"].span)
    build = service.get("build")
    if isinstance(build, Map):
        if is_null(build.get("dockerfile")) and is_null(build.get("dockerfile_inline")):
            build.entries["dockerfile"] = Scalar("Dockerfile", build.span)
        if "args" in build.entries:
            build.entries["args"] = _looked_up(build.entries["args"], variables, keep=False, decoded=decoded)
    if (node := service.get("environment")) is not None:
        service.entries["environment"] = _looked_up(node, variables, keep=True, decoded=decoded)
    deploy, scale = service.get("deploy"), service.get("scale")
    if isinstance(deploy, Map) and isinstance(scale, Scalar) and is_null(deploy.get("replicas")):
        deploy.entries["replicas"] = Scalar(scale.value, scale.span)
    for mount in items(service.get("volumes")):
        if isinstance(mount, Map):
            target = mount.get("target")
            if isinstance(target, Scalar):
                mount.entries["target"] = Scalar(clean_path(text(target)), target.span, target.secret)
    inherit(service)
    _implied(service)


def _looked_up(node: Node, variables: Variables, *, keep: bool, decoded: bool) -> Node:
    """A table in which a name without value takes the project's variable of that name."""
    if not decoded and isinstance(node, Seq):
        found = [_assigned(item, variables) for item in node.items]
        return Seq([item for item in found if keep or "=" in text(item)], node.span)
    table = pairs(node)
    for name, item in list(table.entries.items()):
        if not is_null(item):
            continue
        given = variables.find(name)
        if given is not None:
            table.entries[name] = Scalar(given[0], item.span, given[1])
        elif not keep:
            table.drop(name)
    return table


def _assigned(item: Node, variables: Variables) -> Node:
    """NAME=VALUE of a name that is a variable's."""
    given = variables.find(text(item)) if "=" not in text(item) else None
    return item if given is None else Scalar(f"{text(item)}={given[0]}", item.span, given[1])


def spell_out(root: Map) -> None:
    """Say of every bind mount that its folder is made: whoever shows the tree as it is shows this, too."""
    for _, service in services(root):
        for mount in items(service.get("volumes")):
            bind = mount.get("bind") if isinstance(mount, Map) else None
            if isinstance(bind, Map):
                _default(bind, "create_host_path", True)


def resolve_listed(root: Map, variables: Variables, held: tuple[tuple[str, str], ...] = ()) -> None:
    """A name listed without a value, as the file that it is in sees it: what includes that one may see another.

    `held`: sections whose resources keep what their variable is, and the key for it.
    """
    for _, service in services(root):
        node = service.get("environment")
        if isinstance(node, Seq):
            node.items = [_assigned(item, variables) for item in node.items]
    for section, key in held:
        table = root.get(section)
        for resource in table.entries.values() if isinstance(table, Map) else ():
            node = resource.get("environment") if isinstance(resource, Map) else None
            given = variables.find(text(node)) if node is not None else None
            if given is not None and isinstance(resource, Map):
                resource.entries[key] = Scalar(given[0], resource.span, True)


def _implied(service: Map) -> None:
    """Dependencies that links, shared namespaces and volumes_from imply; what is declared stands."""
    wanted: list[tuple[str, bool, Node]] = []
    for link in items(service.get("links")):
        wanted.append((_linked(text(link)), True, link))
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        node = service.get(key)
        if node is not None and text(node).startswith("service:"):
            wanted.append((text(node).removeprefix("service:"), True, node))
    for source in items(service.get("volumes_from")):
        if not text(source).startswith("container:"):
            wanted.append((text(source).split(":")[0], False, source))
    if not wanted:
        return
    table = service.get("depends_on")
    if not isinstance(table, Map):
        table = Map({}, wanted[0][2].span)
        service.entries["depends_on"] = table
    for name, restart, origin in wanted:
        if name not in table.entries:
            fields: dict[str, Plain] = {
                "condition": "service_started",
                "restart": restart,
                "required": True,
                IMPLICIT: True,
            }
            table.entries[name] = Map(
                {key: Scalar(value, origin.span, any_secret(origin)) for key, value in fields.items()}, origin.span
            )


IMPLICIT = "#implicit"
"""Marks a dependency that nobody declared, on its way to `Dependency.implicit`."""


def _linked(link: str) -> str:
    parts = link.split(":")
    return parts[0] if len(parts) == 2 else link


def _names(root: Map, project: str) -> None:
    for section in ("networks", "volumes", "configs", "secrets"):
        table = root.get(section)
        for key, resource in list(table.entries.items()) if isinstance(table, Map) else ():
            if not isinstance(resource, Map):
                resource = Map({}, table.key_span(key) if isinstance(table, Map) else resource.span)
            if is_null(resource.get("name")):
                name = key if _true(resource.get("external")) else f"{project}_{key}"
                resource.entries["name"] = Scalar(name, resource.span)
            if isinstance(table, Map):
                table.entries[key] = resource


def _true(node: Node | None) -> bool:
    if not isinstance(node, Scalar):
        return False
    return to_bool(node.value) is True if isinstance(node.value, str) else node.value is True
