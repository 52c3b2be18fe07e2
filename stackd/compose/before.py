"""What runs before a service (`pre_start`) begins as that service and lays over it what it says itself.

Law: by the rules of merging files, all keys that it may have but its mounts, which it shares anyway; works in place, on
the service as it is in the end, except that files are not merged into environments; what a hook itself names without
a value is not looked up.
What this module does NOT do: run anything.
"""

from __future__ import annotations

from stackd.compose import merge, rules
from stackd.compose.report import Report
from stackd.compose.tree import Map, Seq, copied


def inherit(service: Map) -> None:
    """Complete every container that runs before `service`."""
    hooks = service.get("pre_start")
    if not isinstance(hooks, Seq):
        return
    kept = {key: item for key, item in service.entries.items() if key in rules.BEFORE.fields and key != "volumes"}
    for at, hook in enumerate(hooks.items):
        if isinstance(hook, Map):
            base = copied(Map(dict(kept), service.span, dict(service.keys)))
            whole = merge.lay(base, hook, ("services", ""), Report())
            if isinstance(whole, Map):
                whole.span = hook.span
                hooks.items[at] = whole
