"""What waits beside the head, and where undo goes back to."""

from __future__ import annotations

import json

import pytest

from nbsessions.records import Head
from nbsessions.stores.base import Backend, HeadMoved, Key, Move
from nbsessions.testing.contract.base import Contract
from nbsessions.testing.samples import a_move, a_record, a_turn, grown, inserted


class Drafts(Contract):
    """What waits beside the head, and where undo goes back to."""

    def test_an_undo_links_to_what_it_went_back_to(self, backend: Backend) -> None:
        key = inserted(backend)
        first, second = grown(backend, key, ("user",), ("user",))
        undone = a_move(key, None, Head(second.turn_id), head=Head(first.turn_id), undo=True, before=None)
        backend.move(undone)
        assert backend.log(key)[0].before is None
        entry = backend.log(key)[-1].entry_id
        undone = a_move(key, None, Head(first.turn_id), undo=True, before=entry)
        backend.move(undone)
        assert backend.log(key)[0].before == entry

    def test_a_draft_leaves_the_head_where_it_is(self, backend: Backend) -> None:
        key = inserted(backend, state={"step": 0})
        (turn,) = grown(backend, key, ("user",))
        saved = backend.current(key, draft=False)
        draft = a_turn(turn, "user")
        record = backend.move(a_move(key, draft, Head(turn.turn_id), draft=True, state='{"step":1}'))
        assert record == backend.get(key)
        assert (record.head, record.draft, record.message_count) == (
            Head(turn.turn_id),
            Head(draft.turn_id),
            1,
        )
        assert record.state == {"step": 0}
        assert backend.current(key, draft=False) == saved
        entry = backend.current(key, draft=True)
        assert (entry.head, entry.message_count, json.loads(entry.state)) == (
            Head(draft.turn_id),
            2,
            {"step": 1},
        )
        assert entry.before == saved.entry_id
        more = a_turn(draft, "user")
        with pytest.raises(HeadMoved):
            backend.move(a_move(key, more, Head(turn.turn_id), draft=True))
        record = backend.move(a_move(key, more, Head(draft.turn_id), draft=True))
        assert json.loads(backend.current(key, draft=True).state) == {"step": 1}
        save = a_move(key, None, Head(turn.turn_id), head=Head(more.turn_id), total_messages=3, total_turns=3)
        record = backend.move(
            Move(**save._asdict() | {"ends_draft": True, "state": '{"step":1}', "action": "save"})
        )
        assert record == backend.get(key)
        assert (record.head, record.draft, record.message_count, record.state) == (
            Head(more.turn_id),
            None,
            3,
            {"step": 1},
        )
        assert backend.current(key, draft=True).before == saved.entry_id

    def test_a_draft_that_goes_on_elsewhere_is_none_here(self, backend: Backend) -> None:
        """Its session was moved meanwhile: what is saved is a fork, which takes the draft's place."""
        key = inserted(backend)
        (turn,) = grown(backend, key, ("user",))
        base = Head(turn.turn_id)
        draft = a_turn(turn)
        backend.move(a_move(key, draft, base, draft=True))
        entry = backend.current(key, draft=True)
        for number, (instead, kept) in enumerate([(entry.entry_id - 1, True), (entry.entry_id, False)]):
            fork = a_record(f"fork {number}", head=base, message_count=1, turn_count=1)
            backend.move(a_move(Key.of(fork), a_turn(turn), base, create=fork, instead_of=(key, instead)))
            stored = backend.get(key)
            assert stored is not None
            assert (stored.head, stored.draft) == (base, Head(draft.turn_id) if kept else None)
            assert (backend.current(key, draft=True) == entry) is kept
