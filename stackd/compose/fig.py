"""`fig.yml`, the format before Compose: services at the top level, translated into today's keys.

Law: the translated tree keeps the span of every key and value, so a message points into fig.yml; container names keep
today's separator. What fig cannot say (networks, volumes, depends_on) is refused as it was then. No oracle exists: v5
rejects these files; the mapping is that of docker-compose 1.x for version 1 files.
What this module does NOT do: validate values; the common route does.
"""

from __future__ import annotations

from stackd.compose.report import Report, quote
from stackd.compose.short import is_path
from stackd.compose.tree import Map, Node, Scalar, Seq
from stackd.errors import Span

_RENAMED = {"net": "network_mode"}
_TOO_NEW = frozenset(("networks", "depends_on", "configs", "secrets", "deploy", "healthcheck", "profiles"))


def translate(root: Map, report: Report) -> Map:
    """The same definition with a `services:` key. A file that has one already is returned as it is."""
    if (
        "services" in root.entries
        and isinstance(root.entries["services"], Map)
        and not _is_service(root.entries["services"])
    ):
        return root
    services = Map({}, root.span)
    volumes = Map({}, root.span)
    for name, node in root.entries.items():
        if name.startswith("x-"):
            continue
        if not isinstance(node, Map):
            message = f'"{name}" is {quote(node)}; fig.yml holds services at its top level, each a mapping'
            report.error("bad-type", message, node.span, (name,))
            continue
        services.put(name, _service(name, node, report), root.keys.get(name))
        _named_volumes(node, volumes)
    out = Map({}, root.span)
    out.put("services", services, root.span)
    if volumes.entries:
        out.put("volumes", volumes)
    return out


def _is_service(node: Map) -> bool:
    """True for a service that happens to be called `services`."""
    return bool({"image", "build"} & node.entries.keys()) and not any(
        isinstance(item, Map) for item in node.entries.values()
    )


def _service(name: str, node: Map, report: Report) -> Map:
    out = Map({}, node.span)
    logging = Map({}, node.span)
    dockerfile: tuple[Node, Span] | None = None
    for key, item in node.entries.items():
        span = node.key_span(key)
        if key in _TOO_NEW:
            message = f'fig.yml has no "{key}"; move the file to compose.yaml, with the services under "services:"'
            report.error("unknown-key", message, span, (name, key))
        elif key == "log_driver":
            logging.put("driver", item, span)
        elif key == "log_opt":
            logging.put("options", item, span)
        elif key == "dockerfile":
            dockerfile = (item, span)
        else:
            out.put(_RENAMED.get(key, key), _mode(item) if key == "net" else item, span)
    if logging.entries:
        out.put("logging", logging)
    if dockerfile is not None:
        build = out.get("build")
        table = build if isinstance(build, Map) else Map({"context": build} if build is not None else {}, dockerfile[1])
        table.put("dockerfile", *dockerfile)
        out.put("build", table, out.keys.get("build"))
    if "network_mode" not in out.entries:
        # Everybody stood on the engine's one bridge; a network per stack gives the same names and keeps stacks apart.
        _drop_driver(out, report, name)
    return out


def _mode(node: Node) -> Node:
    """`net: container:web` meant the service web when there was one; names of services win there too."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.startswith("container:"):
        return Scalar(f"service:{node.value.removeprefix('container:')}", node.span, node.secret)
    return node


def _drop_driver(service: Map, report: Report, name: str) -> None:
    if "volume_driver" in service.entries:
        message = '"volume_driver" has no effect; name the volume in a compose.yaml and give it a driver there'
        report.warning("unsupported-key", message, service.key_span("volume_driver"), (name, "volume_driver"))
        service.drop("volume_driver")


def _named_volumes(service: Map, volumes: Map) -> None:
    """fig declared no volumes: a name before the colon simply was one, under exactly that name."""
    mounts = service.get("volumes")
    for item in mounts.items if isinstance(mounts, Seq) else ():
        if isinstance(item, Scalar) and isinstance(item.value, str) and ":" in item.value:
            name = item.value.split(":")[0]
            if len(name) > 1 and not is_path(name):
                volumes.put(name, Map({"name": Scalar(name, item.span)}, item.span), item.span)
