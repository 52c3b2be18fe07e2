"""The past on the wire: causes, crashes, revisions; and the projects that could be adopted. Views and their making.

Law: as `schemas`: snake_case, RFC 3339 UTC, null = not known. What is shown here was redacted where it was recorded; a
revision's files themselves (`Applied.texts`) are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field
from typing_extensions import TypedDict

from stackd.api.convert import change_view, instant, maybe_instant
from stackd.api.schemas import Accepted, ChangeView, Instant
from stackd.model.observed import HealthProbe
from stackd.model.override import Override, OverrideKind
from stackd.model.record import Adoptable, Applied, Crash, CrashBundle, WhyAnswer, WhyLink


class LinkView(TypedDict):
    """One link of a causal chain; `at` null = it holds now, `file` "" = it stands in no file."""

    kind: str
    text: str
    at: Instant | None
    file: str
    line: int
    column: int


class WhyView(TypedDict):
    """Why a service is as it is: the chain from first to last, and what comes next."""

    stack: str
    service: str
    state: str
    headline: str
    chain: list[LinkView]
    next: str


class CrashView(TypedDict):
    """One run that ended badly; `signal` null = it exited by itself, `error` is the engine's own text."""

    id: int
    at: Instant
    stack: str
    service: str
    container: str
    name: str
    started_at: Instant
    exit_code: int
    signal: int | None
    oom: bool
    cause: str
    error: str


class CrashesView(TypedDict):
    """The crashes still kept, newest first."""

    crashes: list[CrashView]


class ProbeView(TypedDict):
    """One run of a health check."""

    at: Instant
    exit_code: int
    output: str


class BundleView(CrashView):
    """A crash with its evidence. `changes` are the edits since `stable_at`, when it last ran well (null = never);
    `gaps` names what could not be had."""

    image: str
    image_id: str
    config_hash: str
    revision: int | None
    logs: list[str]
    probes: list[ProbeView]
    changes: list[ChangeView]
    stable_at: Instant | None
    gaps: list[str]


class RevisionImageView(TypedDict):
    """The image that a service ran: as the file names it, which one that was, and its names in registries."""

    ref: str
    id: str
    digests: list[str]


class RevisionView(TypedDict):
    """A definition that was wholly applied. `current` = the one now in force; `pinned` = by a rollback; `failed` = a
    service of it crash looped soon after, and it has not run well since: a rollback goes to it by its number only."""

    stack: str
    number: int
    at: Instant
    digest: str
    generation: int
    services: list[str]
    images: dict[str, RevisionImageView]
    changes: list[str]
    current: bool
    pinned: bool
    failed: bool


class RevisionsView(TypedDict):
    """The applied revisions still kept, newest first."""

    revisions: list[RevisionView]


class WholeRevisionView(RevisionView):
    """A revision with its resolved definition; secrets are redacted."""

    resolved: str


class DiffView(TypedDict):
    """A unified diff of two revisions' resolved definitions, line by line; `against` null = the one before."""

    stack: str
    number: int
    against: int | None
    lines: list[str]


class AdoptableView(TypedDict):
    """A Compose project on the engine that no stacks directory holds; `obstacle` "" = it can be adopted."""

    name: str
    working_dir: str
    config_files: list[str]
    services: list[str]
    containers: int
    running: int
    obstacle: str


class AdoptablesView(TypedDict):
    """The projects that could be adopted, by name."""

    projects: list[AdoptableView]


class WhyQuery(Accepted):
    """How much to tell."""

    values: bool = False
    """Show the values that an edit changed, from the revisions that are kept: only to the daemon's own user or root."""


class DiffQuery(WhyQuery):
    """What to compare with."""

    against: int | None = Field(default=None, ge=1)
    """The number of the other revision; default: the one before."""


class RollbackBody(Accepted):
    """Where to go back to."""

    revision: int | None = Field(default=None, ge=1)
    """The number of the revision; null = the one before the present one."""


def why_view(answer: WhyAnswer) -> WhyView:
    """Why a service is as it is."""
    return WhyView(
        stack=answer.stack,
        service=answer.service,
        state=answer.state.value,
        headline=answer.headline,
        chain=[_link_view(link) for link in answer.chain],
        next=answer.next,
    )


def _link_view(link: WhyLink) -> LinkView:
    span = link.span
    return LinkView(
        kind=link.kind,
        text=link.text,
        at=maybe_instant(link.at),
        file=span.file if span else "",
        line=span.line if span else 0,
        column=span.column if span else 0,
    )


def crash_view(crash: Crash) -> CrashView:
    """A crash without its evidence."""
    return CrashView(
        id=crash.id,
        at=instant(crash.at),
        stack=crash.stack,
        service=crash.service,
        container=crash.container,
        name=crash.name,
        started_at=instant(crash.started_at),
        exit_code=crash.exit_code,
        signal=crash.signal,
        oom=crash.oom,
        cause=crash.cause,
        error=crash.error,
    )


def bundle_view(bundle: CrashBundle) -> BundleView:
    """A crash with its evidence."""
    return BundleView(
        **crash_view(bundle.crash),
        image=bundle.image,
        image_id=bundle.image_id,
        config_hash=bundle.config_hash,
        revision=bundle.revision,
        logs=list(bundle.logs),
        probes=[_probe_view(probe) for probe in bundle.probes],
        changes=[change_view(change) for change in bundle.changes],
        stable_at=maybe_instant(bundle.stable_at),
        gaps=list(bundle.gaps),
    )


def _probe_view(probe: HealthProbe) -> ProbeView:
    return ProbeView(at=instant(probe.at), exit_code=probe.exit_code, output=probe.output)


def revision_views(revisions: tuple[Applied, ...], overrides: Iterable[Override]) -> list[RevisionView]:
    """Revisions, newest first; the pinned one is in force, else the newest."""
    pin = next((override.value for override in overrides if override.kind is OverrideKind.PINNED), None)
    current = pin if pin is not None else max((entry.number for entry in revisions), default=None)
    return [_revision_view(entry, current=current, pin=pin) for entry in revisions]


def _revision_view(applied: Applied, *, current: int | None, pin: int | None) -> RevisionView:
    images = {
        str(service): RevisionImageView(ref=image.ref, id=image.id, digests=list(image.digests))
        for service, image in applied.images.items()
    }
    return RevisionView(
        stack=applied.stack,
        number=applied.number,
        at=instant(applied.at),
        digest=applied.digest,
        generation=applied.generation,
        services=list(applied.services),
        images=images,
        changes=list(applied.changes),
        current=applied.number == current,
        pinned=applied.number == pin,
        failed=applied.failed,
    )


def adoptable_view(project: Adoptable) -> AdoptableView:
    """A project that could be adopted."""
    return AdoptableView(
        name=project.name,
        working_dir=project.working_dir,
        config_files=list(project.config_files),
        services=list(project.services),
        containers=project.containers,
        running=project.running,
        obstacle=project.obstacle,
    )
