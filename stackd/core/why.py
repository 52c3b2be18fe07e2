"""Why a service is as it is: the chain of causes, from the first one to what is waited for now.

Law: pure, and told only from what is known: history, the decision in force, the view it was made from. The chain goes
back to a cause that a person can name (an edit, a crash, somebody's hand, a request) and no further; where the
history no longer holds one, it begins with what is left. What this module does NOT do: ask, guess, or decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from stackd.core.headline import Facts, headline, outlook
from stackd.core.ownership import ours
from stackd.errors import Span
from stackd.model.ids import ServiceName
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import BlockerKind, FieldChange, Step, Why, service_of
from stackd.model.record import Crash, WhyAnswer, WhyLink
from stackd.model.status import Happening
from stackd.model.view import Decision, Now, ServiceState, ServiceVerdict, View

LONGEST = 12
"""Links of the past that are told, at most; the first one always is."""
TOLD_WITHIN = 5.0
"""Seconds after a run's start in which what began it is told: the end of a call comes after its beginning."""
_RUNS = (ServiceState.RUNNING, ServiceState.HEALTHY, ServiceState.STARTING)
_EDITS = frozenset(
    why.value
    for why in (
        Why.CONFIG_CHANGED, Why.CONTENT_CHANGED, Why.IMAGE_CHANGED, Why.NETWORK_CHANGED, Why.MOUNT_CHANGED,
        Why.ROLLED_BACK, Why.ORPHANED, Why.STACK_REMOVED,
    )
)  # fmt: skip
_FOLLOWING = frozenset(
    why.value for why in (Why.NEEDED, Why.REPLACED, Why.EXITED, Why.UNHEALTHY, Why.REQUESTED, Why.STOPPED_BY_OVERRIDE)
)
"""Reasons whose cause is another entry, further back."""
_ELSEWHERE = frozenset((Why.DEPENDENCY_RESTARTED.value, Why.PARENT_REPLACED.value))
_CALLS = ("container.", "image.")
_LAST = "container.renamed"
"""The last step of a replacement: the service may have been told as running before it."""
_EVENTS = tuple(f"container.{word}" for word in ("exited", "gone", "health", "restarted", "paused", "unpaused"))
"""What was seen of a container, and is no call of ours."""
_HANDS = ("container.gone", "container.restarted", "override.set", "override.released", "operation.requested")
"""What somebody did, and nothing is behind it."""
_SETTLED = frozenset(
    state.value
    for state in (
        ServiceState.RUNNING, ServiceState.HEALTHY, ServiceState.COMPLETED, ServiceState.STOPPED, ServiceState.HELD,
    )
)  # fmt: skip
_PLACE = re.compile(r"\((/[^():]*|[^\s():]+):(\d+):(\d+)\)")


@dataclass(frozen=True, slots=True)
class Known:
    """What an explanation is made from. `entries`: the stack's history, oldest first; `crashes`: the service's, newest
    first."""

    view: View
    decision: Decision | None
    entries: tuple[Happening, ...]
    crashes: tuple[Crash, ...]
    now: Now


def explain(service: ServiceName, known: Known) -> WhyAnswer:
    """Why a service of the view's stack is as it is, and what comes next."""
    decision = known.decision
    verdict = next((one for one in decision.verdicts if one.service == service), None) if decision else None
    verdict = verdict or ServiceVerdict(service, ServiceState.UNKNOWN, "not looked at yet")
    past = _past(service, _before_its_run(service, known, verdict))
    steps = [step for step in decision.plan.steps if service_of(step.op) == service] if decision else []
    facts = Facts(known.view, verdict, known.crashes, known.now, past[0] if past else None)
    chain = (*_short(past), *_standing(service, known.view), *_coming(steps))
    return WhyAnswer(known.view.stack, service, verdict.state, headline(facts), chain, outlook(facts))


def _before_its_run(service: ServiceName, known: Known, verdict: ServiceVerdict) -> Known:
    """What came after a service's run began is not why it runs."""
    runs = [one.started_at for one in ours(known.view) if one.service == service and one.live]
    if verdict.state not in _RUNS or verdict.detail or not runs:
        return known
    return replace(known, entries=tuple(one for one in known.entries if one.at <= max(runs) + TOLD_WITHIN))


# The past


def _past(service: ServiceName, known: Known) -> list[WhyLink]:
    links: list[WhyLink] = []
    for entry in _episode(service, known.entries, known.view):
        links += _links(entry, known.view)
    if known.view.ledger.services.get(service) and _failing(service, known):
        links = [*_blamed(service, known, links), *links]
    told = {(link.kind, link.text): link for link in reversed(links)}
    return [link for link in links if told.get((link.kind, link.text)) is link]


def _episode(service: ServiceName, entries: tuple[Happening, ...], view: View, depth: int = 0) -> list[Happening]:
    """The newest entries that belong together, oldest first: back to the cause of the newest call or state."""
    found: list[Happening] = []
    root: Happening | None = None
    between: list[Happening] = []
    for at in range(len(entries) - 1, -1, -1):
        entry = entries[at]
        if not _concerns(entry, service):
            continue
        if root is not None:
            between.append(entry)
            if _same_cause(entry, root):
                found += between
                between = []
            elif _is_removal_before(entry, root):
                found += between
                break
            elif _is_root(entry) or _is_settled(entry):
                break
            continue
        if elsewhere := _cause_elsewhere(entry, view):
            before = _episode(elsewhere, entries[:at], view, depth + 1) if depth < 2 else []
            return [*before, entry, *reversed(found)]
        if _ends_an_older_tale(entry, found):
            break
        found.append(entry)
        root = entry if _is_root(entry) else None
    return list(reversed(found))


def _is_removal_before(entry: Happening, root: Happening) -> bool:
    """Whether it tells why a container was missing: somebody removed it."""
    return entry.type == "container.gone" and dict(root.data).get("why") == Why.MISSING.value


def _concerns(entry: Happening, service: ServiceName) -> bool:
    """Whether an entry of the stack is part of a service's tale."""
    if entry.service is not None:
        return entry.service == service and not entry.type.startswith(("crash.", "notify."))
    if entry.type == "operation.requested":
        names = entry.message.removesuffix(f" asked for by {entry.message.rpartition(' asked for by ')[2]}")
        words = names.partition(" ")[2]
        return words == "the stack" or service in words.split(", ")
    return entry.type.startswith("override.")


def _is_root(entry: Happening) -> bool:
    """Whether an entry is a cause that a person can name."""
    facts = dict(entry.data)
    if entry.type == "container.exited":
        return facts.get("own") is not True
    if entry.type in _HANDS:
        return True
    if entry.type == "container.health":
        return facts.get("health") == "unhealthy"
    why = facts.get("why")
    return entry.type.startswith(_CALLS) and isinstance(why, str) and why not in _FOLLOWING | _ELSEWHERE


def _same_cause(entry: Happening, root: Happening) -> bool:
    """Whether an older entry has the cause that has been found: the steps of one edit are many."""
    facts, known = dict(entry.data), dict(root.data)
    same = (facts.get("why"), facts.get("reason")) == (known.get("why"), known.get("reason"))
    return same and facts.get("why") is not None and _is_root(entry)


def _ends_an_older_tale(entry: Happening, found: list[Happening]) -> bool:
    """Whether an entry says that the service was settled, with something newer known that began after it."""
    return _is_settled(entry) and any(one.type.startswith(_CALLS) and one.type != _LAST for one in found)


def _is_settled(entry: Happening) -> bool:
    return entry.type == "service.state" and dict(entry.data).get("state") in _SETTLED


def _cause_elsewhere(entry: Happening, view: View) -> ServiceName | None:
    """The service whose restart or replacement made this one follow."""
    facts = dict(entry.data)
    if facts.get("why") not in _ELSEWHERE or view.project is None:
        return None
    words = re.findall(r"[\w.-]+", str(facts.get("reason", "")))
    return next((ServiceName(word) for word in words if word in view.project.services and word != entry.service), None)


def _links(entry: Happening, view: View) -> list[WhyLink]:
    """An entry as links: what an edit changed, what was decided for it, the call, how it came out."""
    facts = dict(entry.data)
    if entry.type in _EVENTS:
        return [WhyLink("event", entry.message, entry.at)]
    if entry.type.startswith("override."):
        scope = f"{entry.service}: " if entry.service else ""
        return [WhyLink("override", scope + entry.message, entry.at)]
    if entry.type == "operation.requested":
        return [WhyLink("event", entry.message, entry.at)]
    if not entry.type.startswith(_CALLS):
        return [WhyLink("outcome", entry.message, entry.at)]
    reason = str(facts.get("reason", ""))
    call = WhyLink("call", entry.message.removesuffix(f": {reason}") if reason else entry.message, entry.at)
    if facts.get("why") in _EDITS:
        edits = _edits(reason, entry, view)
        decided = WhyLink("decision", f"{entry.service}: {str(facts['why']).replace('_', ' ')}", entry.at)
        return [*edits, decided, call]
    return [WhyLink("decision", f"{entry.service}: {reason}", entry.at), call] if reason else [call]


def _edits(reason: str, entry: Happening, view: View) -> list[WhyLink]:
    """The edited fields, each with its place: from the view while it still knows them, else from the entry's words."""
    changes = view.changes.get(entry.service, ()) if entry.service else ()
    if changes and all(str(one) in reason for one in changes[:3]):
        return [_edit(one, entry.at) for one in changes]
    span = _span(str(dict(entry.data).get("span") or "")) or _span(reason)
    return [WhyLink("edit", reason or entry.message, entry.at, span)]


def _edit(change: FieldChange, at: float) -> WhyLink:
    return WhyLink("edit", str(change), at, change.span)


def _span(text: str) -> Span | None:
    """The first place named in a text (`(compose.yaml:14:9)`), or the text itself if it is one."""
    found = _PLACE.search(text) or _PLACE.search(f"({text})")
    return Span(found[1], int(found[2]), int(found[3])) if found else None


def _failing(service: ServiceName, known: Known) -> bool:
    verdicts = known.decision.verdicts if known.decision else ()
    states = (ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING)
    return any(one.service == service and one.state in states for one in verdicts)


def _blamed(service: ServiceName, known: Known, links: list[WhyLink]) -> list[WhyLink]:
    """The edit since which a failing service fails: the last one before its first remembered death, if it is near."""
    ledger = known.view.ledger.services[service]
    project = known.view.project
    spec = project.services.get(service) if project else None
    if not ledger.deaths or spec is None or any(link.kind == "edit" for link in links):
        return []
    first = ledger.deaths[0].seen_at - known.now.mono + known.now.wall
    edits = [e for e in known.entries if e.service == service and e.at <= first and dict(e.data).get("why") in _EDITS]
    if not edits or first - edits[-1].at > spec.restart.reset_after:
        return []
    reason = str(dict(edits[-1].data).get("reason", ""))
    return [
        replace(link, text=f"failing since this edit: {link.text}") for link in _edits(reason, edits[-1], known.view)
    ]


def _short(links: list[WhyLink]) -> list[WhyLink]:
    return links if len(links) <= LONGEST else [links[0], *links[1 - LONGEST :]]


# The present, and what is to come


def _standing(service: ServiceName, view: View) -> Iterable[WhyLink]:
    """The overrides in force."""
    for one in view.overrides:
        if one.service in (None, service):
            yield WhyLink("override", _override(one, view), one.at)


def _override(override: Override, view: View) -> str:
    scope = f"the stack {view.stack}" if override.service is None else override.service
    if override.kind is OverrideKind.PINNED:
        return f"revision {override.value} of {scope} is in force, not its newest text: {override.reason}"
    return f"{scope} is {override.kind} (by {override.by}): {override.reason}"


def _coming(steps: list[Step]) -> Iterable[WhyLink]:
    """The planned steps and what each waits for; the daemon's own bookkeeping is no news."""
    quiet = (BlockerKind.OBSERVATION, BlockerKind.STEP)
    for step in steps:
        word = re.sub(r"(?<!^)(?=[A-Z])", " ", type(step.op).__name__).lower()
        yield WhyLink("decision", f"to do: {word}: {step.op.reason}", None, _first_span(step))
        for blocker in step.blocked_by:
            if blocker.kind not in quiet:
                yield WhyLink("waiting", blocker.detail)


def _first_span(step: Step) -> Span | None:
    return next((change.span for change in step.op.reason.changes if change.span is not None), None)
