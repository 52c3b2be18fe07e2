"""Who may ask at all: the same user and root, and no web browser.

Law: decided from the peer and the headers, before the route and the body. The API has no login: whoever reaches the
socket is its owner. A socket that was forwarded to TCP (`ssh -L`, socat, nginx) is reached by every page that the
browser shows, so what only a browser sends is refused. What this module does not do: read a body.
"""

from __future__ import annotations

import ipaddress

from aiohttp import web

from stackd.api.peer import peer_of
from stackd.errors import RequestError

REMEDY = (
    "stackd answers its command line, curl --unix-socket and other programs, never a web page: "
    "a page could drive stackd through a forwarded socket. "
    "A program sends no Origin and no Sec-Fetch-Site, and a Host without a dot (Host: stackd) or an IP address"
)
"""What a refused client may do."""
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site")
_LONGEST_QUOTE = 100


def admit(request: web.Request, allowed_uids: frozenset[int]) -> None:
    """Raise 403 `not_permitted` for another user, 403 `browser_not_allowed` for a browser, 415 for a foreign body."""
    peer = peer_of(request)
    if peer.uid not in allowed_uids:
        raise RequestError(
            403, "not_permitted", f"{peer.described()} may not use this stackd: only its own user and root may"
        )
    if (found := _of_a_browser(request)) is not None:
        raise RequestError(403, "browser_not_allowed", f"the request has {found}. {REMEDY}")
    if request.body_exists and request.content_type != "application/json":
        given = request.headers.get("Content-Type", "")
        raise RequestError(
            415,
            "not_json",
            f"the body is {_quoted(given) if given else 'of no media type'}, wanted: application/json. "
            "With curl: --json '{...}', or -d '{...}' -H 'Content-Type: application/json'",
        )


def _of_a_browser(request: web.Request) -> str | None:
    """The header that gives a browser away, None when there is none."""
    for name in _OF_BROWSERS:
        if name in request.headers:
            return f"the header {name}: {_quoted(request.headers[name])}"
    for host in request.headers.getall("Host", ()):
        if "." in host and not _is_address(host):
            return f"the header Host: {_quoted(host)}, the name of a web server"
    return None


def _is_address(host: str) -> bool:
    """Whether a Host header holds an IP address: `127.0.0.1`, `127.0.0.1:8080`, `[::ffff:1.2.3.4]:80`."""
    address = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _quoted(value: str) -> str:
    """A header's value for a message: short, one line."""
    text = "".join(char if char.isprintable() else "?" for char in value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
