"""What the fake engine checks before a container starts, and what it leaves behind when it refuses."""

from __future__ import annotations

from collections.abc import Iterator

from stackd.errors import EngineErrorKind
from stackd.model.ids import ContainerId
from stackd.model.observed import ContainerState
from tests.fake.machine import Machine, refuse
from tests.fake.values import FakeContainer

_START_REFUSED = 128


def start(machine: Machine, container: FakeContainer) -> None:
    """`docker start`. Raises EngineError as the engine refuses: the container keeps its state, exit code and error."""
    if container.state is ContainerState.PAUSED:
        raise refuse(EngineErrorKind.CONFLICT, "cannot start a paused container, try unpause instead", 409)
    if container.state in (ContainerState.RUNNING, ContainerState.RESTARTING):
        return
    _parents(machine, container)
    _networks(machine, container)
    _ports(machine, container)
    _task(container)
    manner = machine.choose(container)
    if manner.start_error is not None:
        container.exit_code, container.error = manner.start_exit_code, manner.start_error.message
        raise manner.start_error
    container.manner = manner
    container.engine_restarts = 0
    machine.disarm(container)
    machine.begin_run(container)


def _parents(machine: Machine, container: FakeContainer) -> None:
    """A namespace can be joined only while its owner runs; an IPC namespace only if its owner shares it."""
    for kind, mode in (("network", container.network_mode), ("ipc", container.ipc_mode), ("pid", container.pid_mode)):
        if not mode.startswith("container:"):
            continue
        which = mode.removeprefix("container:")
        parent = machine.containers.get(ContainerId(which))
        if parent is None:
            container.exit_code, container.error = _START_REFUSED, f"No such container: {which}"
            raise refuse(EngineErrorKind.MISSING, container.error, 404)
        if not parent.live:
            message = f"cannot join {kind} namespace of a non running container: {which}"
            container.exit_code, container.error = _START_REFUSED, message
            raise refuse(EngineErrorKind.CONFLICT, message, 409)
        if kind == "ipc" and parent.ipc_mode != "shareable":
            message = f"cannot join IPC of container {which}: non-shareable IPC (hint: use IpcMode:shareable)"
            container.exit_code, container.error = _START_REFUSED, message
            raise refuse(EngineErrorKind.BAD_REQUEST, message, 400)


def _networks(machine: Machine, container: FakeContainer) -> None:
    resolved = {}
    for name, known in container.networks.items():
        if name in ("bridge", "none", "host"):
            resolved[name] = known
            continue
        found = [n.id for n in machine.networks.values() if n.id == known or (not known and name in (n.name, n.id))]
        if not found:
            message = f"network {known or name} not found"
            container.exit_code, container.error = _START_REFUSED, message
            raise refuse(EngineErrorKind.MISSING, message, 404)
        resolved[name] = found[0]
    container.networks.update(resolved)


def _ports(machine: Machine, container: FakeContainer) -> None:
    busy = set(_published(machine))
    for ip, port, target in container.host_ports:
        if port and ((port, target.partition("/")[2]) in busy or port in machine.taken_ports):
            container.exit_code = _START_REFUSED
            container.error = f"Bind for {ip}:{port} failed: port is already allocated"
            raise refuse(EngineErrorKind.FAILED, container.error, 500)


def _task(container: FakeContainer) -> None:
    """containerd makes no second task of one name."""
    if container.left_task:
        container.exit_code, container.error = _START_REFUSED, f"task {container.id}: already exists"
        raise refuse(EngineErrorKind.UNSTARTABLE, container.error, 500)


def _published(machine: Machine) -> Iterator[tuple[str, str]]:
    for other in machine.containers.values():
        if other.live:
            for _, port, target in other.host_ports:
                yield port, target.partition("/")[2]


def published(container: FakeContainer) -> tuple[str, ...]:
    """What a running container publishes, as text; a port of the engine's choice is made from its pid."""
    if not container.live:
        return ()
    found = [f"{ip}:{port or 32768 + container.pid % 20000}->{target}" for ip, port, target in container.host_ports]
    return tuple(sorted(found))
