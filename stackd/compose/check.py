"""References within a definition: does everything that is named exist, and does nothing wait for itself.

Law: what docker compose refuses is refused, with all findings at once and each at its place. Works on the normalised
tree.
What this module does NOT do: check single values (`rules`, `alone`).
"""

from __future__ import annotations

import graphlib

from stackd.compose import alone
from stackd.compose.advice import define
from stackd.compose.agree import agree
from stackd.compose.confidential import key_shown
from stackd.compose.gonumbers import int64
from stackd.compose.normalise import items, services, text
from stackd.compose.report import Report, nearest, quote
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, any_secret, is_null
from stackd.errors import Span


def check(root: Map, left_out: frozenset[str], report: Report) -> None:
    """Report every broken reference. `left_out`: services that no enabled profile asks for; they are not checked."""
    everyone = dict(services(root))
    for name, service in everyone.items():
        if name not in left_out:
            _Service(root, everyone, left_out, name, report).check(service)
    _secrets(root, report)
    _container_names(everyone, left_out, report)
    _cycles(everyone, left_out, report)


def _secrets(root: Map, report: Report) -> None:
    """A secret says where its content is even if a driver could know."""
    table = root.get("secrets")
    for key, resource in table.entries.items() if isinstance(table, Map) else ():
        if not isinstance(resource, Map) or _is(resource.get("external"), True):
            continue
        if not text(resource.get("file")) and not text(resource.get("environment")):
            alone.no_source(report, ("secrets", key), table, ("file", "environment"))


def _container_names(everyone: dict[str, Map], left_out: frozenset[str], report: Report) -> None:
    taken: dict[str, str] = {}
    for name, service in everyone.items():
        node = service.get("container_name")
        if node is None or name in left_out:
            continue
        if (other := taken.setdefault(text(node), name)) != name:
            message = f'the container name {quote(node)} is already that of "{other}"'
            report.error("duplicate-name", message, node.span, ("services", name, "container_name"))


def _cycles(everyone: dict[str, Map], left_out: frozenset[str], report: Report) -> None:
    graph = {
        name: [dep for dep in _dependencies(service) if dep in everyone]
        for name, service in everyone.items()
        if name not in left_out
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as cycle:
        found = list(reversed(cycle.args[1]))
        table = everyone[found[0]].get("depends_on")
        span = table.key_span(found[1]) if isinstance(table, Map) else everyone[found[0]].span
        message = "services wait for each other: " + " -> ".join(found)
        hint = "one of them has to start first: it may not wait for the other"
        report.error("dependency-cycle", message, span, ("services", found[0], "depends_on"), hint)


def _dependencies(service: Map) -> list[str]:
    table = service.get("depends_on")
    return list(table.entries) if isinstance(table, Map) else []


def _unchecked(service: Map) -> bool:
    """Whether the file says that there is no health check; where it says nothing, the image may have one."""
    check = service.get("healthcheck")
    if not isinstance(check, Map):
        return False
    test = check.get("test")
    first = text(next(iter(items(test)), None)) if isinstance(test, Seq) else text(test)
    return _is(check.get("disable"), True) or first == "NONE"


def _is_endless(service: Map) -> bool:
    deploy = service.get("deploy")
    policy = deploy.get("restart_policy") if isinstance(deploy, Map) else None
    if isinstance(policy, Map):
        return text(policy.get("condition")) in ("", "any", "always", "unless-stopped")
    return text(service.get("restart")) in ("always", "unless-stopped")


def _is(node: Node | None, value: object) -> bool:
    return isinstance(node, Scalar) and node.value is value


class _Service:
    """The checks of one service."""

    def __init__(
        self, root: Map, everyone: dict[str, Map], left_out: frozenset[str], name: str, report: Report
    ) -> None:
        self._root, self._everyone, self._left_out = root, everyone, left_out
        self._name, self._report = name, report

    def _path(self, *parts: str) -> Path:
        return ("services", self._name, *parts)

    def check(self, service: Map) -> None:
        nothing = is_null(service.get("build")) and not text(service.get("image"))
        if nothing and "provider" not in service.entries and not self._excused():
            message = f'"{self._name}" has neither "image" nor "build"'
            hint = f'write "image: NAME" below "{self._name}:", or "build: FOLDER" of a folder with a Dockerfile'
            self._report.error("missing-key", message, self._place(service), self._path(), hint)
        build = service.get("build")
        if (
            isinstance(build, Map)
            and not is_null(build.get("dockerfile_inline"))
            and not is_null(build.get("dockerfile"))
        ):
            message = '"dockerfile" and "dockerfile_inline" exclude each other'
            self._report.error("bad-value", message, build.key_span("dockerfile_inline"), self._path("build"))
        self._platform(service, build)
        environment = service.get("environment")
        for key in environment.entries if isinstance(environment, Map) else ():
            if key[-1:].isspace():
                message = f'the variable name "{key_shown(key)}" ends in a space; write NAME=VALUE'
                span = environment.key_span(key) if isinstance(environment, Map) else service.span
                self._report.error("bad-name", message, span, self._path("environment"))
        agree(self._root, self._name, service, self._report)
        self._networks(service)
        self._volumes(service)
        self._depends(service)
        self._shared(service)
        self._scale(service)
        for section in ("secrets", "configs"):
            for item in items(service.get(section)):
                if isinstance(item, Map):
                    source = item.get("source")
                    if source is None or not text(source):
                        message = f'an entry of "{section}" needs "source"'
                        self._report.error("missing-key", message, item.span, self._path(section))
                    else:
                        self._defined(section, source, (section,))

    def _place(self, service: Map) -> Span:
        """Where the service's name stands."""
        table = self._root.get("services")
        return table.key_span(self._name) if isinstance(table, Map) else service.span

    def _excused(self) -> bool:
        """Whether what would give the image is there, but wrong."""
        keys = ("image", "build", "extends")
        return any(self._report.told(self._path(key)) or self._report.misspelt(self._path(), key) for key in keys)

    def _platform(self, service: Map, build: Node | None) -> None:
        platform = service.get("platform")
        listed = items(build.get("platforms")) if isinstance(build, Map) else []
        if platform is not None and text(platform) and listed and text(platform) not in map(text, listed):
            message = f'"platform" is {quote(platform)}, which "build.platforms" does not list'
            self._report.error("bad-value", message, platform.span, self._path("platform"))

    def _defined(self, section: str, node: Node | None, path: tuple[str, ...]) -> None:
        table = self._root.get(section)
        known = table.entries if isinstance(table, Map) else {}
        if node is not None and text(node) not in known:
            if self._report.wrong((section, text(node))):
                return
            message = f'{quote(node)} is not defined under the top-level "{section}"'
            hint = nearest(text(node), known) or ("" if any_secret(node) else define(section, text(node)))
            self._report.error(f"undefined-{section[:-1]}", message, node.span, self._path(*path), hint)

    def _networks(self, service: Map) -> None:
        node = service.get("networks")
        if not isinstance(node, Map):
            return
        mode = service.get("network_mode")
        if mode is not None and text(mode) and node.entries:
            message = '"network_mode" and "networks" exclude each other'
            self._report.error("bad-value", message, service.key_span("network_mode"), self._path("network_mode"))
        for key in node.entries:
            self._defined("networks", Scalar(key, node.key_span(key), any_secret(node.entries[key])), ("networks", key))

    def _volumes(self, service: Map) -> None:
        taken: set[str] = set()
        tmpfs = service.get("tmpfs")
        for at, item in enumerate([tmpfs] if isinstance(tmpfs, Scalar) else items(tmpfs)):
            self._mounted_once(text(item).partition(":")[0], item, taken, ("tmpfs", str(at)))
        for at, mount in enumerate(items(service.get("volumes"))):
            if not isinstance(mount, Map):
                continue
            source, target = mount.get("source"), mount.get("target")
            path = ("volumes", str(at))
            if text(mount.get("type")) == "volume" and text(source):
                self._defined("volumes", source, path)
            if target is not None:
                self._mounted_once(text(target), target, taken, path)

    def _mounted_once(self, folder: str, node: Node, taken: set[str], path: tuple[str, ...]) -> None:
        if folder in taken:
            shown = quote(Scalar(folder, node.span, any_secret(node)))
            self._report.error("duplicate-mount", f"{shown} is mounted twice", node.span, self._path(*path))
        taken.add(folder)

    def _depends(self, service: Map) -> None:
        table = service.get("depends_on")
        for name, item in table.entries.items() if isinstance(table, Map) else ():
            span = table.key_span(name) if isinstance(table, Map) else item.span
            shown = quote(Scalar(name, span, any_secret(item)))
            optional = isinstance(item, Map) and _is(item.get("required"), False)
            if name in self._everyone and name not in self._left_out:
                if not optional:
                    self._condition(name, item)
                continue
            if name in self._left_out:
                if not optional:
                    message = f'"{self._name}" needs {shown}, which no enabled profile starts'
                    hint = f'give both the same profile, or write "required: false" below {shown}'
                    self._report.error("inactive-service", message, span, self._path("depends_on", name), hint)
            elif not self._report.wrong(("services", name)):
                message = f'"{self._name}" needs the service {shown}, which is not defined'
                self._report.error(
                    "undefined-service", message, span, self._path("depends_on", name), nearest(name, self._everyone)
                )

    def _condition(self, name: str, item: Node) -> None:
        """A condition that can never come true: docker compose finds out on `up`, so it is a warning here."""
        other, wanted = self._everyone[name], item.get("condition") if isinstance(item, Map) else None
        if wanted is None:
            return
        why = ""
        if text(wanted) == "service_healthy" and _unchecked(other):
            why = f'"{name}" has its health check disabled, so it never becomes healthy'
        elif text(wanted) == "service_completed_successfully" and _is_endless(other):
            why = f'"{name}" is restarted always, so it never completes'
        if why:
            message = f'"{self._name}" can never start: {why}'
            self._report.warning(
                "impossible-condition", message, wanted.span, self._path("depends_on", name, "condition")
            )

    def _shared(self, service: Map) -> None:
        """The engine lets another container into an IPC namespace only if its owner says so."""
        node = service.get("ipc")
        owner = self._everyone.get(text(node).removeprefix("service:")) if text(node).startswith("service:") else None
        if node is not None and owner is not None and text(owner.get("ipc")) not in ("shareable", "host"):
            name = text(node).removeprefix("service:")
            message = f'"{name}" does not say "ipc: shareable", so the engine may refuse to share its IPC namespace'
            self._report.warning("ipc-not-shareable", message, node.span, self._path("ipc"))

    def _scale(self, service: Map) -> None:
        deploy = service.get("deploy")
        replicas = deploy.get("replicas") if isinstance(deploy, Map) else None
        counts = [
            node
            for node in (service.get("scale"), replicas)
            if isinstance(node, Scalar) and isinstance(node.value, int | float)
        ]
        for node in counts:
            if isinstance(node.value, int | float) and int64(node.value) < 0:
                self._report.error(
                    "bad-value", "a number of containers cannot be negative", node.span, self._path("scale")
                )
        if len(counts) == 2 and counts[0].value != counts[1].value:
            message = f'"scale" is {quote(counts[0])} and "deploy.replicas" is {quote(counts[1])}; they must agree'
            self._report.error("bad-value", message, counts[0].span, self._path("scale"))
        if (
            counts
            and isinstance(counts[0].value, int | float)
            and counts[0].value > 1
            and text(service.get("container_name"))
        ):
            message = 'a "container_name" names one container, so there cannot be several'
            self._report.error("bad-value", message, service.key_span("container_name"), self._path("container_name"))
