"""A past for `FakeControl`: crashes with their evidence, applied revisions."""

from __future__ import annotations

from stackd.errors import Span
from stackd.model.ids import ContainerId, ImageId, ServiceName, StackName
from stackd.model.observed import HealthProbe
from stackd.model.plan import FieldChange
from stackd.model.record import Applied, AppliedImage, Crash, CrashBundle

NOON = 1_700_000_000.0
"""The one instant of the fake's world: 2023-11-14T22:13:20Z."""


def crashed(number: int = 7, name: str = "web", *, code: int = 137, oom: bool = True) -> CrashBundle:
    """A crash of a service of `blog`, with all its evidence."""
    crash = Crash(
        id=number,
        at=NOON,
        stack=StackName("blog"),
        service=ServiceName(name),
        container=ContainerId("c" * 64),
        name=f"blog-{name}-1",
        started_at=NOON - 60,
        exit_code=code,
        signal=code - 128 if code > 128 else None,
        oom=oom,
        cause=f"exited {code}" + (", out of memory" if oom else ""),
    )
    return CrashBundle(
        crash,
        image=f"{name}:1",
        image_id=ImageId("sha256:" + "1234" * 16),
        revision=3,
        logs=("allocating", "\x1b[31mgiving up"),
        probes=(HealthProbe(NOON - 5, 1, "connection refused\n"),),
        changes=(FieldChange("mem_limit", "512m", "64m", Span("/srv/blog/compose.yaml", 9, 5)),),
        stable_at=NOON - 600,
        gaps=("the state that the engine kept of it",),
    )


def applied(number: int, *changes: str) -> Applied:
    """A revision of `blog`."""
    return Applied(
        stack=StackName("blog"),
        number=number,
        at=NOON + 60 * number,
        digest=f"sha256:{number}",
        generation=number,
        revision="",
        resolved=f"name: blog\nservices:\n  web:\n    image: web:{number}\n",
        services=(ServiceName("db"), ServiceName("web")),
        images={ServiceName("web"): AppliedImage(f"web:{number}", ImageId("sha256:1234"), ("web@sha256:5678",))},
        changes=changes,
    )
