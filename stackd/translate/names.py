"""The names that stackd gives to containers, and the images of built services.

Law: a name is a function of stack, service and number alone, so it can be found again without any memory of ours; it is
docker compose's name for the same thing. What this module does NOT do: look whether a name is taken.
"""

from __future__ import annotations

from stackd.model.ids import ContainerId, StackName
from stackd.model.spec import ServiceSpec


def container_name(stack: StackName, spec: ServiceSpec, number: int) -> str:
    """The final name: `container_name`, else STACK-SERVICE-NUMBER."""
    return spec.container_name or f"{stack}-{spec.name}-{number}"


def temporary_name(replaced: ContainerId, final: str) -> str:
    """The name of a replacement while the container it replaces is still there, as docker compose forms it."""
    return f"{replaced[:12]}_{final}"
