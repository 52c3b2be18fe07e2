"""What is ours. Everything else is shown and never touched."""

from __future__ import annotations

from stackd.model.observed import ObservedContainer, ObservedNetwork
from stackd.model.view import Presence, View


def is_ours(container: ObservedContainer, view: View) -> bool:
    """Whether stackd may touch a container of the stack's project.

    It carries our instance label, or none at all and the stack's own folder as Compose's working_dir (made by
    `docker compose`, adopted); one-off runs and hook containers never are ours.
    """
    if container.oneoff or container.hook or not container.service:
        return False
    if container.instance:
        return container.instance == view.host.instance
    project = view.project
    return project is not None and container.working_dir == str(project.working_dir)


def is_wholly_ours(container: ObservedContainer, view: View) -> bool:
    """Whether it may go when its whole stack's definition is gone: made by this instance, from a directory of ours."""
    return is_ours(container, view) and container.instance == view.host.instance and container.root in view.host.roots


def ours(view: View) -> tuple[ObservedContainer, ...]:
    """The stack's containers that are ours, in the order observed; of a removed stack only those wholly ours.

    A released stack keeps all of its containers, also when its folder is gone.
    """
    seen = view.observed.containers if view.observed else ()
    removed = view.desired is not None and view.desired.presence is Presence.REMOVED and not view.released
    whose = is_wholly_ours if removed else is_ours
    return tuple(container for container in seen if whose(container, view))


def foreign(view: View) -> tuple[ObservedContainer, ...]:
    """The other containers of the same project name."""
    mine = ours(view)
    seen = view.observed.containers if view.observed else ()
    return tuple(container for container in seen if container not in mine)


def is_our_network(network: ObservedNetwork, view: View) -> bool:
    """Whether a network may be removed with its stack: it carries the project's label and no other instance's."""
    return network.stack == view.stack and network.instance in ("", view.host.instance)
