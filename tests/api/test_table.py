"""The one table: everything in it is served, described and tested."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stackd.api.routes import TABLE
from tests.api.world import serving

HERE = Path(__file__).parent


def test_every_route_is_asked_by_a_test() -> None:
    text = "\n".join(file.read_text() for file in HERE.glob("test_*.py"))
    for route in TABLE:
        last = route.path.rsplit("/", 1)[-1]
        path = route.path.replace("{stack}", "blog").replace("{service}", "web").replace("{operation}", "op-")
        path = path.replace("{number}", "3").replace("{crash}", "7")
        prefix = path.removesuffix(f"/{last}") if route.method == "POST" else path
        assert prefix in text or f"{{scope}}/{last}" in text, f"no test asks {route.method} {route.path}"
        assert last.startswith("{") or last in text, f"no test asks {route.method} {route.path}"


async def test_every_route_is_served() -> None:
    async with serving() as api:
        for route in TABLE:
            path = re.sub(r"{\w+}", "nothing", route.path)
            body = '{"kind": "held"}' if route.method == "PUT" else None
            answer = await api.ask(route.method, path + ("?for=healthy" if path.endswith("wait") else ""), data=body)
            assert answer.status in (200, 404), (route.method, path, answer.text)
            if answer.status == 404:
                assert answer.error()[1] != "no_such_route"


async def test_the_description_is_openapi_of_every_route() -> None:
    async with serving() as api:
        document = json.loads((await api.get("/v1/openapi.json")).text)
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in TABLE}
    identifiers = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(identifiers) == len(set(identifiers))
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            names = {entry["name"] for entry in operation["parameters"] if entry["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path))
            assert "default" in operation["responses"]
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"]
