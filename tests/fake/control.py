"""A `Control` in memory: what the API and the CLI are tested against.

Tests set the world directly (`put`, `note`, `finish`); verbs become operations that stay queued until `finish`, unless
`answers` says what a verb comes to at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from stackd.engine.base import LogLine
from stackd.errors import RequestError
from stackd.model.ids import ContainerId, OperationId, ServiceName, StackName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import Operation, OperationState, Override, OverrideKind, Request, Verb
from stackd.model.record import Adoptable, Applied, Crash, CrashBundle, WhyAnswer
from stackd.model.status import (
    Happening,
    PlanStatus,
    Readiness,
    ReplicaStatus,
    RestartStatus,
    ServiceStatus,
    StackState,
    StackStatus,
)
from stackd.model.view import Presence, ServiceState
from stackd.runtime.control import DroppedOverrides, LogQuery, ServiceLog, SetOverride, Versions
from tests.fake.past import NOON as NOON

WELL = Readiness(engine="", events="", watcher="", journal="", sources="")
OVER = {OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED, OperationState.SUPERSEDED}


def service(
    name: str, state: ServiceState = ServiceState.RUNNING, *, detail: str = "", up: int = 1, wanted: int = 1
) -> ServiceStatus:
    """A service with `up` running containers."""
    replicas = tuple(
        ReplicaStatus(
            container=ContainerId(f"{name}{number}".ljust(64, "0")),
            name=f"blog-{name}-{number}",
            number=number,
            state=ContainerState.RUNNING,
            health=Health.NONE,
            started_at=NOON,
            finished_at=None,
            exit_code=None,
            image="sha256:1234",
            ports=("0.0.0.0:8080->80/tcp",) if name == "web" else (),
        )
        for number in range(1, up + 1)
    )
    return ServiceStatus(
        name=ServiceName(name),
        state=state,
        detail=detail,
        image=f"{name}:1",
        replicas=replicas,
        wanted=wanted,
        restart=RestartStatus(policy="always", attempt=0, next_at=None, reason="", last_exit=None, oom=False),
        image_outdated=False,
        override=None,
    )


def stack(name: str = "blog", *services: ServiceStatus, state: StackState = StackState.RUNNING) -> StackStatus:
    """A stack whose definition is applied."""
    return StackStatus(
        name=StackName(name),
        state=state,
        detail="",
        presence=Presence.PRESENT,
        generation=3,
        observed_generation=3,
        folder=f"/srv/{name}",
        files=(f"/srv/{name}/compose.yaml",),
        services=services or (service("db"), service("web")),
        overrides=(),
        diagnostics=(),
        waiting_for=(),
        foreign=(),
    )


def _stack_named(name: str) -> StackStatus:
    return stack(name)


class FakeControl:
    """See the module."""

    def __init__(self, *stacks: StackStatus) -> None:
        self.world: dict[StackName, StackStatus] = {entry.name: entry for entry in stacks}
        self.plans: dict[StackName, PlanStatus] = {}
        self.ready = WELL
        self.unread = ""
        """What of the files has not been read yet."""
        self.behind = ""
        """Why what is asked for is not on disk."""
        self.kept: dict[OperationId, Operation] = {}
        self.history: list[Happening] = []
        self.forgotten = 0
        """Entries with a seq up to this are no longer kept."""
        self.log: list[ServiceLog] = []
        self.log_open = 0
        self.scans = 0
        self.accepted_loss = False
        """Whether the last verb asked for accepted a loss."""
        self.answers: Callable[[Operation], Operation] = lambda operation: operation
        self.before_submit: Callable[[], asyncio.Future[None]] | None = None
        self.refuse: RequestError | None = None
        self.queries: list[LogQuery] = []
        self.reads: list[StackName] = []
        self.when_read: StackStatus | None = None
        """What a stack is once its files are read."""
        self.unreadable: RequestError | None = None
        self.reasons: dict[ServiceName, WhyAnswer] = {}
        self.bundles: list[CrashBundle] = []
        self.applied: list[Applied] = []
        self.diffs: dict[tuple[int, int | None], tuple[str, ...]] = {}
        self.projects: list[Adoptable] = []
        self.rolled_back: list[int | None] = []
        self.asked_values: list[bool] = []
        self.when_adopted: StackStatus | None = None
        self.stacks_dirs: tuple[str, ...] = ("/srv",)
        self.waiters = 0
        """How many wait for an operation or for the history."""
        self._news = asyncio.Condition()

    # What tests do to the world.

    def put(self, status: StackStatus) -> None:
        """A stack is now like this."""
        self.world[status.name] = status

    async def note(self, message: str, *, kind: str = "service.state", service: str | None = "web") -> Happening:
        """Something happens."""
        where = ServiceName(service) if service else None
        entry = Happening(self.last_seq() + 1, NOON, StackName("blog"), where, kind, message, (("exit_code", 137),))
        self.history.append(entry)
        await self._wake()
        return entry

    async def finish(self, operation: OperationId, state: OperationState, detail: str = "") -> None:
        """An operation is over."""
        changed = state is OperationState.SUCCEEDED
        self.kept[operation] = replace(
            self.kept[operation], state=state, detail=detail, changed=changed, finished_at=NOON
        )
        await self._wake()

    async def say(self, text: str, service: str = "web") -> None:
        """A container writes a line."""
        line = LogLine(ContainerId("c" * 64), "stdout", text, int(NOON * 1e9))
        self.log.append(ServiceLog(ServiceName(service), 1, line))
        await self._wake()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something was asked, said or noted that makes this true."""
        async with self._news:
            await self._news.wait_for(holds)

    def forget(self, up_to: int) -> None:
        """The history loses its beginning."""
        self.history = [entry for entry in self.history if entry.seq > up_to]
        self.forgotten = up_to

    async def _hold(self, holds: Callable[[], bool]) -> None:
        async with self._news:
            self.waiters += 1
            self._news.notify_all()
            try:
                await self._news.wait_for(holds)
            finally:
                self.waiters -= 1

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    # Control

    def versions(self) -> Versions:
        return Versions("0.1.0", "28.0.1", "1.48", "default", 4242, self.stacks_dirs)

    async def started(self, timeout: float) -> str:
        try:
            async with asyncio.timeout(timeout):
                await self._hold(lambda: not self.unread)
        except TimeoutError:
            pass
        return self.unread

    async def begun(self) -> None:
        """The files have been read for the first time."""
        self.unread = ""
        await self._wake()

    def readiness(self) -> Readiness:
        return self.ready

    def stacks(self) -> tuple[StackStatus, ...]:
        return tuple(self.world[name] for name in sorted(self.world))

    def stack(self, name: StackName) -> StackStatus:
        if name not in self.world:
            raise RequestError(404, "no_such_stack", f'there is no stack "{name}"; did you mean "blog"?')
        return self.world[name]

    async def read(self, name: StackName) -> None:
        self.reads.append(name)
        if self.unreadable is not None:
            raise self.unreadable
        if self.when_read is not None:
            self.put(self.when_read)

    def plan(self, name: StackName) -> PlanStatus:
        return self.plans.get(name, PlanStatus(name, (), ""))

    async def _ask(self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str) -> Operation:
        identity = OperationId(f"op-{len(self.kept) + 1}")
        asked = Operation(Request(identity, stack, verb, services, by, NOON), OperationState.QUEUED)
        self.kept[identity] = self.answers(asked)
        await self._wake()
        return self.kept[identity]

    async def submit(
        self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str, *, accept_loss: bool = False
    ) -> Operation:
        self.accepted_loss = accept_loss
        if self.before_submit is not None:
            await self.before_submit()
        if self.refuse is not None:
            raise self.refuse
        known = {entry.name for entry in self.stack(stack).services}
        for name in services:
            if name not in known:
                raise RequestError(404, "no_such_service", f'stack "{stack}" has no service "{name}"')
        return await self._ask(stack, verb, services, by)

    async def settled(self, operation: OperationId, timeout: float) -> Operation:
        try:
            async with asyncio.timeout(timeout):
                await self._hold(lambda: self.kept[operation].state in OVER)
        except TimeoutError:
            pass
        return self.kept[operation]

    def operation(self, operation: OperationId) -> Operation:
        if operation not in self.kept:
            raise RequestError(404, "no_such_operation", f'there is no operation "{operation}"')
        return self.kept[operation]

    def operations(self) -> tuple[Operation, ...]:
        return tuple(reversed(self.kept.values()))

    async def put_override(
        self,
        stack: StackName,
        service: ServiceName | None,
        kind: OverrideKind,
        reason: str,
        by: str,
        until: float | None,
    ) -> SetOverride:
        if self.refuse is not None:
            raise self.refuse
        override = Override(stack, service, kind, reason, by, NOON, until)
        status = self.stack(stack)
        others = tuple(entry for entry in status.overrides if entry.service != service)
        self.put(replace(status, overrides=(*others, override)))
        return SetOverride(override, self.behind)

    async def drop_override(
        self, stack: StackName, service: ServiceName | None, by: str, kind: OverrideKind | None = None
    ) -> DroppedOverrides:
        status = self.stack(stack)
        kinds = {kind} if kind is not None else {*OverrideKind} - {OverrideKind.PINNED}
        left = tuple(entry for entry in status.overrides if entry.service != service or entry.kind not in kinds)
        self.put(replace(status, overrides=left))
        return DroppedOverrides(left != status.overrides, self.behind)

    def why(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        state = next(entry.state for entry in self.stack(stack).services if entry.name == service)
        return self.reasons.get(service, WhyAnswer(stack, service, state, "it is as its file says"))

    async def why_with_values(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        answer = self.why(stack, service)
        return replace(answer, headline=f"{answer.headline} (with values)")

    def crashes(self, stack: StackName, service: ServiceName | None) -> tuple[Crash, ...]:
        mine = (bundle.crash for bundle in self.bundles if bundle.crash.stack == self.stack(stack).name)
        return tuple(sorted((one for one in mine if service in (None, one.service)), key=lambda one: -one.id))

    async def crash(self, stack: StackName, crash: int) -> CrashBundle:
        for bundle in self.bundles:
            if (bundle.crash.stack, bundle.crash.id) == (stack, crash):
                return bundle
        raise RequestError(404, "no_such_crash", f"no crash {crash} of {stack} is kept")

    def revisions(self, stack: StackName) -> tuple[Applied, ...]:
        mine = (entry for entry in self.applied if entry.stack == self.stack(stack).name)
        return tuple(sorted(mine, key=lambda entry: -entry.number))

    async def diff(
        self, stack: StackName, number: int, against: int | None, *, values: bool = False
    ) -> tuple[str, ...]:
        self.asked_values.append(values)
        self._check_revision(stack, number)
        self._check_revision(stack, against or number)
        return self.diffs.get((number, against), ())

    def _check_revision(self, stack: StackName, number: int) -> None:
        if number not in (entry.number for entry in self.revisions(stack)):
            raise RequestError(404, "no_such_revision", f"no revision {number} of {stack} is kept")

    async def rollback(self, stack: StackName, number: int | None, by: str) -> Operation:
        self.rolled_back.append(number)
        if number is None:
            if len(self.revisions(stack)) < 2:
                raise RequestError(409, "no_earlier_revision", f"stack {stack} has no earlier revision")
            number = self.revisions(stack)[1].number
        self._check_revision(stack, number)
        self._override(stack, OverrideKind.PINNED, by, number)
        return await self._ask(stack, Verb.ROLLBACK, (), by)

    def _override(self, stack: StackName, kind: OverrideKind, by: str, value: int | None = None) -> None:
        override = Override(stack, None, kind, f"{kind} was asked for", by, NOON, value=value)
        self.put(replace(self.stack(stack), overrides=(override,)))

    async def adoptable(self) -> tuple[Adoptable, ...]:
        if self.refuse is not None:
            raise self.refuse
        return tuple(self.projects)

    async def adopt(self, stack: StackName, by: str) -> Operation:
        project = next((entry for entry in self.projects if entry.name == stack), None)
        if stack in self.world:
            self.put(replace(self.world[stack], overrides=()))
        elif project is None:
            raise RequestError(404, "not_adoptable", f'there is no project "{stack}" to adopt')
        elif project.obstacle:
            raise RequestError(409, "not_adoptable", f"{stack}: {project.obstacle}")
        else:
            self.put(self.when_adopted or _stack_named(stack))
        return await self._ask(stack, Verb.ADOPT, (), by)

    async def release(self, stack: StackName, by: str) -> Operation:
        self._override(stack, OverrideKind.RELEASED, by)
        return await self._ask(stack, Verb.RELEASE, (), by)

    def happenings(self, after: int, limit: int) -> tuple[Happening, ...]:
        if -1 < after < self.forgotten:
            raise RequestError(410, "cursor_expired", f"the history begins after {self.forgotten}")
        return tuple(entry for entry in self.history if entry.seq > after)[:limit]

    def last_seq(self) -> int:
        return self.history[-1].seq if self.history else self.forgotten

    async def happened(self, after: int) -> None:
        await self._hold(lambda: self.last_seq() > after)

    @asynccontextmanager
    async def logs(self, stack: StackName, query: LogQuery) -> AsyncIterator[AsyncIterator[ServiceLog]]:
        if self.refuse is not None:
            raise self.refuse
        self.queries.append(query)
        self.log_open += 1
        try:
            yield self._log_lines(query)
        finally:
            self.log_open -= 1

    async def _log_lines(self, query: LogQuery) -> AsyncIterator[ServiceLog]:
        sent = 0
        while True:
            for entry in self.log[sent:]:
                sent += 1
                if not query.services or entry.service in query.services:
                    yield entry
            if not query.follow:
                return
            async with self._news:
                while len(self.log) <= sent:
                    await self._news.wait()

    async def rescan(self) -> None:
        self.scans += 1
