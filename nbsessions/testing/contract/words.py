"""What a store finds of what was said, and no longer finds once it is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbsessions.records import Head, Turn
from nbsessions.stores.base import Backend, Key, Query, Wanted, chain_hash, content_hash
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_move, a_record, a_turn, inserted
from nbsessions.words import parse


def a_said(parent: Turn | None, *said: tuple[str, str]) -> Turn:
    """Return a turn of messages, each a role and a text."""
    body = json.dumps([{"role": role, "content": text} for role, text in said])
    turn = a_turn(parent, *(role for role, _ in said))
    return turn._replace(body=body, hash=chain_hash(turn.parent_hash, content_hash("chat", body)))


def tell(backend: Backend, key: Key, *texts: str) -> list[Turn]:
    """Commit a turn of one message for each text, on an empty session."""
    made: list[Turn] = []
    head = Head()
    for text in texts:
        made.append(a_said(made[-1] if made else None, ("user", text)))
        backend.move(a_move(key, made[-1], head))
        head = Head(made[-1].turn_id)
    return made


def hits(backend: Backend, text: str, role: str | None = None, **query: Any) -> list[str]:
    """Return the ids of the turns that are found, best first."""
    options: dict[str, Any] = {"conversation_id": None, **query}
    return [one.turn_id for one in backend.search(Wanted(parse(text), Query(**options), role))]


class Words(Contract):
    """What a store finds of what was said, and no longer finds once it is gone."""

    @pytest.mark.parametrize(
        "text",
        [
            "owl",
            "OWL",
            "öwls",
            "the owl",
            "owl the",
            '"the owl"',
            "night*",
            "北",
            "京城",
            '"北京城"',
            "42",
            "a-b",
            "a_b",
        ],
    )
    def test_a_message_is_found_by_its_words(self, backend: Backend, text: str) -> None:
        key = inserted(backend)
        *_, turn = tell(backend, key, "nothing here", "The Owl, the Öwls at nighttime: 42 北京城 a-b")
        assert hits(backend, text) == [turn.turn_id]

    @pytest.mark.parametrize(
        "text", ["owls", '"owl the night"', "ow", "nowhere", "owl nowhere", "京北", "night"]
    )
    def test_a_message_is_not_found_by_other_words(self, backend: Backend, text: str) -> None:
        tell(backend, inserted(backend), "The owl at nighttime: 北京城")
        assert hits(backend, text) == []

    @pytest.mark.parametrize(
        "text", ['"', "AND", "NOT", "NEAR", "a OR b", "words:x", "^a", "{a}", "a:*", "'a'", "--", "a;b"]
    )
    def test_no_word_is_an_operator(self, backend: Backend, text: str) -> None:
        (turn,) = tell(backend, inserted(backend), "a b and or not near words x")
        try:
            meant = parse(text)
        except ValueError:
            return
        found = [one.turn_id for one in backend.search(Wanted(meant))]
        assert found == [turn.turn_id]

    def test_the_place_of_a_message_in_its_turn_is_told(self, backend: Backend) -> None:
        key = inserted(backend, conversation_id="c1")
        turn = a_said(None, ("user", "Where?"), ("assistant", "In the barn"), ("tool", "barn owl"))
        backend.move(a_move(key, turn))
        found = backend.search(Wanted(parse("barn")))
        assert {(one.turn_id, one.place, one.key) for one in found} == {
            (turn.turn_id, 1, key),
            (turn.turn_id, 2, key),
        }
        assert [one.place for one in backend.search(Wanted(parse("barn"), role="tool"))] == [2]

    def test_the_better_comes_first_and_of_equals_the_newer(self, backend: Backend) -> None:
        texts = ["owl " + "and many other words " * 30, "owl owl owl", "an owl", "an owl"]
        turns = tell(backend, inserted(backend), *texts)
        ids = [turn.turn_id for turn in turns]
        assert hits(backend, "owl") == [ids[1], ids[3], ids[2], ids[0]]
        assert hits(backend, "owl", limit=2) == [ids[1], ids[3]]
        assert hits(backend, "owl", limit=0) == []

    def test_a_search_can_be_narrowed_to_sessions(self, backend: Backend) -> None:
        mine = inserted(backend, "a", tags=["draft"], agent_name="poet")
        other = inserted(backend, "b", owner="bob", conversation_id="c1")
        (first,), (second,) = tell(backend, mine, "owl"), tell(backend, other, "owl")
        assert set(hits(backend, "owl")) == {first.turn_id, second.turn_id}
        for query in ({"tag": "draft"}, {"agent_name": "poet"}, {"owner": "ada"}, {"conversation_id": ""}):
            assert hits(backend, "owl", **query) == [first.turn_id]
        assert hits(backend, "owl", conversation_id="c1") == [second.turn_id]
        assert hits(backend, "owl", session_id="b") == [second.turn_id]

    def test_a_search_can_be_narrowed_to_the_way_up_to_a_head(self, backend: Backend) -> None:
        key, fork = inserted(backend), inserted(backend, "fork", conversation_id="c1")
        first, second, third = tell(backend, key, "owl one", "owl two", "owl three")
        branched = a_said(first, ("user", "owl four"), ("assistant", "owl five"), ("user", "owl six"))
        backend.move(a_move(fork, branched))

        def up_to(*head: Any, role: str | None = None, limit: int | None = None) -> set[tuple[str, int]]:
            sessions = Query(conversation_id=None, limit=limit)
            found = backend.search(Wanted(parse("owl"), sessions, role, Head(*head)))
            assert len(found) == len({(one.turn_id, one.place) for one in found})
            return {(one.turn_id, one.place) for one in found}

        assert up_to(third.turn_id) == {(turn.turn_id, 0) for turn in (third, second, first)}
        assert up_to(second.turn_id) == {(turn.turn_id, 0) for turn in (second, first)}
        own, shared = [(branched.turn_id, place) for place in range(3)], (first.turn_id, 0)
        assert up_to(branched.turn_id) == {*own, shared}
        assert up_to(branched.turn_id, 2) == {*own[:2], shared}
        assert up_to(branched.turn_id, 0) == {shared}
        assert up_to(branched.turn_id, role="assistant") == {own[1]}
        assert len(up_to(branched.turn_id, limit=2)) == 2
        assert (up_to(None), up_to("nowhere")) == (set(), set())
        backend.delete([key])
        assert up_to(branched.turn_id) >= set(own)

    def test_what_comes_later_is_found_too(self, backend: Backend) -> None:
        key = inserted(backend)
        (first,) = tell(backend, key, "owl")
        assert hits(backend, "owl") == [first.turn_id]
        later = a_said(first, ("user", "another owl"))
        backend.move(a_move(key, later, Head(first.turn_id)))
        assert set(hits(backend, "owl")) == {first.turn_id, later.turn_id}

    def test_what_a_session_left_behind_is_still_found(self, backend: Backend) -> None:
        key = inserted(backend)
        (turn,) = tell(backend, key, "owl")
        backend.move(a_move(key, None, Head(turn.turn_id)))
        assert hits(backend, "owl") == [turn.turn_id]

    @pytest.mark.parametrize("before", [True, False])
    def test_what_a_deleted_session_said_is_found_only_in_its_forks(
        self, backend: Backend, before: bool
    ) -> None:
        key = inserted(backend)
        turns = tell(backend, key, "owl one", "owl two")
        fork = a_record(
            "fork", head=Head(turns[0].turn_id), message_count=1, turn_count=1, parent_session_id="s1"
        )
        backend.insert(fork)
        if before:
            assert len(hits(backend, "owl")) == 2
        backend.delete([key])
        found = backend.search(Wanted(parse("owl")))
        assert [(one.turn_id, one.key) for one in found] == [(turns[0].turn_id, Key.of(fork))]
        backend.delete([Key.of(fork)])
        assert hits(backend, "owl") == []
        # Numbers that a database gives again are no old acquaintances.
        assert backend.collect() == 2
        (again,) = tell(backend, inserted(backend), "another owl")
        assert hits(backend, "owl") == [again.turn_id]

    @pytest.mark.parametrize("before", [True, False])
    def test_what_was_redacted_is_not_found(self, backend: Backend, before: bool) -> None:
        (turn,) = tell(backend, inserted(backend), "owl secret")
        if before:
            assert hits(backend, "secret") == [turn.turn_id]
        backend.redact(Key("", "s1"), a_redacted(turn, "owl [redacted]"), was=turn.body, text="")
        assert (hits(backend, "secret"), hits(backend, "redacted owl")) == ([], [turn.turn_id])


def a_redacted(turn: Turn, text: str) -> Turn:
    """Return a turn of one message with another text, and its hashes."""
    body = json.dumps([{"role": "user", "content": text}])
    said = content_hash(turn.codec, turn.body)
    return turn._replace(body=body, content_hash=said + content_hash(turn.codec, body))
