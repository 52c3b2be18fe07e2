"""What is shown while a command waits: live lines on a terminal, else one line for each change.

Everything comes from the stack's status: state and detail of each service say what it waits for.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stackd.api.table import Paint, clean
from stackd.api.text import style_of
from stackd.cli.render import paint_for

if TYPE_CHECKING:
    from stackd.api.schemas import PlanView, ServiceView, StackView


class Progress:
    """Shows the services of one stack on standard error; `services` empty = all."""

    def __init__(self, services: Iterable[str]) -> None:
        self._wanted = frozenset(services)
        self._paint = paint_for(sys.stderr)
        self._live = self._paint.colours
        self._drawn = 0
        self._said: dict[str, str] = {}

    def show(self, stack: StackView, plan: PlanView) -> None:
        """The stack is now like this."""
        now = {s["name"]: s for s in stack["services"] if not self._wanted or s["name"] in self._wanted}
        working = {step["service"]: step["progress"] or step["action"] for step in plan["steps"] if step["in_flight"]}
        lines = {name: (service, _what(service, working.get(name, ""))) for name, service in now.items()}
        if self._live:
            self._draw(list(lines.values()))
        else:
            self._say(lines)

    def done(self) -> None:
        """Leave the last picture as it is."""
        self._drawn = 0

    def _draw(self, lines: list[tuple[ServiceView, str]]) -> None:
        """Write over the picture before."""
        width = max((len(service["name"]) for service, _ in lines), default=0)
        columns = shutil.get_terminal_size().columns - 1
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        text = "".join(f"{_line(service, what, width, columns, self._paint)}\x1b[K\n" for service, what in lines)
        sys.stderr.write(back + text + "\x1b[J")
        sys.stderr.flush()
        self._drawn = len(lines)

    def _say(self, lines: dict[str, tuple[ServiceView, str]]) -> None:
        """One line for each service that changed since the first look."""
        first = not self._said
        for name, (service, what) in lines.items():
            text = f"{name}: {service['state']}" + (f" ({what})" if what else "")
            if self._said.get(name) != text and not (first and service["state"] in ("running", "healthy")):
                sys.stderr.write(clean(text) + "\n")
            self._said[name] = text
        sys.stderr.flush()


def _what(service: ServiceView, working: str) -> str:
    return service["detail"] or working


def _line(service: ServiceView, what: str, width: int, columns: int, paint: Paint) -> str:
    state = service["state"]
    room = max(0, columns - width - len(state) - 6)
    detail = clean(what)[:room]
    name = paint("name", service["name"].ljust(width))
    return f"  {name}  {paint(style_of(state), state)}" + (f"  {paint('dim', detail)}" if detail else "")
