"""Answers that are done: JSON with an ETag, or a table for people when they ask for `text/plain`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from aiohttp import web

V = TypeVar("V", bound=Mapping[str, object])


def encoded(view: Mapping[str, object]) -> bytes:
    """One line of JSON."""
    return json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def wants_text(request: web.Request) -> bool:
    """Whether the client ranks `text/plain` above JSON; `*/*`, curl's default, means JSON."""
    ranks = {"text/plain": 0.0, "application/json": 0.0}
    for entry in request.headers.get("Accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        quality = next((value for key, _, value in (p.partition("=") for p in parameters) if key == "q"), "1")
        if media in ranks:
            ranks[media] = float(quality) if quality.replace(".", "", 1).isdecimal() else 1.0
    return ranks["text/plain"] > ranks["application/json"]


def reply(
    request: web.Request,
    view: V,
    text: Callable[[V], list[str]] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A complete answer. Answers to GET and HEAD carry an ETag, and 304 is said to a client that has them already."""
    if text is not None and wants_text(request):
        body, media = ("\n".join(text(view)) + "\n").encode(), "text/plain"
    else:
        body, media = encoded(view), "application/json"
    sent = {"Vary": "Accept", **(headers or {})}
    if request.method in ("GET", "HEAD"):
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        sent["ETag"] = tag
        if tag in _known_tags(request):
            return web.Response(status=304, headers=sent)
    charset = "utf-8" if media == "text/plain" else None
    return web.Response(status=status, body=body, content_type=media, charset=charset, headers=sent)


def _known_tags(request: web.Request) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
