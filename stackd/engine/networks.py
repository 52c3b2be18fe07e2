"""Networks need more care than one call: an engine may hold several of one name, and then refuses every call by name.

Law: creations of one daemon come one after another, each looks first, and an id is used wherever the API takes one.
(20.10 makes duplicates even with CheckDuplicate when creations are concurrent: 8 of 8 in a trial.) Duplicates of our
own project that nobody uses are removed on the way; the oldest stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from stackd.engine.deadlines import Deadlines
from stackd.engine.wire import Ask, Wire
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, NetworkId
from stackd.model.observed import ObservedNetwork
from stackd.translate import labels as label
from stackd.translate import observed
from stackd.translate.node import Json, Node


class Networks:
    """The network calls of one engine."""

    def __init__(self, wire: Wire, deadlines: Deadlines) -> None:
        self._wire = wire
        self._deadlines = deadlines
        self._creating = asyncio.Lock()

    async def named(self, name: str) -> list[ObservedNetwork]:
        """All networks of exactly this name, oldest first (the engine's filter takes parts of names)."""
        ask = Ask("GET", "networks", f"look up network {name}", {"filters": {"name": [name]}})
        answer = await self._wire.ask(ask, self._deadlines.look)
        rows = sorted((row for row in answer.items() if row.text("Name") == name), key=lambda row: row.text("Created"))
        return [observed.network(row) for row in rows]

    async def create(self, body: Mapping[str, Json]) -> NetworkId:
        """Create, or find the one of this name and project. Raises EngineError(conflict) if it is another project's."""
        node = Node(dict(body))
        name, project = node.text("Name"), node.strings("Labels").get(label.PROJECT, "")
        async with self._creating:
            if found := await self.named(name):
                return await self._settle(found, project)
            ask = Ask("POST", "networks/create", f"create network {name}", body={**body, "CheckDuplicate": True})
            try:
                made = NetworkId((await self._wire.ask(ask, self._deadlines.unary)).text("Id"))
            except EngineError as error:
                if error.kind is not EngineErrorKind.CONFLICT:
                    raise
                if not (found := await self.named(name)):
                    raise
                return await self._settle(found, project)
            found = await self.named(name)
            return await self._settle(found, project) if len(found) > 1 else made

    async def _settle(self, found: list[ObservedNetwork], project: str) -> NetworkId:
        ours = [network for network in found if network.stack == project]
        if not ours:
            message = f'network {found[0].name} exists, and is not of project "{project}"'
            raise EngineError(EngineErrorKind.CONFLICT, message)
        keep, *surplus = ours
        for network in surplus:
            await self._remove_unused(network.id)
        return keep.id

    async def _remove_unused(self, network: NetworkId) -> None:
        """The engine itself refuses to remove one that is in use; then it stays."""
        ask = Ask("DELETE", f"networks/{network}", "remove a duplicate network")
        try:
            await self._wire.ask(ask, self._deadlines.unary)
        except EngineError:
            return

    async def connect(self, network: str, container: ContainerId, endpoint: Mapping[str, Json]) -> None:
        """Put a container on a network (name or id)."""
        body: dict[str, Json] = {"Container": container, "EndpointConfig": dict(endpoint)}
        ask = Ask("POST", f"networks/{network}/connect", f"connect {container[:12]} to {network}", body=body)
        await self._wire.ask(ask, self._deadlines.unary)
