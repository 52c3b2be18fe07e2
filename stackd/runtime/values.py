"""What history hides, from the revision store: for whoever asks for the values and may read the files.

Law: read from the 0600 store each time, given to the one who asked and to nobody else: nothing of it is logged or
kept. What this module does NOT do: judge who may ask (the API does), or decide what is hidden (`compose.redact`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

from stackd.compose.explain import changed_fields
from stackd.compose.redact import Redaction
from stackd.errors import StateError
from stackd.model.ids import ServiceName
from stackd.model.plan import FieldChange
from stackd.model.record import Applied, WhyAnswer
from stackd.model.spec import Project
from stackd.model.view import Pin
from stackd.runtime import rows
from stackd.runtime.applied import pin
from stackd.source.revision import Revision
from stackd.source.scan import Scanner, SourceSettings


class Values:
    """Reads revisions as they are written. `settings` are those by which they are read otherwise."""

    def __init__(self, settings: SourceSettings) -> None:
        self._hiding = settings
        self._showing = replace(settings, redaction=Redaction(reveal=True))

    def pin(self, applied: Applied) -> Pin:
        """As `applied.pin`, nothing hidden. Raises StateError when it makes no definition."""
        return pin(applied, self._showing)

    def with_values(self, answer: WhyAnswer, kept: Iterable[Applied | Revision | None]) -> WhyAnswer:
        """An answer whose edits show what was hidden; `kept` are the stack's revisions, oldest first.

        What an edit between two of them changed is recognised by its words; one that is not kept stays hidden.
        """
        words = self._words(answer.service, [one for one in kept if one is not None])
        chain = tuple(replace(link, text=_replaced(link.text, words)) for link in answer.chain)
        return replace(answer, headline=_replaced(answer.headline, words), chain=chain)

    def _words(self, service: ServiceName, kept: list[Applied | Revision]) -> dict[str, str]:
        """What each edit of a service is called, and what it is with its values; the newest counts."""
        found: dict[str, str] = {}
        pairs = [(_project(one, self._hiding), _project(one, self._showing)) for one in kept]
        for before, after in pairwise(pairs):
            hidden = _changes(before[0], after[0], service)
            for field, shown in _changes(before[1], after[1], service).items():
                if field in hidden:
                    found[str(hidden[field])] = str(shown)
        return found


def _project(kept: Applied | Revision, settings: SourceSettings) -> Project | None:
    """The definition that a revision makes today, None when it makes none."""
    try:
        revision = rows.REVISION.validate_json(kept.revision) if isinstance(kept, Applied) else kept
    except ValueError:
        return None
    try:
        return Scanner(settings).revive(revision).project
    except StateError:
        return None


def _changes(before: Project | None, after: Project | None, service: ServiceName) -> dict[str, FieldChange]:
    old = before.services.get(service) if before is not None else None
    new = after.services.get(service) if after is not None else None
    return {one.field: one for one in changed_fields(old, new)} if old is not None and new is not None else {}


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for hidden, shown in words.items():
        text = text.replace(hidden, shown)
    return text
