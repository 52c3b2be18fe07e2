"""An engine that only writes down what it is asked to create: the real docker compose talks to it over a unix socket.

It answers just enough for `docker-compose create` to go through: every image is there, nothing else is.
"""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from stackd.compose.tree import Json

_EXTERNAL = {"proxy": "e" * 64, "ext2": "f" * 64}
IMAGE_ID = "sha256:" + "ab" * 32


@dataclass(slots=True)
class Recorded:
    """What was asked for, in order. `containers` by name."""

    containers: dict[str, dict[str, Json]] = field(default_factory=dict)
    platforms: dict[str, str] = field(default_factory=dict)
    networks: dict[str, dict[str, Json]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Json]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    connects: list[tuple[str, dict[str, Json]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def new_id(self, name: str) -> str:
        """A 64-digit id for a name."""
        return self.ids.setdefault(name, f"{len(self.ids) + 1:064x}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorded: Recorded
    api = "1.51"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _send(self, value: Json, status: int = 200) -> None:
        body = b"" if status == 204 else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.api)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._send({})

    def do_GET(self) -> None:
        path = re.sub(r"^/v1\.\d+", "", urlsplit(self.path).path)
        seen = self.recorded
        found = re.fullmatch(r"/(images|containers|networks|volumes)/(.+?)(/json)?", path)
        if path == "/_ping":
            self._send("OK")
        elif path == "/version":
            self._send(
                {"Version": "28.0.0", "ApiVersion": self.api, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
            )
        elif path == "/info":
            self._send({"OSType": "linux", "Architecture": "x86_64", "Swarm": {"LocalNodeState": "inactive"}})
        elif path == "/containers/json":
            self._send([self._row(name, body) for name, body in seen.containers.items() if self._wanted(body)])
        elif path == "/networks":
            external: list[Json] = [{"Name": name, "Id": identity} for name, identity in _EXTERNAL.items()]
            self._send(
                [
                    *({"Name": name, "Id": seen.new_id("n:" + name), **body} for name, body in seen.networks.items()),
                    *external,
                ]
            )
        elif path == "/volumes":
            self._send({"Volumes": [{**body} for body in seen.volumes.values()], "Warnings": None})
        elif found is not None:
            self._one(found.group(1), found.group(2))
        else:
            seen.unknown.append(f"GET {path}")
            self._send({"message": "unknown"}, 404)

    def _one(self, kind: str, name: str) -> None:
        seen = self.recorded
        if kind == "images":
            self._send(
                {"Id": IMAGE_ID, "RepoTags": [name], "Config": {}, "Os": "linux", "Architecture": "amd64", "RootFS": {}}
            )
        elif kind == "networks" and name in seen.networks:
            self._send({"Name": name, "Id": seen.new_id("n:" + name), **seen.networks[name]})
        elif kind == "volumes" and (name in seen.volumes or name in ("vc", "real")):
            self._send({"Name": name, **seen.volumes.get(name, {})})
        elif kind == "containers":
            match = next((one for one in seen.containers if name in (one, seen.new_id("c:" + one))), None)
            if match is None:
                self._send({"message": "No such container"}, 404)
            else:
                held: dict[str, Json] = {"State": {"Status": "created"}, "Config": {}, "HostConfig": {}, "Mounts": []}
                self._send(
                    {"Id": seen.new_id("c:" + match), "Name": f"/{match}", **held, "NetworkSettings": {"Networks": {}}}
                )
        else:
            self._send({"message": f"no such {kind}: {name}"}, 404)

    def _wanted(self, body: dict[str, Json]) -> bool:
        filters = json.loads(parse_qs(urlsplit(self.path).query).get("filters", ["{}"])[0])
        labels = body.get("Labels")
        if not isinstance(labels, dict):
            return False
        for wanted in filters.get("label", {}):
            key, equals, value = wanted.partition("=")
            if key not in labels or (equals and labels[key] != value):
                return False
        return True

    def _row(self, name: str, body: dict[str, Json]) -> dict[str, Json]:
        """A container as the engine lists it: on its networks, with its volumes."""
        seen = self.recorded
        networking, host = body.get("NetworkingConfig"), body.get("HostConfig")
        endpoints = networking.get("EndpointsConfig") if isinstance(networking, dict) else None
        binds = host.get("Binds") if isinstance(host, dict) else None
        networks: dict[str, Json] = {
            one: {"NetworkID": _EXTERNAL.get(one) or seen.new_id("n:" + one)}
            for one in (endpoints if isinstance(endpoints, dict) else ())
        }
        mounts: list[Json] = []
        for bind in binds if isinstance(binds, list) else ():
            source, target = str(bind).split(":")[:2]
            if not source.startswith("/"):
                mounts.append({"Type": "volume", "Name": source, "Destination": target, "RW": True})
        listed = host.get("Mounts") if isinstance(host, dict) else None
        for mount in listed if isinstance(listed, list) else ():
            if isinstance(mount, dict) and mount.get("Type") == "volume" and mount.get("Source"):
                mounts.append(
                    {"Type": "volume", "Name": mount["Source"], "Destination": mount.get("Target"), "RW": True}
                )
        return {"Id": seen.new_id("c:" + name), "Names": ["/" + name], "Labels": body.get("Labels"), "State": "created",
                "Image": body.get("Image"), "ImageID": IMAGE_ID, "Mounts": mounts,
                "NetworkSettings": {"Networks": networks}}  # fmt: skip

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+", "", parts.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        seen = self.recorded
        seen.calls.append(f"POST {path}")
        query = parse_qs(parts.query)
        if path == "/containers/create":
            name = query["name"][0]
            seen.containers[name] = body
            seen.platforms[name] = query.get("platform", [""])[0]
            self._send({"Id": seen.new_id("c:" + name), "Warnings": []}, 201)
        elif path == "/networks/create":
            seen.networks[body["Name"]] = body
            self._send({"Id": seen.new_id("n:" + body["Name"]), "Warning": ""}, 201)
        elif path == "/volumes/create":
            seen.volumes[body["Name"]] = body
            self._send(body, 201)
        elif path.endswith("/connect"):
            seen.connects.append((path.split("/")[2], body["EndpointConfig"]))
            self._send({}, 204)
        else:
            seen.unknown.append(f"POST {path}")
            self._send({"message": "unknown"}, 404)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32

    def get_request(self) -> tuple[object, tuple[str, int]]:  # type: ignore[override]
        request, _ = super().get_request()
        return request, ("unix", 0)


@contextlib.contextmanager
def recording(folder: Path, api: str = "1.51") -> Iterator[tuple[str, Recorded]]:
    """An engine to create things on: its DOCKER_HOST, and what it was asked for."""
    recorded = Recorded()
    handler = type("Handler", (_Handler,), {"recorded": recorded, "api": api})
    socket = folder / "engine.sock"
    with _Server(str(socket), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{socket}", recorded
        finally:
            server.shutdown()
            thread.join()
