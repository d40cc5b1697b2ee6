"""Tables as columns: what many rows are read by."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from nbsessions.records import Usage
from nbsessions.stores._columns import TABLES, of_records, pieces
from nbsessions.stores.base import Backend, Columns, Key, Query
from nbsessions.stores.queries import Table
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_finish, a_move, a_run, a_turn, inserted
from nbsessions.values import micros

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_TEXT = "ä\x00 \ue4f0\ue4f1 '\"\\ 😀\r\n<b>"
_COST = Decimal("0.123456789")


def rows(backend: Backend, table: Table, **asked: Any) -> list[dict[str, Any]]:
    """Return what the store gives as columns, by row; it is what any store can find out from records."""
    wanted = Columns(table, list(TABLES[table]), **asked)
    given = [row for piece in pieces(backend, wanted) for row in _rows(piece)]
    expected = _rows(of_records(backend, wanted).columns)
    order = {"sessions": "session_id", "runs": "started_at", "events": "seq"}[table]
    given, expected = (sorted(found, key=lambda row: (row[order], repr(row))) for found in (given, expected))
    assert given == expected
    return given


def _rows(columns: Any) -> list[dict[str, Any]]:
    found = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    # As JSON, the same may be written in several ways.
    for row in found:
        row |= {name: json.loads(row[name]) for name in ("data", "tags") if name in row}
    return found


def _filled(backend: Backend) -> list[Key]:
    """Store sessions of several days with two runs each, of which one goes on; the last one is deleted."""
    keys = []
    for number, conversation in enumerate((None, "c1", None, None)):
        at = _NOON + timedelta(days=number)
        key = inserted(
            backend,
            f"s{number}",
            name=_TEXT.replace("\x00", "").replace("\r\n", "")[:20] if number else None,
            conversation_id=conversation,
            tags=["a,b", _TEXT[2:]] if number == 2 else [],
            agent_name=f"agent {number % 2}",
            notebook="/x.ipynb",
            created_at=at,
            updated_at=at,
        )
        ends, goes_on = (
            a_run(key, prompt=_TEXT, started_at=at + timedelta(hours=hour), model="m", agent_name="other")
            for hour in (1, 2)
        )
        backend.start_run(ends)
        backend.start_run(goes_on)
        backend.append_events(goes_on.run_id, [("A_B", json.dumps({"text": _TEXT})), ("C", "{}")], first=0)
        spent = Usage(input_tokens=7, requests=1, cost=_COST if number else None, unpriced_tokens=1)
        finish = a_finish(ends, usage=spent, model="m", provider="p", finished_at=micros(at) + 5)
        backend.move(a_move(key, a_turn(None, "user", "assistant"), finish=finish, at=micros(at) + 5))
        keys.append(key)
    backend.delete([keys.pop()])
    return keys


class Tables(Contract):
    """Tables as columns."""

    @pytest.mark.parametrize("table", TABLES)
    def test_a_store_with_nothing_in_it_gives_nothing(self, backend: Backend, table: Table) -> None:
        assert rows(backend, table) == []

    def test_sessions_are_given_as_their_records_are(self, backend: Backend) -> None:
        _filled(backend)
        found = rows(backend, "sessions")
        assert [row["session_id"] for row in found] == ["s0", "s1", "s2"]
        assert found[2]["tags"] == ["a,b", _TEXT[2:]]
        assert [row["cost"] for row in found] == [None, 123_456_789, 123_456_789]

    def test_runs_are_given_with_their_turns_and_those_of_deleted_sessions(self, backend: Backend) -> None:
        _filled(backend)
        found = rows(backend, "runs")
        assert [row["session_id"] for row in found] == ["s0", "s0", "s1", "s1", "s2", "s2", None, None]
        assert [row["status"] for row in found] == ["completed", "running"] * 4
        assert found[1]["prompt"] == _TEXT
        assert "user" in found[0]["turn_body"]

    def test_events_are_given_run_by_run(self, backend: Backend) -> None:
        _filled(backend)
        found = rows(backend, "events")
        assert [row["type"] for row in found] == ["A_B"] * 3 + ["C"] * 3
        assert found[0]["data"] == {"text": _TEXT}
        assert len(rows(backend, "events", type="A_")) == 3

    @pytest.mark.parametrize("table", TABLES)
    def test_all_that_is_asked_for_holds(self, backend: Backend, table: Table) -> None:
        keys = _filled(backend)
        day = micros(_NOON + timedelta(days=1))
        asked: list[dict[str, Any]] = [
            {"since": day},
            {"until": day},
            {"since": day, "until": day + 1},
            {"agent_name": "other"},
            {"agent_name": "agent 1", "model": "m"},
            {"model": "none"},
            {"sessions": Query(conversation_id="")},
            {"sessions": Query(conversation_id="c1", session_id=keys[1].session_id)},
            {"sessions": Query(conversation_id=None, tag="a,b")},
            {"sessions": Query(conversation_id="", tag="a,b"), "since": day},
        ]
        counts = [len(rows(backend, table, **one)) for one in asked]
        assert any(counts)

    def test_the_newest_are_given(self, backend: Backend) -> None:
        _filled(backend)
        assert [row["session_id"] for row in rows(backend, "sessions", limit=2)] == ["s1", "s2"]
        assert [row["session_id"] for row in rows(backend, "runs", limit=3)] == ["s2", None, None]
        assert rows(backend, "sessions", limit=0) == rows(backend, "runs", limit=0) == []
