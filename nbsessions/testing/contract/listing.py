"""Pages of sessions, searched and in an order, and how it is told that there is something new."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from nbsessions.records import SessionPage, Usage
from nbsessions.stores._listing import listed
from nbsessions.stores.base import Backend, Key, Query
from nbsessions.stores.queries import Listing, Order
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_finish, a_move, a_run, a_turn, inserted
from nbsessions.values import micros, now

_LETTERS = "aAbBéÉßİ\"\\%_'[],€😀\ue4f0\ue4f1- "


def _page(backend: Backend, **asked: Any) -> SessionPage:
    """Return what the store gives; it is what any store can find out from records."""
    wanted = Listing(**asked)
    page = backend.listing(wanted)
    expected = listed(backend.find(wanted.sessions._replace(limit=None)), wanted)
    assert (page, page.total) == (expected, expected.total)
    return page


def _ids(page: SessionPage) -> list[str]:
    return [record.session_id for record in page]


def _filled(backend: Backend) -> None:
    start = now()
    several: list[dict[str, Any]] = [
        {"name": "Plan of the Übung", "tags": ["draft", 'a "b"'], "agent_name": "Analyst", "model": "m2"},
        {"name": None, "agent_name": "other", "message_count": 3, "model": "M1"},
        {"name": "plan b", "usage": Usage(input_tokens=1, output_tokens=5, cost=Decimal("0.5"))},
        {"name": "100% _ done", "tags": ["x\\y", "Größe"], "owner": "bob", "turn_count": 2},
        {"name": "owls", "usage": Usage(input_tokens=3, cost=Decimal("0.000000001"))},
    ]
    for number, changes in enumerate(several):
        at = start + timedelta(seconds=number)
        changes |= {"created_at": start - timedelta(seconds=number), "updated_at": at}
        inserted(backend, f"ab-{number}", **changes)
    inserted(backend, "ab-1", conversation_id="c1", name="Plan", updated_at=start, created_at=start)


class Listings(Contract):
    """Pages of sessions, searched and in an order, and how it is told that there is something new."""

    def test_pages_come_one_after_the_other(self, backend: Backend) -> None:
        assert (_page(backend), _page(backend).total) == ([], 0)
        _filled(backend)
        all_of_them = _ids(_page(backend))
        assert all_of_them == ["ab-4", "ab-3", "ab-2", "ab-1", "ab-1", "ab-0"]
        pages = [_page(backend, limit=4, offset=offset) for offset in (0, 4, 8)]
        assert [identity for page in pages for identity in _ids(page)] == all_of_them
        assert {page.total for page in pages} == {6}
        assert (_page(backend, limit=0), _page(backend, limit=0).total) == ([], 6)

    def test_words_are_found_in_what_a_session_is_called(self, backend: Backend) -> None:
        _filled(backend)
        for text, ids in {
            "PLAN": ["ab-2", "ab-1", "ab-0"],
            " plan  übung ": ["ab-0"],
            "ÜBUNG": ["ab-0"],
            "Draft": ["ab-0"],
            "analyst": ["ab-0"],
            "B-4": ["ab-4"],
            "größe": ["ab-3"],
            "%": ["ab-3"],
            "_": ["ab-3"],
            "\\": ["ab-3"],
            '"b"': ["ab-0"],
            '"': ["ab-0"],
            "[": [],
            "n o t": ["ab-0"],
            "plan\0b plan": ["ab-2", "ab-1", "ab-0"],
            "\0": ["ab-4", "ab-3", "ab-2", "ab-1", "ab-1", "ab-0"],
            "nowhere": [],
        }.items():
            assert _ids(_page(backend, text=text)) == ids, text

    def test_what_was_found_otherwise_is_among_it(self, backend: Backend) -> None:
        _filled(backend)
        also = [Key("", "ab-4"), Key("c1", "ab-1"), Key("c2", "ab-3"), Key("", "gone")]
        found = _page(backend, text="übung", also=also, order="created_at", descending=False)
        assert {*map(Key.of, found)} == {Key("", "ab-4"), Key("", "ab-0"), Key("c1", "ab-1")}
        assert _ids(_page(backend, text="übung", also=also, sessions=Query(conversation_id="c1"))) == ["ab-1"]

    def test_filters_hold_as_well(self, backend: Backend) -> None:
        _filled(backend)
        assert _ids(_page(backend, sessions=Query(owner="bob"), text="done")) == ["ab-3"]
        assert _page(backend, sessions=Query(owner="bob"), text="plan").total == 0
        assert _ids(_page(backend, sessions=Query(tag="draft"))) == ["ab-0"]
        assert _page(backend, sessions=Query(conversation_id=None, limit=1)).total == 6

    @pytest.mark.parametrize("order", get_args(Order))
    @pytest.mark.parametrize("descending", [False, True])
    def test_sessions_come_in_the_order_of_each_column(
        self, backend: Backend, order: Order, descending: bool
    ) -> None:
        _filled(backend)
        key = Key("", "ab-4")
        run = a_run(key)
        backend.start_run(run)
        backend.move(a_move(key, a_turn(), finish=a_finish(run, usage=Usage(output_tokens=9))))
        page = _page(backend, order=order, descending=descending)
        assert len(page) == 6
        assert _page(backend, order=order, descending=descending, limit=2, offset=3) == page[3:5]

    def test_none_comes_last(self, backend: Backend) -> None:
        _filled(backend)
        for descending, first in ((False, "100% _ done"), (True, "Plan of the Übung")):
            names = [r.name for r in _page(backend, order="name", descending=descending)]
            assert (names[0], names[-1]) == (first, None)
        costs = [r.usage.cost for r in _page(backend, order="cost")]
        assert costs[:3] == [Decimal("0.5"), Decimal("0.000000001"), None]

    def test_any_text_finds_the_same_everywhere(self, backend: Backend) -> None:
        chance = random.Random(2026)

        def text(most: int) -> str:
            return "".join(chance.choices(_LETTERS, k=chance.randint(1, most)))

        for number in range(60):
            tags = [text(4) for _ in range(number % 3)]
            inserted(backend, f"s{number}", name=text(6), agent_name=f"agent {number}", tags=tags)
        totals = [_page(backend, text=text(3), limit=10).total for _ in range(150)]
        assert len({*totals}) > 10
        _page(backend, order="name", descending=False, limit=60)

    def test_a_change_makes_another_revision(self, backend: Backend) -> None:
        seen = [backend.revision()]
        assert backend.revision() == seen[0]

        def changed() -> bool:
            seen.append(backend.revision())
            return seen[-1] not in seen[:-1]

        key = inserted(backend)
        assert changed()
        at = micros(now())
        backend.update(key, {"name": "plan"}, at)
        assert changed()
        backend.move(a_move(key, a_turn()))
        assert changed()
        backend.start_run(a_run(key))
        assert changed()
        backend.delete([key])
        assert changed()
