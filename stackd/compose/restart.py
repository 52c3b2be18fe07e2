"""Who restarts a service, and how: `restart`, `deploy.restart_policy`, and the knobs under `x-stackd: restart:`.

Law: the mapping of supervision.md "Ownership": what is unset becomes stackd's default (told as such), except for a
service that another waits for to complete, or that only a profile starts.
What this module does NOT do: decide restarts.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from stackd.compose.knobs import extension, seconds, with_knobs
from stackd.compose.normalise import text
from stackd.compose.report import Report, nearest, quote
from stackd.compose.tree import Map, Path, Scalar
from stackd.model.spec import RestartCondition, RestartPolicy

_RESTART = {
    "no": RestartCondition.NO,
    "always": RestartCondition.ALWAYS,
    "unless-stopped": RestartCondition.ALWAYS,
    "on-failure": RestartCondition.ON_FAILURE,
}
_DEPLOY = {
    "none": ("no", RestartCondition.NO),
    "no": ("no", RestartCondition.NO),
    "any": ("always", RestartCondition.ALWAYS),
    "always": ("always", RestartCondition.ALWAYS),
    "": ("always", RestartCondition.ALWAYS),
    "unless-stopped": ("unless-stopped", RestartCondition.ALWAYS),
    "on-failure": ("on-failure", RestartCondition.ON_FAILURE),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands around a service: the daemon's default, and whether it is a one-shot or only in a profile."""

    default: RestartPolicy
    one_shot: bool


def restart_policy(service: Map, asked: Asked, path: Path, report: Report) -> RestartPolicy:
    """The policy of a service; mistakes are reported and leave the default."""
    policy = _declared(service, asked, path, report)
    own = extension(service, path, report)
    knobs = own.get("restart") if own is not None else None
    if isinstance(knobs, Map):
        return with_knobs(policy, knobs, (*path, "x-stackd", "restart"), report)
    if knobs is not None:
        report.refused("bad-type", f'"restart" wants a mapping of knobs, found {quote(knobs)}', knobs.span, path)
    return policy


def _declared(service: Map, asked: Asked, path: Path, report: Report) -> RestartPolicy:
    deploy = service.get("deploy")
    policy = deploy.get("restart_policy") if isinstance(deploy, Map) else None
    if isinstance(policy, Map):
        return _deployed(policy, asked.default, (*path, "deploy", "restart_policy"), report)
    node = service.get("restart")
    if node is None or not text(node):
        return dataclasses.replace(asked.default, condition=RestartCondition.NO) if asked.one_shot else asked.default
    word, colon, count = text(node).partition(":")
    condition = _RESTART.get(word)
    if condition is None or (colon and (word != "on-failure" or not count.isascii() or not count.isdigit())):
        message = f'"restart" is {quote(node)}, wants no, always, unless-stopped, on-failure or on-failure:COUNT'
        report.refused("bad-restart", message, node.span, (*path, "restart"), nearest(word, _RESTART))
        return asked.default
    limit = int(count) if count and int(count) > 0 else None
    return dataclasses.replace(
        asked.default, condition=condition, declared=True, max_attempts=limit, engine_name=word,
        engine_retries=limit or 0,
    )  # fmt: skip


def _deployed(node: Map, default: RestartPolicy, path: Path, report: Report) -> RestartPolicy:
    word = text(node.get("condition"))
    if word not in _DEPLOY:
        condition = node.get("condition") or node
        message = f'"condition" is {quote(condition)}, wants none, on-failure or any'
        report.refused("bad-restart", message, condition.span, (*path, "condition"))
        return default
    name, meaning = _DEPLOY[word]
    attempts = node.get("max_attempts")
    limit = (
        attempts.value
        if isinstance(attempts, Scalar) and isinstance(attempts.value, int) and attempts.value > 0
        else None
    )
    retries = limit or 0 if name == "on-failure" else 0
    policy = dataclasses.replace(
        default, condition=meaning, declared=True, max_attempts=limit, engine_name=name, engine_retries=retries
    )
    delay, window = seconds(node.get("delay")), seconds(node.get("window"))
    if delay is not None:
        # Compose's delay is the same before every attempt, the first included.
        policy = dataclasses.replace(
            policy, first_delay=delay, base_delay=delay, factor=1.0, max_delay=max(delay, policy.max_delay)
        )
    return dataclasses.replace(policy, reset_after=window) if window else policy  # a window of 0 is no window
