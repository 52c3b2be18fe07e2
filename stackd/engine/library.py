"""The import of aiodocker, which asks for the home directory while it loads and fails for a user without one.

Law: the rest of this package takes the library from here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _some_home() -> Iterator[None]:
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"
        try:
            yield
        finally:
            del os.environ["HOME"]
    else:
        yield


with _some_home():
    import aiodocker

__all__ = ["aiodocker"]
