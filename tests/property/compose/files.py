"""Hypothesis strategies: Compose files that are mostly right, and texts that are mostly wrong."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["web", "db", "cache", "job"])
_words = st.text(st.sampled_from("abcxyz019-_./ $#\"'\\:éü<&"), max_size=8).map(lambda text: text.replace("$", "$$"))
_scalars = st.one_of(_words, st.integers(-5, 70000), st.booleans(), st.none(), st.floats(-1e7, 1e25, allow_nan=False))
_durations = st.sampled_from(["1s", "1m30s", "500ms", "1.5h", "0s", "2d", "90m"])
_pairs = st.dictionaries(st.sampled_from(["A", "B", "C_D", "x.y"]), _scalars, max_size=3)
_listed = st.lists(st.sampled_from(["A=1", "B=", "C", "D=a=b", "A=2"]), max_size=3, unique=True)
_command = st.one_of(
    st.lists(_words, max_size=3), st.sampled_from(["sleep 10", "sh -c 'a b'", 'a "b c"', ""]), st.none()
)
_ports = st.lists(
    st.one_of(
        st.sampled_from(
            ["80", "8080:80", "127.0.0.1:81:81", "90-92:90-92/udp", "7000-7005:70", "[::1]:99:99", "6000-6001"]
        ),
        st.integers(1, 65535),
        st.fixed_dictionaries({"target": st.integers(1, 65535)}, optional={"published": st.sampled_from(["1", "2-3"])}),
    ),
    max_size=3,
    unique_by=repr,
)
_targets = st.sampled_from(["/a", "/b/", "/c/../d", "/e"])
_volumes = st.lists(
    st.one_of(
        st.builds(lambda s, t, o: f"{s}:{t}{o}", st.sampled_from(["./x", "../y", "/z", "~/h", "data"]), _targets,
                  st.sampled_from(["", ":ro", ":rw,z", ":rshared", ":nocopy"])),
        st.just("/anonymous"),
    ),
    max_size=3,
    unique_by=lambda text: text.split(":")[1] if ":" in text else text,
)  # fmt: skip
_health = st.fixed_dictionaries(
    {"test": st.one_of(st.just("true"), st.just(["CMD", "x"]), st.just(["NONE"]))},
    optional={"interval": _durations, "timeout": _durations, "retries": st.integers(0, 9), "start_period": _durations},
)
_service = st.fixed_dictionaries(
    {"image": st.sampled_from(["busybox", "redis:7", "x/y@sha256:" + "0" * 64])},
    optional={
        "command": _command, "entrypoint": _command, "environment": st.one_of(_pairs, _listed), "ports": _ports,
        "labels": st.one_of(_pairs, _listed), "volumes": _volumes, "healthcheck": _health, "hostname": st.just("h"),
        "restart": st.sampled_from(["no", "always", "on-failure:3", "unless-stopped"]), "tty": st.booleans(),
        "init": st.booleans(), "stop_grace_period": _durations, "stop_signal": st.just("SIGINT"),
        "user": st.just("1:1"),
        "expose": st.lists(st.sampled_from([80, "90", "100-102"]), max_size=2, unique_by=str), "scale": st.integers(0,
        3),
        "profiles": st.just([]), "working_dir": st.just("/w"), "tmpfs": st.just(["/run"]), "stdin_open": st.booleans(),
        "networks": st.one_of(st.just(["default"]), st.just({"back": {"aliases": ["q"]}, "default": None})),
        "deploy": st.fixed_dictionaries({}, optional={"restart_policy": st.just({"condition": "any", "delay": "1s"})}),
    },
)  # fmt: skip


@st.composite
def compose_files(draw: st.DrawFn) -> str:
    """A definition that docker compose should accept, as text. JSON is YAML."""
    services: dict[str, Any] = draw(st.dictionaries(NAMES, _service, min_size=1, max_size=3))
    names = sorted(services)
    for at, name in enumerate(names[1:], 1):
        service = services[name]
        if draw(st.booleans()):
            before = names[draw(st.integers(0, at - 1))]
            condition = draw(st.sampled_from(["service_started", "service_healthy", "service_completed_successfully"]))
            service["depends_on"] = draw(st.sampled_from([[before], {before: {"condition": condition}}]))
    return json.dumps({"services": services, "volumes": {"data": None}, "networks": {"back": None}}, indent=1)


_lines = st.sampled_from(
    ["services:", "  web:", "    image: x", "    ports: [", "    ports: ['80:80:80:80']", "  - a", "\tb: c",
    "    x: &a", "*a",
     "    <<: *a", "? k", "---", "'", '"', "    environment: {A: ${B}}", "    volumes: [':']", "name: $X",
     "    depends_on: web",
     "    healthcheck: 5", "include: x", "{", "]", "version: 3", "    restart: perhaps", "    command: \"a 'b\"",
     "    scale: -1"]
)  # fmt: skip


def broken_files() -> st.SearchStrategy[str]:
    """Texts of lines that belong to Compose files, in any order; most are wrong."""
    return st.lists(st.one_of(_lines, st.text(max_size=6)), max_size=12).map("\n".join)
