"""Names and identifiers. Distinct types, so that a service name is never passed for a stack's."""

from __future__ import annotations

from typing import NewType

StackName = NewType("StackName", str)
"""The Compose project name: `[a-z0-9][a-z0-9_-]*`."""

ServiceName = NewType("ServiceName", str)
ContainerId = NewType("ContainerId", str)
"""The engine's full 64-digit id."""

ImageId = NewType("ImageId", str)
NetworkId = NewType("NetworkId", str)
OperationId = NewType("OperationId", str)
InstanceName = NewType("InstanceName", str)
"""Which stackd: the value of the label `io.stackd.instance`."""
