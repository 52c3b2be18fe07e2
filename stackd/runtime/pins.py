"""placeholder"""

from __future__ import annotations

from stackd.errors import StateError
from stackd.model.record import Applied
from stackd.model.view import Pin
from stackd.source.scan import SourceSettings


def revived(settings: SourceSettings, applied: Applied) -> Pin:
    """An applied revision made a definition again. Raises StateError when its texts make none."""
    raise StateError(f"revision {applied.number} of {applied.stack}: {settings.roots}")
