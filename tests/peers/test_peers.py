"""Each peer keeps what it is given, does what the contract tells of or says that it lacks it, and has a first cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.peers import PEERS, environment
from tests.postgres import Server

LACKS = {
    "sqlite": set(),
    "file": set(),
    "memory": set(),
    "postgresql": set(),
    "sqlite3": set(),
    "json": {"ask"},
    "openai": {"sessions", "search", "fork"},
    "openai-advanced": {"sessions", "search"},
    "langgraph": {"search"},
    "adk": {"search", "fork"},
    "llm": {"sessions", "delete", "ask"},
    "agno": {"search", "ask"},
    "strands": {"sessions", "search", "fork"},
}


@pytest.mark.parametrize("name", PEERS)
def test_what_it_is_given_is_kept(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    places = [str(tmp_path / "calls"), str(tmp_path / "cell")]
    for place in places:
        Path(place).mkdir()
    if name == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        places = [server.url(server.new_schema()) for _ in places]
    lacking = json.loads(environment.run("tests.peers.check", name, *places))
    assert set(lacking) == LACKS[name], lacking
