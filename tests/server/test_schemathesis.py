"""Whatever may be asked by the OpenAPI document, asked of a server that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from nbsessions import Store
from nbsessions.server.openapi import document
from nbsessions.server.routes import all_routes
from nbsessions.testing import ScriptedAgent
from tests.server.servers import SECONDS, Served

BASE = "/nbsessions/api"
_FOUND = schemathesis.openapi.from_dict(document(all_routes(), BASE)).get_all_operations()
# What there is to know of a command is told of all of them alike.
_ALIKE = re.compile(r"GET .*/command/session/(?!load)")
_ALL: list[Any] = [found.ok() for found in _FOUND]  # type: ignore[union-attr]
OPERATIONS = [operation for operation in _ALL if not _ALIKE.match(operation.label)]
ALWAYS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.allow_header_conformance,
]
BAD = [*ALWAYS, checks.negative_data_rejection]
EXAMPLES = 6
SESSION, AGENT = "known", "an agent"


@pytest.fixture
def known(kernel_store: Store) -> dict[str, str]:
    """What is there, so that not all is refused because nothing is; another one may have deleted it."""
    session = kernel_store.get(SESSION, agent_name=AGENT)
    run = session.send("Hello", agent=ScriptedAgent(["Hi"]))
    return {"session_id": SESSION, "agent_name": AGENT, "run_id": run.run_id}


@pytest.fixture(scope="module")
def asking(server: Served) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"token {server.token}"
        yield session


@pytest.fixture(scope="module")
def anonymous() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_is_allowed_is_answered_as_it_says(
    operation: Any,
    server: Served,
    known: dict[str, str],
    asking: requests.Session,
    anonymous: requests.Session,
    data: st.DataObject,
) -> None:
    case = data.draw(operation.as_strategy())
    if data.draw(st.sampled_from(["there", "there", "anywhere"])) == "there":
        case.headers.pop("If-Match", None)
        case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
    url = f"{server.url}{BASE}"
    assert case.call(base_url=url, session=anonymous, timeout=SECONDS).status_code == 403
    response = case.call(base_url=url, session=asking, timeout=SECONDS)
    case.validate_response(response, checks=ALWAYS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_what_is_not_allowed_is_refused(
    operation: Any, server: Served, asking: requests.Session, data: st.DataObject
) -> None:
    case = data.draw(operation.as_strategy(schemathesis.GenerationMode.NEGATIVE))
    response = case.call(base_url=f"{server.url}{BASE}", session=asking, timeout=SECONDS)
    case.validate_response(response, checks=BAD)
