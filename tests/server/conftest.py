"""Servers that the tests of a module share, and who asks them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Store
from tests.server.servers import Served, served

PEOPLE = {"identity_provider_class": "tests.server.people.People"}
"""Of `ServerApp`: Ada and Bob have a token each."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as a person starts it: one token, and nobody has a name."""
    folder = tmp_path_factory.mktemp("server")
    with served(folder, f"sqlite:///{folder}/agents.db") as found:
        yield found


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that knows who is who: Ada and Bob."""
    folder = tmp_path_factory.mktemp("people")
    with served(folder, f"sqlite:///{folder}/agents.db", ServerApp=PEOPLE) as found:
        yield found


@pytest.fixture
def client(server: Served) -> httpx2.Client:
    """Who has the token of the server."""
    return server.client()


@pytest.fixture
def ada(people: Served) -> httpx2.Client:
    return people.client("ada-token")


@pytest.fixture
def bob(people: Served) -> httpx2.Client:
    return people.client("bob-token")


@pytest.fixture
def nobody(server: Served) -> httpx2.Client:
    """Who has no token."""
    return server.client("")


@pytest.fixture
def kernel_store(server: Served) -> Iterator[Store]:
    """The same store, as a kernel has it open."""
    with nbs.open_store(server.store) as store:
        yield store


@pytest.fixture(scope="module")
def people_store(people: Served) -> Iterator[Store]:
    """The store of the server that knows who is who, as a kernel of Ada's has it open."""
    with nbs.open_store(people.store) as store:
        yield Store(store.backend, "ada")


@pytest.fixture
def people_url(people: Served) -> str:
    return people.api
