"""Loading a stack: from its files to a project, or to what is wrong with them.

Law: `load` never raises for a user's mistake; every diagnostic that can be found is; an error anywhere leaves
`project` None, and the caller keeps the last good one. Pure: `read` gives the files (OSError when it cannot), `env`
the variables that the daemon passes on.
What this module does NOT do: choose the files (`inputs`) or keep anything between two loads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackd.compose import alone, dotenv, fields, profiles, rules
from stackd.compose.assemble import Assembly, Place
from stackd.compose.check import check
from stackd.compose.decode import Place as At
from stackd.compose.decode import in_order, struct
from stackd.compose.environment import Reader, resolve_environment
from stackd.compose.extensions import fold
from stackd.compose.files import file_mounts
from stackd.compose.hash import shown_binds
from stackd.compose.hidden import hidden_values
from stackd.compose.inputs import StackInputs, choose, stack_inputs
from stackd.compose.knobs import showing
from stackd.compose.labels import resolve_labels
from stackd.compose.normalise import items, look_up, normalise, resolve_listed, services, spell_out, text
from stackd.compose.refusals import refusals
from stackd.compose.report import Report
from stackd.compose.restart import Asked, restart_policy
from stackd.compose.schema import Context
from stackd.compose.template import TemplateError, Variables, substitute
from stackd.compose.tree import Json, Map, Scalar
from stackd.compose.typed import Source, network_spec, service_spec, volume_spec
from stackd.compose.unsupported import not_carried_out
from stackd.errors import Span
from stackd.model.ids import ServiceName, StackName
from stackd.model.spec import Loaded, Project, ServiceSpec

__all__ = ["Resolved", "StackInputs", "canonical", "choose", "load", "resolve", "stack_inputs", "values"]

_SECTIONS = {
    "networks": fields.NETWORK,
    "volumes": fields.VOLUME,
    "secrets": fields.FILE_OBJECT,
    "configs": fields.FILE_OBJECT,
    "models": fields.MODEL,
}


@dataclass(slots=True)
class _Load:
    """One load: what it works with, and what it has found so far."""

    inputs: StackInputs
    env: Mapping[str, str]
    report: Report
    reader: Reader
    assembly: Assembly
    variables: Variables = field(default_factory=lambda: Variables({}))
    name: str = ""


def load(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]) -> Loaded:
    """Read a stack's files. `read` raises FileNotFoundError or another OSError; nothing else leaves this function."""
    report = Report(shell=inputs.shell)
    state = _begun(inputs, read, env, report)
    root = _definition(state)
    project = _project(state, root) if root is not None else None
    if project is not None and report.repeated and not report.failed:
        project = _as_v2_merges(project, state)
    files = tuple(state.reader.asked)
    return Loaded(None if report.failed else project, report.all(), files)


def _as_v2_merges(project: Project, state: _Load) -> Project:
    """The project with the v2 hashes of its files as docker compose v2 lays them: equal items of a list stay.

    Where v2 refuses the files so, it has made no project of them, and nothing changes.
    """
    report, asked = Report(shell=state.inputs.shell, repeats=True), dict(state.reader.asked)

    def read(path: Path) -> bytes:
        data = asked.get(path)
        if data is None:
            raise FileNotFoundError(path)
        return data

    again = _begun(state.inputs, read, state.env, report)
    root = _definition(again)
    specs = _project(again, root).services if root is not None else {}
    services = dict(project.services)
    for name, other in specs.items():
        own = services[name]
        hashes, texts = (own.hashes[0], *other.hashes[1:]), (own.canonical[0], *other.canonical[1:])
        services[name] = replace(own, hashes=hashes, canonical=texts)
    return replace(project, services=services)


def _begun(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str], report: Report) -> _Load:
    reader = Reader(read, report, {})
    home = env.get("HOME", "")
    lenient = not (inputs.interpolate or inputs.decoded)
    assembly = Assembly(
        reader,
        report,
        inputs.folder,
        home,
        inputs.shell,
        inputs.interpolate,
        inputs.paths_resolved,
        lenient,
        inputs.checked,
    )
    return _Load(inputs, env, report, reader, assembly)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What `stackd config` shows of a load: the tree as it is in force, None when an error forbids it, and around it.

    `left_out` are services that no enabled profile asks for; `profiles` all that any service names.
    """

    loaded: Loaded
    root: Map | None
    name: str
    variables: Variables
    left_out: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()


def resolve(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]) -> Resolved:
    """Load for display: as `load`, and what became of every file."""
    report = Report(shell=inputs.shell)
    state = _begun(inputs, read, env, report)
    root = _definition(state)
    left_out: frozenset[str] = frozenset()
    project, named = None, frozenset[str]()
    if root is not None and inputs.checked and not inputs.decoded:
        alone.judge(root, report, paths_resolved=inputs.paths_resolved)
    if root is not None and inputs.decoded:
        named = frozenset(
            text(item) for _, service in services(root) for item in items(service.get("profiles")) if text(item)
        )
        left_out = _left_out(state, root)
        project = _specs(state, root, left_out) if inputs.normal and not report.failed else None
        for name, service in services(root) if not inputs.normal else ():
            struct(service, fields.SERVICE, At(("services", name), report))
    if report.failed:
        root = project = None
    loaded = Loaded(project, report.all(), tuple(state.reader.asked))
    return Resolved(loaded, root, state.name, state.variables, left_out, named)


def canonical(
    inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]
) -> tuple[dict[str, Json] | None, Loaded]:
    """The project in docker compose's canonical form (`stackd config`), None when an error forbids it. Secrets are
    shown.
    """
    found = resolve(inputs, read, env)
    return None if found.root is None else values(found), found.loaded


def values(found: Resolved, *, whole: bool = False) -> dict[str, Json]:
    """The canonical values of what was resolved; `whole`: as YAML shows them, extension fields and all."""
    out: dict[str, Json] = {"name": found.name}
    root, report = found.root, Report()
    if root is None:
        return out
    out.update(_resources(root, report, whole=whole))
    if not whole:
        out.pop("models", None)  # docker compose shows them in YAML only
    active: dict[str, Json] = {}
    for name in in_order((name for name, _ in services(root)), At((), report, whole)):
        service = root.entries["services"]
        node = service.entries[name] if isinstance(service, Map) else None
        if name not in found.left_out and isinstance(node, Map):
            decoded = struct(node, fields.SERVICE, At(("services", name), report, whole))
            active[name] = {**decoded, **shown_binds(decoded, v2=False)}
    out["services"] = active
    return out


def _definition(state: _Load) -> Map | None:
    """The merged, normalised tree of all files; None when there is nothing to go on with."""
    _variables(state)
    sound = not state.report.failed
    assembly = state.assembly
    files = _config_files(state)
    documents = [document for path in files for document in assembly.documents(path)]
    if sound and state.report.failed:
        # A file is missing from the whole, so only what each other one says by itself can be judged.
        for document in documents:
            tree = assembly.tree(document, state.variables)
            if tree is not None:
                rules.TOP.check(tree, (), Context(state.report, False, decoded=not assembly.lenient))
        return None
    if all(isinstance(document.root, Map) and document.root.entries.keys() <= {"version"} for document in documents):
        if not state.report.failed:
            main = state.inputs.config_files[0] if state.inputs.config_files else state.inputs.folder
            state.report.error("empty-file", "the file defines nothing; a stack needs services", Span(str(main)))
        return None
    _name(state, [document.root for document in documents if isinstance(document.root, Map)])
    root = assembly.model(files, Place(state.inputs.folder, str(state.inputs.folder), state.variables))
    if root is not None:
        _completed(state, root)
    return root


def _completed(state: _Load, root: Map) -> None:
    """What a definition leaves unsaid, unless it is asked for as it is."""
    decoded = state.inputs.decoded
    if not state.inputs.checked:
        alone.shaped(root, state.report, paths_resolved=state.inputs.paths_resolved)
    if decoded:
        fold(root, state.report)
    else:
        spell_out(root)
        resolve_listed(root, state.variables, (("secrets", "x-#value"), ("configs", "content")))
    if state.inputs.normal:
        normalise(root, state.name, state.variables, decoded=decoded)
        root.put("name", Scalar(state.name, root.span))
    else:
        look_up(root, state.variables, decoded=decoded)


def _variables(state: _Load) -> None:
    """The variables to interpolate with: what the daemon passes on, then `.env`, then the configured env files."""
    hidden: dict[str, str] = {}
    own = [state.inputs.env_file] if state.inputs.env_file is not None else []
    for path in (*state.inputs.env_files, *own):
        data = state.reader.get(path)
        if data is not None:
            found = dotenv.parse(data, str(path), Variables(state.env, hidden), state.report)
            hidden.update({name: held.value for name, held in found.items()})
    state.variables = Variables(dict(state.env), hidden)


def _config_files(state: _Load) -> tuple[Path, ...]:
    """The files to load; COMPOSE_FILE in `.env` wins over what lies in the folder."""
    found = state.variables.find("COMPOSE_FILE")
    if found is None or not found[0] or state.inputs.explicit:
        return state.inputs.config_files
    separator = (state.variables.find("COMPOSE_PATH_SEPARATOR") or (":", False))[0] or ":"
    return tuple(state.inputs.folder / part for part in found[0].split(separator))


def normal_name(name: str) -> str:
    """A project name as docker compose makes it from any text."""
    return "".join(re.findall(r"[a-z0-9_-]", name.lower())).lstrip("_-")


def _name(state: _Load, roots: list[Map]) -> None:
    """What was asked for, else COMPOSE_PROJECT_NAME, else the last `name:`, else the folder's name."""
    asked = state.inputs.name
    given = (asked, False) if asked else state.variables.find("COMPOSE_PROJECT_NAME")
    place = Span(str(state.inputs.env_file or state.inputs.folder))
    if given is not None and given[0]:
        state.name = given[0]
        if normal_name(state.name) != state.name:
            word = "the project name" if asked else "COMPOSE_PROJECT_NAME"
            message = f"{word} wants lower-case letters, digits, - and _, the first a letter or digit"
            state.report.error("bad-project-name", message, place)
    else:
        for root in roots:
            node = root.get("name")
            if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
                place = node.span
                state.name = _given_name(state, node.value, node.span)
        state.name = state.name or normal_name(state.inputs.folder.name)
        if not state.name:
            message = "no project name can be made of the folder's name; give the file a name:"
            state.report.error("bad-project-name", message, place)
    named = {"COMPOSE_PROJECT_NAME": state.name}
    if state.inputs.decoded:
        state.variables = Variables({**state.variables.shown, **named}, state.variables.hidden)
    else:
        state.variables = Variables(named)  # docker compose knows no other here


def _given_name(state: _Load, written: str, place: Span) -> str:
    """The project name that `name:` gives, "" when it gives none that can be used."""
    try:
        name = substitute(written, state.variables).text if state.inputs.interpolate else written
        name = normal_name(name) if state.inputs.normal else name
    except TemplateError:
        return ""  # told where the tree is interpolated
    if not name:
        message = '"name" gives no project name, wants lower-case letters, digits, - and _'
        state.report.error("bad-project-name", message, place, ("name",))
    return name


def _project(state: _Load, root: Map) -> Project:
    """The typed project; worthless when errors were reported."""
    return _specs(state, root, _left_out(state, root))


def _left_out(state: _Load, root: Map) -> frozenset[str]:
    """The services that are not asked for. What remains is checked, and forgets the resources that it does not use."""
    inputs, report = state.inputs, state.report
    found = state.variables.find("COMPOSE_PROFILES")
    given = (found[0] if found else "").split(",") if not (inputs.shell and inputs.profiles) else []
    enabled = {*inputs.profiles, *(part.strip() for part in given if part.strip())}
    left_out = profiles.inactive(root, enabled)
    alone.judge(root, report, paths_resolved=inputs.paths_resolved)
    if inputs.consistent:
        check(root, left_out, report)
    refusals(root, left_out, report, inputs.replicas)
    if inputs.services and not report.failed:
        left_out = profiles.selected(root, inputs.services, enabled, report)
    profiles.prune(root, left_out)
    for name, service in services(root):
        if name not in left_out and inputs.env_files_merged:
            resolve_environment(service, state.variables, state.reader, inputs.env_file, ("services", name))
        if name not in left_out:
            resolve_labels(service, state.reader, inputs.env_file, ("services", name))
    return left_out


def _specs(state: _Load, root: Map, left_out: frozenset[str]) -> Project:
    """The typed project of a checked tree."""
    one_shots, redaction = _one_shots(root), showing(root, (), state.inputs.redaction, state.report)
    specs: dict[ServiceName, ServiceSpec] = {}
    for name, service in services(root):
        if name in left_out:
            continue
        path = ("services", name)
        asked = Asked(state.inputs.default_restart, name in one_shots or "profiles" in service.entries)
        policy = restart_policy(service, asked, path, state.report)
        values = struct(service, fields.SERVICE, At(path, state.report))
        if state.report.failed:
            continue
        mounted = file_mounts(root, service, state.reader)
        unsupported, own = not_carried_out(root, service), showing(service, path, redaction, state.report)
        source = Source(state.name, name, service, values, policy, mounted, unsupported, own)
        specs[ServiceName(name)] = service_spec(source, state.report)
    resources = _resources(root, state.report)
    return Project(
        name=StackName(state.name),
        working_dir=state.inputs.folder,
        config_files=_config_files(state),
        services=specs,
        networks={key: network_spec(key, values, span) for key, values, span in _table(root, resources, "networks")},
        volumes={key: volume_spec(key, values, span) for key, values, span in _table(root, resources, "volumes")},
        inactive=frozenset(map(ServiceName, left_out)),
        digest=_digest(state.reader.asked),
        hidden=hidden_values(root, redaction, state.variables.hidden),
        show=redaction.show,
    )


def _one_shots(root: Map) -> frozenset[str]:
    """Services that another one waits for to complete."""
    found = set()
    for _, service in services(root):
        table = service.get("depends_on")
        for name, item in table.entries.items() if isinstance(table, Map) else ():
            if isinstance(item, Map) and text(item.get("condition")) == "service_completed_successfully":
                found.add(name)
    return frozenset(found)


def _resources(root: Map, report: Report, *, whole: bool = False) -> dict[str, Json]:
    """The top-level resources in canonical form."""
    out: dict[str, Json] = {}
    for section, layout in _SECTIONS.items():
        table, place = root.get(section), At((section,), report, whole)
        entries = table.entries if isinstance(table, Map) else {}
        decoded: dict[str, Json] = {
            key: struct(resource, layout, place.under(key))
            for key in (in_order(entries, place) if whole else entries)
            if isinstance(resource := entries[key], Map)
        }
        if decoded:
            out[section] = decoded
    return out


def _table(root: Map, resources: dict[str, Json], section: str) -> list[tuple[str, dict[str, Json], Span]]:
    table, tree = resources.get(section), root.get(section)
    if not isinstance(table, dict) or not isinstance(tree, Map):
        return []
    return [(key, values, tree.key_span(key)) for key, values in table.items() if isinstance(values, dict)]


def _digest(asked: Mapping[Path, bytes | None]) -> str:
    """Changes with any text that was read."""
    total = hashlib.sha256()
    for path in sorted(asked):
        data = asked[path]
        total.update(f"{path}\0{'-' if data is None else len(data)}\0".encode())
        total.update(data or b"")
    return total.hexdigest()
