"""Drafts where several notebooks work on one session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import Session, SessionConflict, Store
from nbsessions.adapters import adapt
from nbsessions.asking import Question, ask
from nbsessions.records import Head, SessionRecord
from nbsessions.stores.base import Backend, HeadMoved, Move
from nbsessions.testing.samples import a_move, a_turn, grown, inserted
from nbsessions.workspace import Settings, Workspace
from tests.conftest import add, texts


def _drafting(store: Store, **options: Any) -> tuple[Session, Session]:
    """Return two handles on one session; neither saves, and nobody has a draft yet."""
    add(store.create("plan", state={"step": 0}), "0")
    first, second = (store.resume("plan", autosave=False, **options) for _ in range(2))
    return first, second


def _to_the_same_place(session: Session) -> None:
    """Make a draft whose head is the saved one: only its state is another."""
    session.state = {"step": "theirs"}


# What a second notebook does, that knows of no draft, where the first one's stands on the same turn.
MOVES: dict[str, Callable[[Session], object]] = {
    "message": lambda session: add(session, "mine"),
    "state": lambda session: setattr(session, "state", {"step": "mine"}),
    "clear": lambda session: session.clear_history(),
    "rewind": lambda session: session.rewind(0),
    "undo": lambda session: session.undo(),
    "send": lambda session: session.send("mine", agent=lambda prompt: "Hi"),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_draft_that_another_has_made_is_not_mistaken_for_ones_own(
    store: Store, move: Callable[[Session], object]
) -> None:
    theirs, mine = _drafting(store)
    _to_the_same_place(theirs)
    log = theirs.log()
    move(mine)
    assert mine.session_id != theirs.session_id
    assert mine.notice is not None
    assert "'plan' has an unsaved draft already" in mine.notice
    assert mine.state != {"step": "theirs"}
    assert theirs.log() == log
    add(theirs, "and on")
    theirs.save()
    assert (theirs.notice, theirs.name, texts(store.resume("plan"))) == (None, "plan", ["0", "and on"])
    assert store.resume("plan").state == {"step": "theirs"}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_draft_that_both_stand_on_is_not_overwritten(
    store: Store, move: Callable[[Session], object]
) -> None:
    theirs, _ = _drafting(store)
    add(theirs, "1")
    mine = store.resume("plan", draft=True)
    _to_the_same_place(theirs)
    log = theirs.log()
    try:
        move(mine)
    except SessionConflict:
        assert mine.session_id == theirs.session_id
    else:
        assert mine.session_id != theirs.session_id
    assert theirs.log() == log
    theirs.save()
    assert (theirs.notice, texts(store.resume("plan"))) == (None, ["0", "1"])
    assert store.resume("plan").state == {"step": "theirs"}


def test_looking_does_not_adopt_the_draft_of_another(store: Store) -> None:
    theirs, mine = _drafting(store)
    add(theirs, "theirs")
    mine.refresh()
    assert (texts(mine), mine.on_draft) == (["0"], False)
    mine.save()
    assert texts(store.resume("plan")) == ["0"]
    assert store.resume("plan", draft=True).message_count == 2


@pytest.mark.parametrize("how", ["error", "fork"])
def test_saving_and_undoing_end_no_draft_that_another_went_on_with(store: Store, how: Any) -> None:
    theirs, _ = _drafting(store, on_conflict=how)
    add(theirs, "1")
    mine = store.resume("plan", draft=True, on_conflict=how)
    _to_the_same_place(theirs)
    for move in (mine.undo, mine.save):
        try:
            move()
        except SessionConflict:
            assert mine.session_id == theirs.session_id
    assert store.resume("plan").record.draft is not None
    assert store.resume("plan", draft=True).state == {"step": "theirs"}


class Meanwhile:
    """Does something right after, or right before, a move of one handle reaches the store."""

    def __init__(self, backend: Backend, does: Callable[[], object], *, before: bool = False) -> None:
        self._backend, self._does, self._before = backend, does, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def move(self, move: Move) -> SessionRecord:
        does, self._does = self._does, lambda: None
        if self._before:
            does()
        record = self._backend.move(move)
        if not self._before:
            does()
        return record


def test_two_that_make_the_first_draft_at_one_moment(store: Store) -> None:
    theirs, mine = _drafting(store)
    mine.backend = Meanwhile(store.backend, lambda: _to_the_same_place(theirs), before=True)  # type: ignore[assignment]
    add(mine, "mine")
    assert (mine.name, texts(mine), mine.state) == ("plan (fork)", ["0", "mine"], {"step": 0})
    assert store.resume("plan", draft=True).state == {"step": "theirs"}


def _go_on(store: Store) -> None:
    add(store.resume("plan", draft=True), "theirs")


def _save(store: Store) -> None:
    store.resume("plan", draft=True).save()


@pytest.mark.parametrize("does", [_go_on, _save])
def test_what_others_do_right_after_a_move_is_not_taken_for_ones_own(
    store: Store, does: Callable[[Store], None]
) -> None:
    _, mine = _drafting(store)
    mine.backend = Meanwhile(store.backend, lambda: does(store))  # type: ignore[assignment]
    add(mine, "mine")
    assert (texts(mine), mine.saved) == (["0", "mine"], False)
    mine.save()
    assert "mine" in texts(store.resume(mine.session_id))
    for record in store.list(None):
        assert len(texts(store.resume(record.session_id))) == record.message_count
    said = {
        text for record in store.list(None) for text in texts(store.resume(record.session_id, draft=True))
    }
    assert said >= ({"0", "mine", "theirs"} if does is _go_on else {"0", "mine"})


def test_a_draft_that_was_saved_while_it_was_looked_for_is_none(store: Store) -> None:
    theirs, _ = _drafting(store)
    add(theirs, "theirs")
    record = store.resume("plan").record
    theirs.save()
    late = Session(store.backend, record, draft=True)
    assert (late.on_draft, late.saved, texts(late)) == (False, True, ["0", "theirs"])
    late.save()
    assert (late.name, late.notice) == ("plan", None)


class LostReply:
    """The store does the next fork, and the connection breaks before it says so."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.breaks = backend, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def move(self, move: Move) -> SessionRecord:
        record = self._backend.move(move)
        if self.breaks and move.create is not None:
            self.breaks = False
            raise nbs.StoreUnavailable("The connection was lost.")
        return record


def test_a_draft_that_was_forked_unheard_is_on_the_fork_when_it_is_tried_again(store: Store) -> None:
    theirs, mine = _drafting(store)
    add(theirs, "theirs")
    mine.backend = LostReply(store.backend)  # type: ignore[assignment]
    with pytest.raises(nbs.StoreUnavailable):
        mine.send("mine", agent=lambda prompt: "Hi")
    mine.save()
    assert (mine.name, texts(mine), mine.saved) == ("plan (fork)", ["0", "mine", "Hi"], True)
    assert [record.name for record in store.list()] == ["plan (fork)", "plan"]
    mine.save()
    assert len(store.list()) == 2


def test_what_waited_goes_on_from_ones_own_draft(store: Store) -> None:
    """Its state was set while an answer waited: that is no draft of somebody else."""
    _, mine = _drafting(store)
    mine.unsaved.append(mine.prepare("message", "chat", '[{"role":"user","content":"paid for"}]', prompts=1))
    mine.state = {"step": 1}
    mine.save_waiting()
    assert (mine.name, texts(mine), mine.state, mine.notice) == ("plan", ["0", "paid for"], {"step": 1}, None)


def test_a_move_says_which_draft_it_expects(store: Store) -> None:
    backend = store.backend
    key = inserted(backend)
    (turn,) = grown(backend, key, ("user",))
    base = Head(turn.turn_id)
    first = a_move(key, None, base, head=base, draft=True, draft_entry=0)
    backend.move(first)
    entry = backend.current(key, draft=True).entry_id
    for stale in (0, entry - 1):
        with pytest.raises(HeadMoved):
            backend.move(a_move(key, a_turn(turn), base, draft=True, draft_entry=stale))
    backend.move(a_move(key, a_turn(turn), base, draft=True, draft_entry=entry))
    assert backend.current(key, draft=True).message_count == 2


@pytest.mark.parametrize("save", [True, False])
def test_nothing_is_spent_on_a_draft_where_another_has_one(store: Store, save: bool) -> None:
    theirs, mine = _drafting(store)
    mine.autosave = not save
    add(theirs, "theirs")
    asked: list[str] = []
    question = Question(prompt="mine", adapter=adapt(asked.append), save=save)
    with pytest.raises(nbs.InvalidInput, match="'plan' has an unsaved draft already: `load --draft`"):
        ask(Workspace(Settings()), mine, question)
    assert asked == []


def test_who_loads_a_draft_is_told_so(store: Store) -> None:
    theirs, mine = _drafting(store)
    add(theirs, "theirs")
    told = [Workspace(Settings()).left_over(one) for one in (mine, theirs, store.resume("plan"))]
    assert told == [
        [],
        ["You are on its unsaved draft: `save` keeps it."],
        ["It has an unsaved draft: `load --draft` goes on from there."],
    ]


def test_where_conflicts_are_errors_a_draft_of_another_is_told_as_one(store: Store) -> None:
    theirs, mine = _drafting(store, on_conflict="error")
    _to_the_same_place(theirs)
    with pytest.raises(
        SessionConflict, match=r"'plan' has an unsaved draft of another writer.*`load --draft`"
    ):
        add(mine, "mine")
    both = store.resume("plan", draft=True, on_conflict="error")
    add(theirs, "theirs")
    for call in (lambda: add(both, "mine"), both.save, both.undo):
        with pytest.raises(SessionConflict, match="'plan' has an unsaved draft of another writer"):
            call()
    assert (texts(both), texts(store.resume("plan", draft=True))) == (["0"], ["0", "theirs"])


def test_who_saves_a_draft_that_another_went_on_with_is_told_how_to_get_there(store: Store) -> None:
    theirs, _ = _drafting(store)
    add(theirs, "1")
    mine = store.resume("plan", draft=True)
    add(theirs, "2")
    mine.save()
    assert mine.notice == (
        "'plan' has an unsaved draft that another writer went on with: your save is kept on 'plan (fork)', "
        "where you are now. `load plan --draft` goes on from that."
    )
    assert texts(store.resume("plan", draft=True)) == ["0", "1", "2"]
