"""Errors as `application/problem+json` (RFC 9457), in one place.

Law: every answer with a status of 400 or more is a problem with a stable `code`: 400 for what does not fit its schema,
422 for what fits it and cannot be, an invalid definition among it. Cancellation and broken connections pass through
untouched. What a problem says never holds a traceback: that goes to the log, under the request id.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stackd.api.schemas import OperationView, Problem, ProblemError
from stackd.errors import RequestError

PROBLEM_TYPE = "application/problem+json"

TITLES: Mapping[int, str] = {
    400: "Malformed request",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Request not complete",
    409: "Not done",
    410: "Gone",
    413: "Request too large",
    415: "Not JSON",
    422: "Not possible",
    429: "Too many followers",
    500: "Internal error",
    503: "Not available now",
}

_LONGEST_INPUT = 80
RETRY_AFTER: Mapping[int, str] = {429: "10", 503: "5"}


class ProblemAnswer(RequestError):
    """A refused request with more to tell than a `RequestError`: findings, the failed operation, headers."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Iterable[ProblemError] = (),
        operation: OperationView | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.errors = list(errors)
        self.operation = operation
        self.oldest: int | None = None
        self.headers: dict[str, str] = {}


def nearest(wanted: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` with the likeliest of `known`, or "" when none is like it."""
    close = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def problem_response(error: RequestError, request_id: str) -> web.Response:
    """The answer for a refused request."""
    problem = Problem(
        type=f"urn:stackd:problem:{error.code}",
        title=TITLES.get(error.status, "Error"),
        status=error.status,
        detail=error.detail,
        instance=f"urn:stackd:request:{request_id}",
        code=error.code,
        errors=[],
    )
    headers = {"Retry-After": RETRY_AFTER[error.status]} if error.status in RETRY_AFTER else {}
    if isinstance(error, ProblemAnswer):
        problem["errors"] = error.errors
        headers |= error.headers
        if error.operation is not None:
            problem["operation"] = error.operation
        if error.oldest is not None:
            problem["oldest"] = error.oldest
    body = json.dumps(problem, ensure_ascii=False).encode() + b"\n"
    return web.Response(status=error.status, body=body, content_type=PROBLEM_TYPE, headers=headers)


def from_http(error: web.HTTPException, request: web.Request, paths: Iterable[str]) -> RequestError:
    """What the router and the body reader raise, in our words."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            answer = ProblemAnswer(
                405, "method_not_allowed", f"{request.method} is not possible on {request.path}; possible: {allowed}"
            )
            answer.headers["Allow"] = allowed
            return answer
        case web.HTTPNotFound():
            hint = nearest(request.path, paths) or "."
            return RequestError(404, "no_such_route", f"nothing is served at {request.path}{hint} See /v1/openapi.json")
        case web.HTTPRequestEntityTooLarge():
            return RequestError(413, "too_large", "the body of a request may have 1 MiB")
        case _:
            return RequestError(error.status, "http_error", error.reason)


def from_validation(error: ValidationError, place: str, model: type[BaseModel]) -> ProblemAnswer:
    """What pydantic found in the parameters or the body, in words; `place` is `query` or `body`."""
    errors = [
        ProblemError(
            file="",
            line=0,
            column=0,
            pointer=".".join((place, *(str(part) for part in found["loc"]))),
            message=_in_words(found, model),
        )
        for found in error.errors(include_url=False, include_context=False)
    ]
    detail = "; ".join(f"{entry['pointer']}: {entry['message']}" for entry in errors)
    return ProblemAnswer(400, f"bad_{place}", detail, errors=errors)


def _in_words(found: ErrorDetails, model: type[BaseModel]) -> str:
    """One finding: what was found, and what the field's description wants."""
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    name = str(found["loc"][0]) if found["loc"] else ""
    given = json.dumps(found["input"], ensure_ascii=False, default=str)[:_LONGEST_INPUT]
    match found["type"]:
        case "extra_forbidden":
            known = ", ".join(fields) or "none"
            return f"there is no such name{nearest(name, fields)}; known: {known}"
        case "missing":
            return f"it is wanted: {fields[name].description}"
        case "string_pattern_mismatch":
            return f"found {given}; wanted: {fields[name].description}"
        case "json_invalid" | "value_error":
            return found["msg"].removeprefix("Value error, ")
        case _ if name in fields:
            return f"found {given}; {found['msg'][:1].lower()}{found['msg'][1:]} ({fields[name].description})"
        case _:
            return found["msg"]
