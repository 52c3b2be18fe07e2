"""Hypothesis strategies: whole projects of several files, with most attributes in their short and long forms.

Law: most projects are right, so that models are compared and not only verdicts; text is JSON, which is YAML, but for
the few lines that need tags, anchors and merge keys.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from stackd.compose.tree import Json

_word = st.sampled_from(["a", "b-c", "x y", "$$5", "${A}", "${B:-d}", "${U:-}", "${A:+r}", "é", "1", "true", "null"])
_value = st.one_of(_word, st.integers(-3, 9), st.booleans(), st.none(), st.sampled_from([1.5, 1e6, 0.1]))
_pairs = st.one_of(
    st.dictionaries(st.sampled_from(["A", "B", "Q.r", "U"]), _value, max_size=3),
    st.lists(st.sampled_from(["A=1", "B=", "U", "D=a=b", "A=${B}"]), max_size=3, unique=True),
)
_texts = st.lists(_word, max_size=2, unique=True)
_text_or_texts = st.one_of(_word, _texts)
_size = st.sampled_from(["64m", "1g", "512k", "1048576", 4096, "2gb", "1.5m"])
_duration = st.sampled_from(["10s", "1m30s", "500ms", "1h", "0s", "1d"])
_ENDS = st.sampled_from(["", "", "", "TOKEN", 'Q="b"c', "export Z", "R S"])
_bool = st.one_of(st.booleans(), st.sampled_from(["true", "false", "yes", "off"]))
_command = st.one_of(st.none(), st.sampled_from(["sleep 10", "sh -c 'a b'", ""]), _texts)
_target = st.sampled_from(["/a", "/b/", "/c/../d", "/e"])
_bind = st.fixed_dictionaries({}, optional={
    "create_host_path": _bool, "propagation": st.just("rshared"), "selinux": st.just("z"),
    "recursive": st.just("readonly")})  # fmt: skip
_mount = st.one_of(
    st.builds(lambda s, t, o: f"{s}:{t}{o}", st.sampled_from(["./x", "../y", "/z", "~/h", "data", "${A}/.."]), _target,
              st.sampled_from(["", ":ro", ":rw,z", ":nocopy"])),
    _target,
    st.fixed_dictionaries({"type": st.just("bind"), "source": st.sampled_from(["./x", "/z"]), "target": _target},
                          optional={"bind": _bind, "read_only": _bool, "consistency": st.just("cached")}),
    st.fixed_dictionaries({"type": st.just("volume"), "source": st.just("data"), "target": _target},
                          optional={"volume": st.fixed_dictionaries({}, optional={"nocopy": _bool, "subpath": _word,
                                                                                  "labels": _pairs})}),
    st.fixed_dictionaries({"type": st.just("tmpfs"), "target": _target},
                          optional={"tmpfs": st.fixed_dictionaries({}, optional={"size": _size, "mode": st.just(5)})}),
    st.fixed_dictionaries({"type": st.just("image"), "source": st.just("busybox"), "target": _target},
                          optional={"image": st.fixed_dictionaries({}, optional={"subpath": st.just("s")})}),
)  # fmt: skip
_port = st.one_of(
    st.sampled_from(["80", "8080:80", "127.0.0.1:81:81", "90-92:90-92/udp", "7000-7005:70", "[::1]:9:9", "${P:-5}:5",
                     "+70:+71", "+50-52:50-+52"]),
    st.integers(1, 65535),
    st.fixed_dictionaries({"target": st.integers(1, 65535)}, optional={
        "published": st.sampled_from(["1", "2-3", 5]), "protocol": st.just("udp"), "host_ip": st.just("127.0.0.1"),
        "mode": st.just("host"), "name": st.just("n"), "app_protocol": st.just("http")}),
)  # fmt: skip
_hook = st.fixed_dictionaries({"command": _command.filter(lambda one: one is not None)}, optional={
    "user": _word, "privileged": _bool, "working_dir": _word, "environment": _pairs})  # fmt: skip
_file_mount = st.one_of(st.just("f"), st.fixed_dictionaries({"source": st.just("f")}, optional={
    "target": st.sampled_from(["/t", "u"]), "uid": st.just("1"), "gid": st.just("2"),
    "mode": st.sampled_from([256, "0440"])}))  # fmt: skip
_ulimits = st.dictionaries(st.sampled_from(["nofile", "nproc"]), st.one_of(
    st.integers(-1, 9), st.just({"soft": 1, "hard": 2})), max_size=2)  # fmt: skip
_hosts = st.one_of(
    st.lists(st.sampled_from(["h:1.2.3.4", "i=::1", "j=[::2]"]), max_size=2, unique=True),
    st.dictionaries(st.sampled_from(["h", "i"]), st.sampled_from(["1.2.3.4", "::1"]), max_size=2),
)
_build = st.one_of(st.sampled_from([".", "./sub", "https://example.com/x.git"]), st.fixed_dictionaries({}, optional={
    "context": st.sampled_from([".", "./sub"]), "dockerfile": st.just("D"), "args": _pairs, "labels": _pairs,
    "cache_from": _texts, "cache_to": _texts, "no_cache": _bool, "target": _word, "shm_size": _size, "tags": _texts,
    "extra_hosts": _hosts, "ulimits": _ulimits, "network": _word, "pull": _bool, "privileged": _bool,
    "additional_contexts": st.sampled_from([{"k": "./sub"}, ["k=https://example.com/y"]]), "secrets": st.just(["f"]),
    "ssh": st.just(["default"]), "platforms": st.just([]), "entitlements": _texts, "provenance": _bool}))  # fmt: skip
_update = st.fixed_dictionaries({}, optional={
    "parallelism": st.integers(0, 3), "delay": _duration, "failure_action": st.just("pause"), "monitor": _duration,
    "max_failure_ratio": st.sampled_from([0, 0.3]), "order": st.just("start-first")})  # fmt: skip
_device = st.fixed_dictionaries({"capabilities": st.just(["gpu"])}, optional={
    "driver": _word, "count": st.sampled_from([1, "all"]), "options": _pairs})  # fmt: skip
_deploy = st.fixed_dictionaries({}, optional={
    "mode": st.just("replicated"), "labels": _pairs, "update_config": _update, "rollback_config": _update,
    "endpoint_mode": st.just("vip"), "replicas": st.integers(0, 3),
    "restart_policy": st.fixed_dictionaries({}, optional={
        "condition": st.sampled_from(["any", "none", "on-failure"]), "delay": _duration,
        "max_attempts": st.integers(0, 3), "window": _duration}),
    "placement": st.fixed_dictionaries({}, optional={"constraints": _texts, "max_replicas_per_node": st.integers(0, 3),
                                                     "preferences": st.just([{"spread": "z"}])}),
    "resources": st.fixed_dictionaries({}, optional={
        "limits": st.fixed_dictionaries({}, optional={"cpus": st.sampled_from(["0.5", 2, "1.25"]),
                                                      "memory": st.just("64m"), "pids": st.integers(0, 9)}),
        "reservations": st.fixed_dictionaries({}, optional={"cpus": st.just("0.1"), "memory": st.just("1g"),
                                                            "devices": st.lists(_device, max_size=1)})}),
})  # fmt: skip
_networks = st.one_of(st.just(["back"]), st.just(["default", "back"]), st.fixed_dictionaries({"back": st.one_of(
    st.none(), st.fixed_dictionaries({}, optional={
        "aliases": _texts, "ipv4_address": st.just("10.0.0.2"), "ipv6_address": st.just("::5"),
        "link_local_ips": st.just(["169.254.1.1"]), "mac_address": st.just("02:00:00:00:00:01"),
        "priority": st.integers(-1, 5), "gw_priority": st.integers(0, 5), "interface_name": st.just("eth9"),
        "driver_opts": st.dictionaries(st.just("o"), st.sampled_from(["t", 1]), max_size=1)}))}))  # fmt: skip
_health = st.fixed_dictionaries({}, optional={
    "test": st.sampled_from(["true", ["CMD", "x"], ["NONE"], ["CMD-SHELL", "a b"]]), "interval": _duration,
    "timeout": _duration, "retries": st.sampled_from([3, "4"]), "start_period": _duration, "start_interval": _duration,
    "disable": _bool})  # fmt: skip
_throttle = st.just([{"path": "/dev/x", "rate": "1m"}])
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "annotations": _pairs, "attach": _bool, "blkio_config": st.fixed_dictionaries({}, optional={
        "weight": st.integers(0, 300), "weight_device": st.just([{"path": "p", "weight": 3}]),
        "device_read_bps": _throttle, "device_write_iops": _throttle}),
    "build": _build, "cap_add": _texts, "cap_drop": _texts, "cgroup": st.sampled_from(["host", "private"]),
    "cgroup_parent": _word, "command": _command, "configs": st.lists(_file_mount, max_size=1),
    "cpu_count": st.integers(0, 3), "cpu_percent": st.sampled_from([5, 50]), "cpu_period": st.integers(0, 9),
    "cpu_quota": st.integers(-1, 9), "cpu_rt_period": st.just("5"), "cpu_rt_runtime": st.just(6),
    "cpu_shares": st.integers(0, 9), "cpuset": st.just("0-1"),
    "credential_spec": st.just({"file": "c"}), "deploy": _deploy, "develop": st.just(
        {"watch": [{"path": "./w", "action": "sync", "target": "/w", "ignore": ["n"], "initial_sync": True}]}),
    "device_cgroup_rules": st.just(["c 1:3 mr"]),
    "devices": st.sampled_from([["/dev/x"], ["/dev/x:/dev/y:r"], [{"source": "/dev/x", "target": "/dev/z"}]]),
    "dns": st.sampled_from(["1.1.1.1", ["1.1.1.1", "8.8.8.8"], "", ["${U:-}"]]), "dns_opt": _texts,
    "dns_search": _text_or_texts, "domainname": _word, "entrypoint": _command,
    "env_file": st.sampled_from(["e.env", ["e.env"], [{"path": "no.env", "required": False}],
                                 [{"path": "e.env", "format": "raw"}]]),
    "environment": _pairs, "expose": st.sampled_from([[80], ["90/udp", "100-102"]]), "external_links": _texts,
    "extra_hosts": _hosts, "gpus": st.one_of(st.just("all"), st.lists(_device, max_size=1)),
    "group_add": st.sampled_from([["g", 5], []]), "healthcheck": _health, "hostname": _word, "init": _bool,
    "ipc": st.sampled_from(["host", "shareable"]), "isolation": _word, "labels": _pairs,
    "label_file": st.sampled_from(["l.env", ["l.env", "e.env"]]),
    "logging": st.fixed_dictionaries({}, optional={"driver": st.sampled_from(["json-file", "local"]),
                                                   "options": st.just({"max-size": "1m", "n": 2})}),
    "mac_address": st.just("02:42:ac:11:65:43"), "mem_reservation": st.just("1g"), "mem_swappiness": st.integers(0, 9),
    "memswap_limit": _size, "models": st.sampled_from([["m"], {"m": None}, {"m": {"model_var": "V"}}]),
    "networks": _networks, "oom_kill_disable": _bool, "oom_score_adj": st.integers(-10, 10),
    "pid": st.just("host"), "platform": st.just("linux/amd64"), "ports": st.lists(_port, max_size=2, unique_by=repr),
    "post_start": st.lists(_hook, max_size=1), "pre_stop": st.lists(_hook, max_size=1),
    "pre_start": st.lists(st.fixed_dictionaries({"command": st.just("a b")}, optional={
        "image": st.just("y"), "environment": _pairs, "volumes": st.just(["data:/q"]), "user": _word}), max_size=1),
    "privileged": _bool, "profiles": st.sampled_from([[], ["p"], ["q", "p"]]),
    "pull_policy": st.sampled_from(["always", "if_not_present", "every_2d", "build"]), "read_only": _bool,
    "restart": st.sampled_from(["no", "always", "on-failure:3", "unless-stopped"]), "runtime": _word,
    "secrets": st.lists(_file_mount, max_size=1), "security_opt": _texts, "shm_size": _size, "stdin_open": _bool,
    "stop_grace_period": _duration, "stop_signal": st.just("SIGINT"),
    "storage_opt": st.dictionaries(st.just("s"), st.sampled_from(["1G", 5]), max_size=1), "sysctls": _pairs,
    "tmpfs": st.sampled_from(["/run", ["/run:size=1m", "/tmp"]]), "tty": _bool, "ulimits": _ulimits,
    "user": st.just("1:1"), "userns_mode": st.just("host"), "uts": st.just("host"),
    "volumes": st.lists(_mount, max_size=2, unique_by=repr), "working_dir": _word, "x-own": _value,
}  # fmt: skip
FIELDS = frozenset(_FIELDS)


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    """A service of a few attributes: any of them, in any of their forms."""
    keys = draw(st.lists(st.sampled_from(sorted(_FIELDS)), max_size=6, unique=True))
    return {key: draw(_FIELDS[key]) for key in keys}


_TOP: dict[str, Json] = {
    "volumes": {"data": None}, "networks": {"back": {"driver": "bridge", "labels": ["n=1"]}},
    "secrets": {"f": {"file": "./f.txt"}}, "configs": {"f": {"content": "c ${A}"}}, "models": {"m": {"model": "mm"}},
}  # fmt: skip
_RAW = (
    "  raw:\n    image: &i busybox\n    labels: &l {l: 1}\n    environment: {<<: *l, M: *i}\n",
    "  raw:\n    image: x\n    <<: [{user: '1'}, {user: '2', tty: true}]\n",
    "  raw:\n    extends: web\n    command: !reset null\n",
    "  raw:\n    extends: {service: base, file: sub/other.yaml}\n    ports: !override ['5:5']\n",
    "  raw:\n    extends: {service: web}\n    environment: [Z=1]\n    profiles: []\n",
)
_OVERRIDES = ("ports: !override ['9:9']", "environment: !reset null", "command: !override [x]", "volumes: !reset []")


@st.composite
def projects(draw: st.DrawFn) -> dict[str, str]:
    """The files of a project by their names."""
    names = draw(st.lists(st.sampled_from(["web", "db", "job"]), min_size=1, max_size=2, unique=True))
    table: dict[str, Any] = {name: {"image": "busybox", **draw(services())} for name in names}
    if len(names) == 2 and draw(st.booleans()):
        condition = draw(st.sampled_from(["service_started", "service_healthy", "service_completed_successfully"]))
        link = draw(st.sampled_from(["list", "map", "links", "network_mode", "volumes_from", "extends"]))
        table[names[1]].update({
            "list": {"depends_on": [names[0]]}, "links": {"links": [f"{names[0]}:o"]},
            "map": {"depends_on": {names[0]: {"condition": condition, "required": draw(st.booleans())}}},
            "network_mode": {"ipc": f"service:{names[0]}"}, "volumes_from": {"volumes_from": [f"{names[0]}:ro"]},
            "extends": {"extends": draw(st.sampled_from([names[0], {"service": names[0]}]))},
        }[link])  # fmt: skip
    files = {"e.env": "A=2\nE='x $y'\nF=\"${A} ${B}\"\n" + draw(_ENDS), "l.env": "L=1\nA=${L}\n",
             ".env": "A=one\nB=two three\n",
             "f.txt": "f", "sub/.env": "A=sub\nS=sub\n"}  # fmt: skip
    include = draw(
        st.sampled_from(
            [None, None, ["sub/inc.yaml"], [{"path": "sub/inc.yaml", "env_file": "e.env", "project_directory": "."}]]
        )
    )
    top: dict[str, Any] = {"services": table, **_TOP, **({"include": include} if include else {})}
    text = json.dumps(top, indent=1)
    raw = draw(st.one_of(st.none(), st.sampled_from(_RAW)))
    if raw is not None:
        head = {key: value for key, value in top.items() if key != "services"}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items()) + "services:\n"
        text += "".join(f"  {name}: {json.dumps(value)}\n" for name, value in table.items()) + raw
    if draw(st.booleans()):
        text += "\n---\n" + json.dumps({"services": {names[0]: draw(services())}})
    files["compose.yaml"] = text
    files["sub/inc.yaml"] = json.dumps({"services": {"inc": {"image": "i:${S:-none}", **draw(services())}}, **_TOP})
    files["sub/other.yaml"] = json.dumps({"services": {"base": {"image": "o", **draw(services())}}, **_TOP})
    if draw(st.booleans()):
        over = f"services:\n  {names[0]}: {json.dumps(draw(services()))}\n"
        if draw(st.booleans()):
            over = f"services:\n  {names[0]}:\n    {draw(st.sampled_from(_OVERRIDES))}\n"
        files["compose.override.yaml"] = over
    return files
