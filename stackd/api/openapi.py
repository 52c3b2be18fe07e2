"""OpenAPI 3.1 from the route table: nothing in it is written by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from stackd.api.problems import PROBLEM_TYPE, TITLES
from stackd.api.schemas import OperationView, Problem

if TYPE_CHECKING:
    from stackd.api.routes import Route

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
_DESCRIPTION = (
    "Served on a unix socket to its owner and root. `Accept: text/plain` answers for people.\n\n"
    "A body is `application/json`, else 415 `not_json`: with curl `--json`, or `-d` with "
    "`-H 'Content-Type: application/json'`. A POST without a body needs no media type.\n\n"
    "Web browsers are refused with 403 `browser_not_allowed`: a request with `Origin` or `Sec-Fetch-Site`, or whose "
    "`Host` has a dot and is no IP address. A program sends none of these; where a proxy adds them, it sends "
    "`Host: stackd` instead."
)
_REF = "#/components/schemas/{model}"


def document(routes: tuple[Route, ...], version: str) -> dict[str, Json]:
    """The description of the API."""
    models = _Models(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        path = paths.setdefault(route.path, {})
        if isinstance(path, dict):
            path[route.method.lower()] = _operation(route, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stackd",
            "version": version,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "http://stackd"}],
        "paths": paths,
        "components": {"schemas": models.components},
    }


class _Models:
    """The schemas of all that is accepted and answered, each once."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        answers = {route.answer for route in routes} | {Problem}
        accepted = {model for route in routes for model in (route.query, route.body) if model is not None}
        inputs: list[tuple[type, JsonSchemaMode, TypeAdapter[object]]] = [
            (model, "validation", TypeAdapter(model)) for model in sorted(answers | accepted, key=lambda m: m.__name__)
        ]
        found, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF, schema_generator=GenerateJsonSchema)
        self.components: dict[str, Json] = definitions.get("$defs", {})
        self._found = found

    def schema(self, model: type) -> Json:
        """The schema of one model, mostly a reference."""
        found: Json = self._found[(model, "validation")]
        return found

    def properties(self, model: type) -> tuple[dict[str, Json], frozenset[str]]:
        """The properties of a model by name, and which of them are required."""
        schema = TypeAdapter(model).json_schema(by_alias=True, ref_template=_REF)
        properties: dict[str, Json] = schema.get("properties", {})
        return properties, frozenset(schema.get("required", ()))


def _operation(route: Route, models: _Models) -> dict[str, Json]:
    operation: dict[str, Json] = {
        "operationId": _identifier(route),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route, models)],
        "responses": _responses(route, models),
    }
    if route.body is not None:
        content: Json = {"application/json": {"schema": models.schema(route.body)}}
        required = bool(models.properties(route.body)[1])
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _identifier(route: Route) -> str:
    words = re.findall(r"[a-z0-9]+", route.path.removeprefix("/v1"))
    return "_".join((route.method.lower(), *words))


def _path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route, models: _Models) -> list[Json]:
    properties, required = models.properties(route.query)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": schema,
            "description": schema.get("description", "") if isinstance(schema, dict) else "",
        }
        for name, schema in properties.items()
    ]


def _responses(route: Route, models: _Models) -> dict[str, Json]:
    answer = models.schema(route.answer)
    problem: Json = {
        "description": "; ".join(f"{status} {title.lower()}" for status, title in TITLES.items()),
        "content": {PROBLEM_TYPE: {"schema": models.schema(Problem)}},
    }
    if route.answer is Problem:
        return {"405": problem, "default": problem}
    content: dict[str, Json] = {route.media.value: {"schema": answer}}
    if not route.writes:
        content["text/plain"] = {"schema": {"type": "string"}}
    responses: dict[str, Json] = {"200": {"description": route.summary, "content": content}, "default": problem}
    if route.answer is OperationView and route.writes:
        location: Json = {"Location": {"schema": {"type": "string"}, "description": "The operation"}}
        responses["202"] = {"description": "Under way", "headers": location, "content": content}
    if not route.writes and route.media.value == "application/json":
        responses["304"] = {"description": "As the client has it (If-None-Match)"}
    return responses
