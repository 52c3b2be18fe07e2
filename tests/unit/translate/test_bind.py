"""What stackd's requests say beyond docker compose's (the oracle tests hold the rest)."""

from __future__ import annotations

from stackd.compose.load import stack_inputs
from stackd.model.ids import ContainerId, ImageId, InstanceName, ServiceName
from stackd.model.spec import Project
from stackd.translate.bind import Bindings, ContainerRequest, create_body, known_hashes
from stackd.translate.names import container_name, temporary_name
from stackd.translate.node import Node
from tests.unit.compose.loading import FOLDER, load_with, web

NEW, OLD = (1, 51), (1, 41)


def project(text: str) -> Project:
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    loaded = load_with(inputs, {"compose.yaml": text})
    assert loaded.project is not None, loaded.diagnostics
    return loaded.project


def request(
    text: str, bindings: Bindings | None = None, api: tuple[int, int] = NEW, name: str = "web"
) -> ContainerRequest:
    made = project(text)
    spec = made.services[ServiceName(name)]
    own = bindings or Bindings("blog-web-1", InstanceName("i"), "/stacks")
    return create_body(spec, made, 1, own, api)


def host(made: ContainerRequest) -> Node:
    return Node(dict(made.body))["HostConfig"]


def test_the_engine_never_restarts_what_stackd_keeps() -> None:
    made = request(web("restart: always"))
    assert host(made)["RestartPolicy"].text("Name") == "no"
    assert not host(made).flag("AutoRemove")


def test_a_container_tells_whose_it_is() -> None:
    bindings = Bindings("blog-web-1", InstanceName("i"), "/stacks", ImageId("sha256:1"), replaces=ContainerId("a" * 64))
    found = Node(dict(request(web(), bindings).body)).strings("Labels")
    assert found["io.stackd.instance"] == "i"
    assert found["io.stackd.root"] == "/stacks"
    assert found["com.docker.compose.replace"] == "web-1"
    assert found["com.docker.compose.oneoff"] == "False"
    assert found["com.docker.compose.project.working_dir"] == "/stacks/blog"


def test_the_read_only_of_volumes_from_is_kept() -> None:
    text = web("volumes_from: ['data:ro']") + "  data: {image: d}\n"
    parents = {ServiceName("data"): ((ContainerId("d" * 64), "blog-data-1"),)}
    made = request(text, Bindings("x", InstanceName("i"), "/", parents=parents))
    assert host(made).texts("VolumesFrom") == (f"{'d' * 64}:ro",)


def test_anonymous_volumes_of_the_replaced_container_are_taken_over() -> None:
    inherited = {"/data": "volume1", "/image": "volume2", "/named": "volume3"}
    text = web("volumes: ['/data', 'named:/named']") + "volumes: {named: }\n"
    made = request(text, Bindings("x", InstanceName("i"), "/", inherited=inherited))
    mounts = {one.text("Target"): one.text("Source") for one in host(made)["Mounts"].items()}
    assert mounts == {"/data": "volume1", "/image": "volume2"}
    assert host(made).texts("Binds") == ("blog_named:/named:rw",)


def test_an_old_engine_is_connected_network_by_network() -> None:
    text = web("networks: [a, b]") + "networks: {a: , b: }\n"
    made = request(text, api=OLD)
    assert Node(dict(made.body))["NetworkingConfig"]["EndpointsConfig"].names() == ("blog_a",)
    assert [name for name, _ in made.connects] == ["blog_b"]
    assert request(text, api=NEW).connects == ()


def test_a_shared_namespace_names_the_parents_container_and_so_does_the_hash() -> None:
    text = web("network_mode: service:db") + "  db: {image: d}\n"
    parents = {ServiceName("db"): ((ContainerId("b" * 64), "blog-db-1"),)}
    made = request(text, Bindings("x", InstanceName("i"), "/", parents=parents))
    assert host(made).text("NetworkMode") == f"container:{'b' * 64}"
    spec = project(text).services[ServiceName("web")]
    written = Node(dict(made.body)).strings("Labels")["com.docker.compose.config-hash"]
    assert known_hashes(spec, {ServiceName("db"): ContainerId("b" * 64)})[0] == written
    assert written != spec.config_hash
    assert spec.config_hash in known_hashes(spec, {ServiceName("db"): ContainerId("b" * 64)})


def test_unsupported_keys_stay_out_of_the_request() -> None:
    made = request(web("privileged: true", "cap_add: [ALL]"))
    assert not host(made).flag("Privileged")
    assert host(made).texts("CapAdd") == ()


def test_names_are_compose_names() -> None:
    made = project(web())
    spec = made.services[ServiceName("web")]
    assert container_name(made.name, spec, 2) == "blog-web-2"
    assert temporary_name(ContainerId("0123456789abcdef"), "blog-web-2") == "0123456789ab_blog-web-2"


def test_shared_ipc_and_pid_namespaces_name_the_parents_container_and_so_does_the_hash() -> None:
    text = web("ipc: service:db", "pid: service:db") + "  db: {image: d, ipc: shareable}\n"
    parents = {ServiceName("db"): ((ContainerId("b" * 64), "blog-db-1"),)}
    made = request(text, Bindings("x", InstanceName("i"), "/", parents=parents))
    assert (host(made).text("IpcMode"), host(made).text("PidMode")) == (f"container:{'b' * 64}",) * 2
    written = Node(dict(made.body)).strings("Labels")["com.docker.compose.config-hash"]
    spec = project(text).services[ServiceName("web")]
    assert known_hashes(spec, {ServiceName("db"): ContainerId("b" * 64)})[0] == written != spec.config_hash


def test_other_namespaces_are_the_engines_words_and_none_is_left_out() -> None:
    made = request(web("ipc: shareable", "pid: host"))
    assert (host(made).text("IpcMode"), host(made).text("PidMode")) == ("shareable", "host")
    assert not {"IpcMode", "PidMode"} & set(host(request(web())).names())
