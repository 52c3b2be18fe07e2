"""Whether a folder that `docker compose` made a project from can be a stack, and would be the same project.

Law: it is judged exactly as it would be read once it is linked: same files, same variables, same permissions. A folder
that would become another project, or that containers do not name by its real path, is refused with what to do about it.
What this module does NOT do: link anything (see `linking`), or ask the engine. Synchronous, meant for a thread.
"""

from __future__ import annotations

import os
from pathlib import Path

from stackd.errors import Severity
from stackd.model.ids import StackName
from stackd.source.reading import Files
from stackd.source.scan import Scanner, SourceSettings


def obstacle(settings: SourceSettings, name: StackName, working_dir: str, config_files: tuple[str, ...]) -> str:
    """Why the project `name`, made in `working_dir` from `config_files` (labels), cannot be kept; "" = it can."""
    return _of_folder(working_dir) or _of_definition(settings, name, Path(working_dir), config_files)


def _of_folder(working_dir: str) -> str:
    if not working_dir.startswith("/"):
        return "its containers do not tell which folder they were made in"
    try:
        real = os.path.realpath(working_dir, strict=True)
        if not os.path.isdir(real):
            return f"{working_dir} is not a folder"
        if real != os.path.normpath(working_dir):
            return f"{working_dir} is a link to {real}: run docker compose up -d in {real} first"
        return Files(os.geteuid()).refusal(Path(real))
    except FileNotFoundError:
        return f"its folder {working_dir} is not there: put it back, then adopt it again"
    except OSError as error:
        return f"its folder {working_dir} cannot be read: {error.strerror}"


def _of_definition(settings: SourceSettings, name: StackName, folder: Path, made_from: tuple[str, ...]) -> str:
    reading = Scanner(settings).consider(folder)
    if reading.loaded is None:
        return reading.problem
    project = reading.loaded.project
    if project is None:
        return next((str(one) for one in reading.diagnostics if one.severity is Severity.ERROR), "it is not valid")
    known = {str(path) for path in project.config_files}
    if made_from and {os.path.normpath(path) for path in made_from} != known:
        short = ":".join(os.path.relpath(path, folder) for path in made_from)
        found = ", ".join(path.name for path in project.config_files)
        return f"it was made from {short}, not from {found}: set COMPOSE_FILE={short} in its .env"
    if project.name != name:
        return f"its folder makes project {project.name}: set COMPOSE_PROJECT_NAME={name} in its .env"
    return ""
