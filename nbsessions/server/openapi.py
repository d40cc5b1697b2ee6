"""What is served, as an OpenAPI 3.1 document, https://spec.openapis.org/oas/v3.1.1.html."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http.client import responses
from inspect import cleandoc, iscoroutinefunction
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, RootModel
from pydantic.json_schema import models_json_schema

from nbsessions import __version__
from nbsessions.server.routes import Answer, Call, Nothing, Route, all_routes

_JSON: Final = "application/json"
_REFS: Final = "#/components/schemas/{model}"
_REFUSED: Final = (400, 403, 404, 405, 409, 412, 413, 429, 503)
_SECURITY: Final[dict[str, dict[str, str]]] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of the server: `Authorization: token TOKEN`, or `Bearer TOKEN`.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "username-HOST-PORT",
        "description": "The cookie of a browser that is logged in, named by host and port.",
    },
    "xsrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-XSRFToken",
        "description": "The value of the cookie `_xsrf`: with a cookie, whatever changes something needs it.",
    },
}

# What is answered to a header, with nothing in it.
_NOTHING: Final = {
    "If-None-Match": ("304", "It is as it was known."),
    "Last-Event-ID": ("204", "The run has ended, and all of its events are known."),
}
_ETAG: Final = {
    "description": "The state of the session, to be sent as `If-Match` or `If-None-Match`.",
    "schema": {"type": "string"},
}
# Of a docstring in numpy's style.
_SECTION: Final = re.compile(r"\n\n(\w+)\n-+\n")
_ATTRIBUTE: Final = re.compile(r"^(\w[\w, ]*) :.*\n?((?: {4}.*\n?)*)", re.M)
_Mode = Literal["validation", "serialization"]


class Problem(BaseModel):
    """Why a request was not answered.

    Attributes
    ----------
    message : str
        One line that says what was wrong.
    error : str
        Its kind, such as ``SessionNotFound``.
    detail : str or None
        The same line, below ``/agents``: what webagents' clients show.

    Examples
    --------
    >>> Problem(message="There is no such resource.", error="NotFound").error
    'NotFound'
    """

    message: str
    error: str
    detail: str | None = None


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI document.

    Examples
    --------
    >>> Document({"openapi": "3.1.0"}).root
    {'openapi': '3.1.0'}
    """


def openapi(call: Call) -> Answer:
    """Return what is served here.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> openapi(Call(nbs.open_store("memory:"))).content.root["openapi"]
    '3.1.0'
    """
    return Answer(Document(document(all_routes(), call.base)))


def document(routes: Sequence[Route], base: str) -> dict[str, Any]:
    """Return what a table of routes serves below a path.

    Examples
    --------
    >>> about = Route("GET", "/", "Nothing.", lambda call: None)
    >>> [*document([about], "/api")["paths"]]
    ['/']
    """
    references, schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    problem = {
        "description": "It was refused: nothing was changed.",
        "content": _content(references, Problem),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "nbsessions", "version": __version__, "description": _ABOUT},
        "servers": [{"url": base or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SECURITY,
            "responses": {"Problem": problem},
        },
    }


_ABOUT: Final = cleandoc(
    """
    The sessions of one person, with their messages, runs and usage. Whatever is somebody else's is not there
    (404). What stands for a part of a path is percent-encoded: an id may hold a slash.
    """
)


# Schemas

_References = dict[tuple[type[BaseModel], _Mode], dict[str, Any]]


def _schemas(routes: Sequence[Route]) -> tuple[_References, dict[str, Any]]:
    meant: dict[tuple[type[BaseModel], _Mode], None] = {(Problem, "serialization"): None}
    for route in routes:
        meant |= {(model, "validation"): None for model in (route.query, route.body) if model is not None}
        if route.answer is not None:
            meant[route.answer, "serialization"] = None
    references, made = models_json_schema([*meant], ref_template=_REFS)
    # A query is no value of its own.
    asked = {route.query.__name__ for route in routes}
    schemas = {
        name: _explained(schema) for name, schema in made.get("$defs", {}).items() if name not in asked
    }
    return cast("_References", references), schemas


def _explained(schema: dict[str, Any]) -> dict[str, Any]:
    """Put what a docstring says of each attribute beside it: who reads the document reads no Python."""
    text, *sections = _SECTION.split(schema.get("description", ""))
    about = dict(zip(sections[::2], sections[1::2], strict=True)).get("Attributes", "")
    for names, lines in _ATTRIBUTE.findall(about):
        for name in names.split(", "):
            if lines and name in schema["properties"]:
                schema["properties"][name].setdefault("description", " ".join(lines.split()))
    return schema | ({"description": text} if text else {})


def _content(references: _References, model: type[BaseModel], media: str = _JSON) -> dict[str, Any]:
    return {media: {"schema": references[model, "serialization"]}}


# Operations


def _operation(route: Route, references: _References) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z_]+", "_", f"{route.method}{route.path}".lower()).strip("_"),
        "summary": route.summary,
        "tags": [route.path.split("/")[1] or "about"],
        "parameters": [*_parameters(route)],
        "responses": {
            str(route.status): _answer(route, references),
            **{
                status: {"description": text}
                for name, (status, text) in _NOTHING.items()
                if name in route.headers
            },
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in _REFUSED},
        },
        "security": [{"token": []}, {"cookie": []} if route.method == "GET" else {"cookie": [], "xsrf": []}],
    }
    if route.uploads:
        made["requestBody"] = {"content": {"application/octet-stream": {"schema": {}}}, "required": True}
    elif route.body is not None:
        schema = references[route.body, "validation"]
        made["requestBody"] = {"content": {_JSON: {"schema": schema}}}
    return made


def _answer(route: Route, references: _References) -> dict[str, Any]:
    made: dict[str, Any] = {"description": responses[route.status]}
    if route.status != 204 and {"If-Match", "If-None-Match"} & {*route.headers}:
        made["headers"] = {"ETag": _ETAG}
    if route.answer is not None:
        made["content"] = _content(references, route.answer)
        if iscoroutinefunction(route.function):
            made["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    elif route.status != 204:
        made["content"] = {route.media: {"schema": {}}}
    return made


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for name in route.headers:
        yield {"name": name, "in": "header", "schema": {"type": "string"}}
    if route.query is Nothing:
        return
    schema = route.query.model_json_schema(ref_template=_REFS)
    for name, about in schema.get("properties", {}).items():
        description = about.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": description,
            "schema": _without_null(about),
        }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that may be left out: no URL can say that it is null."""
    if "anyOf" not in schema:
        return schema
    (given,) = (one for one in schema["anyOf"] if one != {"type": "null"})
    return {**{name: value for name, value in schema.items() if name not in ("anyOf", "default")}, **given}


ROUTES = (Route("GET", "/openapi.json", "This document.", openapi, Document),)
