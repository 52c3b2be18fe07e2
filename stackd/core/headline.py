"""The one line that says why a service is as it is, and the line about what comes next and what can be done.

Law: a person who knows nothing of stackd's inside understands it, and every command named in it works as printed. Pure.
Instants are told in UTC, with the date unless it is today's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from stackd.core.backoff import duration
from stackd.core.hands import way_out
from stackd.core.ownership import ours
from stackd.model.override import Override, OverrideKind
from stackd.model.record import Crash, WhyLink
from stackd.model.spec import RestartPolicy
from stackd.model.view import Now, ServiceLedger, ServiceState, ServiceVerdict, View


@dataclass(frozen=True, slots=True)
class Facts:
    """What a headline is made from; `root` is the first link of the chain, `crashes` are newest first."""

    view: View
    verdict: ServiceVerdict
    crashes: tuple[Crash, ...]
    now: Now
    root: WhyLink | None

    @property
    def policy(self) -> RestartPolicy:
        """The service's restart policy."""
        project = self.view.project
        spec = project.services.get(self.verdict.service) if project else None
        return spec.restart if spec else RestartPolicy()

    @property
    def ledger(self) -> ServiceLedger:
        """What is remembered of it."""
        return self.view.ledger.services.get(self.verdict.service, ServiceLedger())

    @property
    def override(self) -> Override | None:
        """What a person, or another hand, asked for it."""
        acts = (OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED, OverrideKind.RELEASED)
        found = [o for o in self.view.overrides if o.service in (None, self.verdict.service)]
        found.sort(key=lambda o: (o.kind not in acts, o.service is not None))
        return found[0] if found else None

    def clock(self, at: float) -> str:
        """An instant (wall clock) for a person."""
        then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(self.now.wall, UTC)
        return then.strftime("%H:%M:%S UTC" if then.date() == today.date() else "%Y-%m-%d %H:%M:%S UTC")

    @property
    def next_try(self) -> str:
        """When time alone leads on, "" = it does not."""
        due = self.verdict.next_at
        return "" if due is None else f"next try at {self.clock(self.now.wall + due - self.now.mono)}"


def headline(facts: Facts) -> str:
    """Why the service is as it is, in one line."""
    verdict, name = facts.verdict, facts.verdict.service
    match verdict.state:
        case ServiceState.RUNNING | ServiceState.HEALTHY | ServiceState.STARTING if not verdict.detail:
            return _running(facts)
        case ServiceState.CRASH_LOOPING:
            return _joined(f"{name} is crash looping: {_failures(facts)}", facts.next_try)
        case ServiceState.BACKING_OFF:
            attempt = f"attempt {verdict.attempt}" if verdict.attempt else ""
            return _joined(f"{name} is backing off: {verdict.detail}", attempt, facts.next_try)
        case ServiceState.WAITING:
            return _waiting(name, verdict.detail)
        case ServiceState.HELD | ServiceState.STOPPED | ServiceState.ABSENT if facts.override is not None:
            return _by_override(facts, facts.override)
        case ServiceState.COMPLETED:
            return f"{name} has completed{_ended(facts)}"
        case ServiceState.EXITED:
            return f"{name} is not running: {verdict.detail or 'it has exited'}{_ended(facts)}"
        case _:
            word = verdict.state.replace("_", " ")
            return _joined(f"{name} is {word}" + (f": {verdict.detail}" if verdict.detail else ""), facts.next_try)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _running(facts: Facts) -> str:
    runs = [one for one in ours(facts.view) if one.service == facts.verdict.service and one.live]
    since = max((one.started_at for one in runs), default=0.0)
    text = f"{facts.verdict.service} is {facts.verdict.state}"
    if since:
        text += " since" if facts.verdict.state is ServiceState.RUNNING else ", running since"
        text += f" {facts.clock(since)}"
    if facts.root is None or facts.root.kind == "outcome":
        return text
    return f"{text}, started because {facts.root.text.removeprefix(f'{facts.verdict.service}: ')}"


def _waiting(name: str, detail: str) -> str:
    return f"{name} waits for {detail.removeprefix('waiting for ')}" if detail.startswith("waiting for") else (
        f"{name} waits: {detail}"
    )  # fmt: skip


def _failures(facts: Facts) -> str:
    """`exited 1, 5 times within 10 min`: the deaths of the newest window."""
    deaths, policy = facts.ledger.deaths, facts.policy
    if not deaths:
        return facts.verdict.detail
    recent = [one for one in deaths if one.seen_at > deaths[-1].seen_at - policy.crashloop_window]
    recent = recent if len(recent) > 1 else list(deaths)
    ways = list(dict.fromkeys(one.detail for one in reversed(recent)))
    span = duration(policy.crashloop_window)
    return f"{ways[0]}, {len(recent)} times within {span}" if len(ways) == 1 else (
        f"{len(recent)} failures within {span}, the last one: {ways[0]}"
    )  # fmt: skip


def _ended(facts: Facts) -> str:
    over = [one for one in ours(facts.view) if one.service == facts.verdict.service and one.ended]
    last = max(over, key=lambda one: one.finished_at, default=None)
    if last is None or not last.finished_at:
        return ""
    code = f": exited {last.exit_code}" if facts.verdict.state is ServiceState.COMPLETED else ""
    return f"{code} at {facts.clock(last.finished_at)}"


def _by_override(facts: Facts, override: Override) -> str:
    name = facts.verdict.service
    what = f"{override.reason} (by {override.by}) at {facts.clock(override.at)}"
    if override.kind is OverrideKind.PINNED:
        return f"{name} is left as it is: {override.reason}; {_way_out(facts, override)}"
    return f"{name} is {override.kind}: {what}; {_way_out(facts, override)}"


def _way_out(facts: Facts, override: Override) -> str:
    runs = any(one.live and one.service == facts.verdict.service for one in ours(facts.view))
    return way_out(facts.view.stack, override.service, override.kind, runs=runs)


def outlook(facts: Facts) -> str:
    """What happens next, and what a person can do about it."""
    stack, name, state = facts.view.stack, facts.verdict.service, facts.verdict.state
    override = facts.override
    if state in (ServiceState.HELD, ServiceState.STOPPED, ServiceState.ABSENT) and override is not None:
        end = f"it ends at {facts.clock(override.until)}" if override.until is not None else "nothing happens by itself"
        edit = "" if override.kind is OverrideKind.RELEASED else ", and so does an edit of its definition"
        return f"{end}; {_way_out(facts, override)}{edit}"
    match state:
        case ServiceState.CRASH_LOOPING | ServiceState.BACKING_OFF:
            look = f"; what it said: `stackd crashes {stack} {name}`" if facts.crashes else ""
            when = f"{facts.next_try}, " if facts.next_try else ""
            return f"{when}or at once: an edit of its definition, or `stackd restart {stack} {name}`{look}"
        case ServiceState.HELD if facts.verdict.settled and not facts.verdict.good:
            return "its container is kept and restarted as it is; what it would lose, stackd does not carry out yet"
        case ServiceState.BLOCKED if facts.verdict.settled:
            return "nothing happens by itself: its definition must change"
        case ServiceState.BLOCKED | ServiceState.WAITING:
            return "it goes on by itself once that is so"
        case ServiceState.PAUSED:
            return f"nothing happens by itself: unpause it with docker, or `stackd restart {stack} {name}`"
        case ServiceState.COMPLETED:
            return f"it does not run again until its definition changes, or `stackd restart {stack} {name}`"
        case ServiceState.EXITED:
            return f"it stays so until its definition changes, or `stackd start {stack} {name}`"
        case ServiceState.RUNNING | ServiceState.HEALTHY:
            return "nothing is to be done" if facts.verdict.good else ""
        case _:
            return facts.next_try
