"""The OpenAPI document: that it is one, and that it says what is served."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from nbsessions.commands import on_face
from nbsessions.commands.given import schema
from nbsessions.server.openapi import document
from nbsessions.server.routes import all_routes


@pytest.fixture
def told(client: httpx2.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_it_is_a_document_of_openapi(told: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(told).iter_errors()] == []
    assert told["servers"] == [{"url": "/nbsessions/api"}]


def test_it_says_what_is_served_and_nothing_else(told: dict[str, Any]) -> None:
    listed = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert listed == {(route.method, route.path) for route in all_routes()}
    assert len(listed) == len(all_routes())
    names = [operation["operationId"] for methods in told["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_it_speaks_to_who_knows_no_python(told: dict[str, Any]) -> None:
    described = str(told)
    assert [word for word in (">>>", "-----", "Attributes\\n") if word in described] == []
    events = told["components"]["schemas"]["Events"]
    assert events["description"] == "Some events of a run, in order."
    assert events["properties"]["cursor"]["description"] == "What to ask for the next ones with, as `after`."


def test_what_it_lists_is_there(told: dict[str, Any], client: httpx2.Client) -> None:
    for path, methods in told["paths"].items():
        place = re.sub(r"\{\w+\}", "nosuch", path)
        answer = client.put(place, json={})
        assert answer.status_code == 405, place
        assert sorted(answer.headers["Allow"].lower().split(", ")) == sorted(methods)


def test_a_command_takes_what_the_table_says(told: dict[str, Any]) -> None:
    for command in on_face("http"):
        operation = told["paths"][f"/agents/{{agent_name}}/command/session/{command.name}"]["post"]
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        named = told["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        assert named["additionalProperties"] is False
        if command.name not in ("save", "load", "new", "history", "clear"):
            assert named["properties"] == schema(command.on("http"))["properties"]


def test_it_says_who_may(told: dict[str, Any]) -> None:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            cookie: dict[str, list[str]] = {"cookie": []} if method == "get" else {"cookie": [], "xsrf": []}
            assert operation["security"] == [{"token": []}, cookie], path
            assert operation["responses"]["403"] == {"$ref": "#/components/responses/Problem"}


def test_it_stands_behind_the_base_url() -> None:
    assert document(all_routes(), "/user/ada/nbsessions/api")["servers"] == [
        {"url": "/user/ada/nbsessions/api"}
    ]


def test_a_client_that_is_made_from_it_has_plain_names_and_finds_etags() -> None:
    made = document(all_routes(), "/nbsessions/api")
    assert not [name for name in made["components"]["schemas"] if "__" in name]
    session = made["paths"]["/sessions/{session_id}"]
    assert "ETag" in session["get"]["responses"]["200"]["headers"]
    assert "ETag" in session["patch"]["responses"]["200"]["headers"]
    assert session["get"]["tags"] == ["sessions"]
