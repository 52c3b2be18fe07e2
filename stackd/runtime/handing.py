"""Giving the containers to the engine's own restart policy while stackd is not there.

Law: bounded in time, and nothing depends on it: what could not be handed over is only not restarted until stackd is
back. What this module does not do: decide who gets which policy (`core.handover`), or take anything back (adoption).
"""

from __future__ import annotations

import asyncio
import logging

from stackd.core.handover import handover
from stackd.engine.base import Engine
from stackd.errors import EngineError
from stackd.model.plan import UpdateRestartPolicy
from stackd.runtime.store import Store

log = logging.getLogger(__name__)

AT_ONCE = 8


async def hand_over(engine: Engine, store: Store, timeout: float) -> None:
    """Set each container's policy as `handover` says, within `timeout` seconds in all; never raises EngineError."""
    if not store.host.engine_up:
        log.warning("nothing was handed over to the engine: it does not answer")
        return
    turn = asyncio.Semaphore(AT_ONCE)
    views = (store.view(name) for name in store.names())
    ops = [op for view in views if view.observed is not None for op in handover(view)]
    tasks = [asyncio.create_task(_give(engine, op, turn), name=f"hand over {op.service}") for op in ops]
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=timeout)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    given = sum(task.result() for task in done)
    log.info("handed %d of %d containers over to the engine's own restart policy", given, len(ops))


async def _give(engine: Engine, op: UpdateRestartPolicy, turn: asyncio.Semaphore) -> bool:
    async with turn:
        try:
            await engine.update_restart_policy(op.container, op.policy, op.retries)
        except EngineError as error:
            log.warning("%s was not handed over to the engine: %s", op.service, error)
            return False
    return True
