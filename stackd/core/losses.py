"""What a replacement would take away: a container that docker compose made carries out keys that stackd does not yet.

Law: such a container is not replaced until somebody accepts the loss (`up --accept-loss`); until then it is kept as it
is, and restarted like any other. A container that stackd made has none of these keys and loses nothing; nor does one
that the engine calls dead, which can never run again.
What this module does NOT do: find out which keys are carried out (`compose.unsupported`, `translate.carried`).
"""

from __future__ import annotations

from collections.abc import Iterator

from stackd.core.ownership import ours
from stackd.core.sharing import parents
from stackd.model.ids import ServiceName
from stackd.model.observed import CARRIED_KEYS, ContainerState, ObservedContainer
from stackd.model.spec import ServiceSpec
from stackd.model.view import View


def lost(spec: ServiceSpec, container: ObservedContainer) -> tuple[str, ...]:
    """The keys that a container carries out and its successor would not: `("cap_drop", "mem_limit")`.

    A key of which the engine shows the effect counts when the container has it; the others always count.
    """
    if container.instance or container.state is ContainerState.DEAD:
        return ()
    return tuple(key for key in spec.unsupported if key not in CARRIED_KEYS or key in container.carried)


def loss_of(view: View, spec: ServiceSpec, container: ObservedContainer) -> str:
    """What replacing a container would lose that nobody has accepted, in words; "" = nothing.

    Whoever shares a namespace or the volumes of the container is replaced with it, so what they lose counts too.
    """
    own = () if is_accepted(view, spec.name) else lost(spec, container)
    told = [f"would lose {', '.join(own)}"] if own else []
    for child in _made_from(view, spec.name):
        keys = () if is_accepted(view, child.name) else _lost_by_all(view, child)
        if keys:
            told.append(f"{child.name}, which is made from it, would lose {', '.join(keys)}")
    if not told:
        return ""
    way = f"confirm: stackd up {view.stack} --accept-loss"
    if view.pinned is not None:
        way = f"the files again: stackd up {view.stack}"
    return f"{'; '.join(told)}; {way}"


def is_accepted(view: View, service: ServiceName) -> bool:
    """Whether a request that is not done yet accepts that the service loses what stackd does not carry out."""
    return any(one.accept_loss and (not one.services or service in one.services) for one in view.requests)


def _made_from(view: View, service: ServiceName) -> Iterator[ServiceSpec]:
    """The services whose containers are made from this one's, and those made from these, each once."""
    specs = view.project.services if view.project is not None else {}
    seen, left = {service}, [service]
    while left:
        parent = left.pop()
        for name, spec in specs.items():
            if name not in seen and parent in parents(spec):
                seen.add(name)
                left.append(name)
                yield spec


def _lost_by_all(view: View, spec: ServiceSpec) -> tuple[str, ...]:
    found = (lost(spec, one) for one in ours(view) if one.service == spec.name)
    return tuple(dict.fromkeys(key for keys in found for key in keys))
