"""JupyterLab serves what its kernels do, because nbsessions is installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import looked

# Where there is no browser yet, it is fetched.
pytestmark = pytest.mark.timeout(1_200)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return looked("tests.server.looking", tmp_path_factory.mktemp("looking"))


def test_a_session_of_the_notebook_is_seen_by_curl(seen: Any) -> None:
    assert "You asked: Where do owls live? I was told before: nothing" in seen["shown"][2]
    (session,) = seen["listed"]
    assert (session["name"], session["agent_name"], session["owner"]) == (
        "from the notebook",
        "seeing",
        "ada",
    )
    assert session["message_count"] == 2


def test_it_is_resumed_over_http(seen: Any) -> None:
    loaded = seen["loaded"]
    assert (loaded["status"], loaded["message_count"]) == ("loaded", 2)
    assert loaded["messages"][0]["content"] == "Where do owls live?"
    assert seen["added"]["number"] == 3


def test_it_is_continued_in_the_notebook_and_the_agent_knows_what_was_added(seen: Any) -> None:
    assert "Loaded 'from the notebook': 2 turns, 3 messages" in seen["shown"][3]
    assert "By the way: one lives in the barn." in seen["shown"][4]
    assert "from the notebook · turn 3" in seen["shown"][4]
    said = [message["content"] for message in seen["messages"]]
    assert said[2:4] == ["By the way: one lives in the barn.", "What do you know?"]
    assert len(said) == 5
    assert seen["status"]["session"]["message_count"] == 5
    assert seen["stream"].rstrip().endswith('event: end\ndata: {"status":"completed"}')
