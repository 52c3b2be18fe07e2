"""`fig.yml`, the format before Compose: services at the top level, translated into today's keys.

Law: the translated tree keeps the span of every key and value, so a message points into fig.yml; each key that is read
as another one is told (`fig-translated`); container names keep today's separator. What fig could not say (networks,
depends_on, health checks) is refused as it was then. No oracle exists: v5 rejects these files; the keys and the
mapping are those of docker-compose 1.29.2 for files of version 1.
What this module does NOT do: validate values; the common route does.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackd.compose.report import Report, nearest, quote
from stackd.compose.rules import SERVICE
from stackd.compose.short import is_path
from stackd.compose.tree import Map, Node, Path, Scalar, Seq
from stackd.errors import Span

_KEYS = frozenset(
    (
        "build", "cap_add", "cap_drop", "cgroup_parent", "command", "container_name", "cpu_shares", "cpu_quota",
        "cpuset", "devices", "dns", "dns_search", "dockerfile", "domainname", "entrypoint", "env_file", "environment",
        "expose", "extends", "extra_hosts", "external_links", "hostname", "image", "ipc", "labels", "links",
        "log_driver", "log_opt", "mac_address", "mem_limit", "memswap_limit", "mem_swappiness", "net", "pid", "ports",
        "privileged", "read_only", "restart", "security_opt", "shm_size", "stdin_open", "stop_signal", "tty",
        "ulimits", "user", "volumes", "volume_driver", "volumes_from", "working_dir",
    )
)  # fmt: skip
"""Every key of a service in a file of version 1."""


def translate(root: Map, report: Report) -> Map:
    """The same definition with a `services:` key. A file that has one already is returned as it is."""
    if (
        "services" in root.entries
        and isinstance(root.entries["services"], Map)
        and not _is_service(root.entries["services"])
    ):
        return root
    return _File(root, report).translated()


def _is_service(node: Map) -> bool:
    """True for a service that happens to be called `services`."""
    return bool({"image", "build"} & node.entries.keys()) and not any(
        isinstance(item, Map) for item in node.entries.values()
    )


@dataclass(slots=True)
class _File:
    """The translation of one file."""

    root: Map
    report: Report

    def translated(self) -> Map:
        root, report = self.root, self.report
        services, volumes = Map({}, root.span), Map({}, root.span)
        for name, node in root.entries.items():
            if name.startswith("x-"):
                continue
            if not isinstance(node, Map):
                message = f'"{name}" is {quote(node)}; fig.yml holds services at its top level, each a mapping'
                report.error("bad-type", message, node.span, (name,))
                continue
            if not services.entries:
                self._note('the services of fig.yml stand below "services:" today', root.key_span(name), (name,))
            services.put(name, self._service(name, node, volumes), root.keys.get(name))
        out = Map({}, root.span)
        out.put("services", services, root.span)
        if volumes.entries:
            out.put("volumes", volumes)
        return out

    def _note(self, message: str, span: Span, path: Path) -> None:
        self.report.warning("fig-translated", message, span, path)

    def _service(self, name: str, node: Map, volumes: Map) -> Map:
        out = Map({}, node.span)
        for key, item in node.entries.items():
            span, path = node.key_span(key), (name, key)
            match key:
                case "net":
                    out.put("network_mode", self._mode(item), span)
                    self._note('"net" is "network_mode" today', span, path)
                case "log_driver" | "log_opt":
                    part = "driver" if key == "log_driver" else "options"
                    logging = out.get("logging")
                    if not isinstance(logging, Map):
                        out.put("logging", logging := Map({}, span), span)
                    logging.put(part, item, span)
                    self._note(f'"{key}" is "{part}" below "logging" today', span, path)
                case "volumes_from":
                    out.put(key, self._from(item, path), span)
                case "dockerfile" | "volume_driver":
                    pass  # with "build" and "volumes", wherever these stand
                case "links":
                    out.put(key, item, span)
                    self._note('"links" gives the names, and none of the variables that it once set', span, path)
                case _:
                    self._kept(out, key, item, node, path)
        self._build(out, node, name)
        self._volumes(node, volumes, name)
        return out

    def _kept(self, out: Map, key: str, item: Node, node: Map, path: Path) -> None:
        """A key that means today what it meant then, unless there was no such key."""
        span = node.key_span(key)
        if key in _KEYS or key.startswith("x-"):
            out.put(key, item, span)
        elif key in SERVICE.fields:
            message = f'fig.yml has no "{key}"; move the file to compose.yaml, with the services under "services:"'
            self.report.error("unknown-key", message, span, path)
        else:
            hint = nearest(key, _KEYS)
            self.report.error("unknown-key", f'"{path[0]}" has no key "{key}"', span, path, hint)

    def _mode(self, node: Node) -> Node:
        """`net: container:web` meant the service web when there was one, else a container of that name."""
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.startswith("container:"):
            other = node.value.removeprefix("container:")
            if other in self.root.entries:
                return Scalar(f"service:{other}", node.span, node.secret)
        return node

    def _from(self, node: Node, path: Path) -> Node:
        """`volumes_from: [other]` meant a container of that name when no service was called so."""
        if not isinstance(node, Seq):
            return node
        items: list[Node] = []
        for at, item in enumerate(node.items):
            text = item.value if isinstance(item, Scalar) else None
            if isinstance(item, Scalar) and isinstance(text, str) and text.partition(":")[0] not in self.root.entries:
                self._note(
                    f'{quote(item)} names no service, so it is "container:..." today', item.span, (*path, str(at))
                )
                item = Scalar(f"container:{text}", item.span, item.secret)
            items.append(item)
        return Seq(items, node.span)

    def _build(self, out: Map, node: Map, name: str) -> None:
        file = node.get("dockerfile")
        if file is None:
            return
        span, build = node.key_span("dockerfile"), out.get("build")
        table = build if isinstance(build, Map) else Map({} if build is None else {"context": build}, span)
        table.put("dockerfile", file, span)
        out.put("build", table, out.keys.get("build", span))
        self._note(
            '"dockerfile" stands below "build" today, and the folder is its "context"', span, (name, "dockerfile")
        )

    def _volumes(self, node: Map, volumes: Map, name: str) -> None:
        """fig declared no volumes: a name before the colon simply was one, under exactly that name."""
        driver, mounts = node.get("volume_driver"), node.get("volumes")
        for item in mounts.items if isinstance(mounts, Seq) else ():
            if not isinstance(item, Scalar) or not isinstance(item.value, str) or ":" not in item.value:
                continue
            volume = item.value.split(":")[0]
            if len(volume) < 2 or is_path(volume):
                continue
            if volume not in volumes.entries:
                volumes.put(volume, Map({"name": Scalar(volume, item.span, item.secret)}, item.span), item.span)
                message = (
                    f'the volume {quote(Scalar(volume, item.span, item.secret))} is defined below "volumes:" today'
                )
                self._note(message, item.span, (name, "volumes"))
            table = volumes.entries[volume]
            if driver is not None and isinstance(table, Map):
                table.entries.setdefault("driver", driver)
        if driver is not None:
            message = '"volume_driver" is "driver" of each volume below "volumes:" today'
            self._note(message, node.key_span("volume_driver"), (name, "volume_driver"))
