"""The visits of a notebook: which sessions it was on, and the way back from the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from nbsessions.exceptions import SessionNotFound, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from nbsessions.records import LogEntry
    from nbsessions.session import Session
    from nbsessions.store import Store
    from nbsessions.stores.base import Key, Visit

_TRAIL = 20
"""So many visits a notebook takes along when it is renamed."""


class Trail:
    """Where one notebook stands, and where it stood before, as the store remembers it.

    Parameters
    ----------
    store : callable
        Returns the current store.
    notebook : callable
        Returns the notebook's path where it is certain, else None.
    note : callable
        Tells the person something, once.
    remembers : bool
        False: nobody comes back here, and nothing is written.

    Attributes
    ----------
    at : Key or None
        Which session is the last that this notebook is known to be on.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> trail = Trail(lambda: store, notebook=lambda: "/a.ipynb", note=print)
    >>> one, two = store.create("one"), store.create("two")
    >>> trail.move_on(None, one, "new one")
    >>> trail.move_on(one, two, "load two")
    >>> visit, undone = trail.way_back(two)
    >>> visit.key == one.key, undone
    (True, 'load two')
    """

    def __init__(
        self,
        store: Callable[[], Store],
        notebook: Callable[[], str | None],
        note: Callable[[str], None],
        *,
        remembers: bool = True,
    ) -> None:
        self.at: Key | None = None
        self._store = store
        self._notebook = notebook
        self._note = note
        self._remembers = remembers
        self._known_place: str | None = None
        self._own_place = f"kernel:{uuid4()}"

    # The way on

    def move_on(self, left: Session | None, session: Session, action: str) -> None:
        """Remember that this notebook went from one session to another; undo leads back."""
        if not self._remembers:
            return
        try:
            before = None if left is None else self._left_at(left)
        except SessionNotFound:  # somebody deleted it, and nothing leads back
            before = None
        known = None if before is None else before.visit_id
        self.visit(session, action, known)

    def _left_at(self, left: Session) -> Visit | None:
        """Return the visit that undo shall come back to: of where a session was left."""
        before = self.last()
        # A session that this notebook went on with by itself was left, too.
        if before is None or before.key != left.key:
            self.visit(left, "load")
        elif left.on_draft != self._was_on_draft(before):
            self.visit(left, before.action, before.before)
        else:
            return before
        return self.last()

    def visit(
        self, session: Session, action: str, before: int | None = None, entry: int | None = None
    ) -> None:
        """Remember that this notebook is on this session now; a store that is read-only need not."""
        from nbsessions.stores.base import Visit
        from nbsessions.values import micros, now

        backend = self._store().backend
        visit = Visit(session.key, action, entry or self._entry(session).entry_id, before)
        try:
            backend.visit(self._store().owner, self._place(), visit, micros(now()))
        except StoreUnavailable as error:
            self._not_remembered(error)
        self.at = session.key

    def follow(self, session: Session | None) -> None:
        """Remember where this notebook is by now: on a fork, after a lost race, or under another name."""
        if session is None or self.at is None:
            return
        try:
            self._place()
            if session.key != self.at:
                before = self.last()
                known = before.visit_id if before is not None and before.key == self.at else None
                # Undo takes back what was done there first, and then leads back.
                begun = self._store().backend.origin(session.key).entry_id
                self.visit(session, f"fork {session.record.label}", known, begun)
        except (StoreError, SessionNotFound) as error:
            self._not_remembered(error)

    def _not_remembered(self, error: Exception) -> None:
        self._note(f"Which session is the current one is not remembered: {error}")

    # The way back

    def way_back(self, session: Session) -> tuple[Visit, str] | None:
        """Return where undo leads to, and what it takes back; None where the session's own undo does it.

        That is so where the session was moved since it was loaded, or where nothing leads back.
        """
        last = self.last()
        if last is None or last.before is None or last.key != session.key or self._has_moved(session, last):
            return None
        target = self.last(up_to=last.before)
        if target is None or target.visit_id != last.before:  # what was there before was deleted
            return None
        return target, last.action

    def last(self, up_to: int | None = None) -> Visit | None:
        """Return the last visit; with `up_to`, the last one up to this number."""
        if not self._remembers:
            return None
        store = self._store()
        return store.backend.last_visit(store.owner, self._place(), up_to=up_to)

    def has_its_draft(self, visit: Visit) -> bool:
        """Tell whether a session still has the draft on which it was left, and not one begun later."""
        backend = self._store().backend
        then = None if visit.entry is None else backend.entry(visit.entry)
        if then is None or not then.draft:
            return False
        present = backend.current(visit.key, draft=True)
        return present.draft and present.base == then.base

    def _was_on_draft(self, visit: Visit) -> bool:
        then = None if visit.entry is None else self._store().backend.entry(visit.entry)
        return then is not None and then.draft

    def _has_moved(self, session: Session, visit: Visit) -> bool:
        """Tell whether it was moved since a visit, by moves that were not undone."""
        then = None if visit.entry is None else self._store().backend.entry(visit.entry)
        if then is None:
            return True
        present = self._entry(session)
        if present.head != session.head:  # others moved it: what this notebook did is what counts
            return session.head != then.head
        return _does(then) != _does(present)

    def _entry(self, session: Session) -> LogEntry:
        return self._store().backend.current(session.key, draft=session.on_draft)

    # The notebook's name

    def _place(self) -> str:
        """Return what names this notebook; where its path was never known, this trail alone."""
        before = self._known_place
        self._known_place = self._notebook() or before or self._own_place
        if before is not None and before != self._known_place:
            try:
                self._take_along(before, self._known_place)
            except StoreUnavailable as error:
                self._not_remembered(error)
        return self._known_place

    def _take_along(self, before: str, place: str) -> None:
        """Copy the visits that undo can go back to: the notebook has another name now."""
        from nbsessions.values import micros, now

        backend, owner = self._store().backend, self._store().owner
        trail: list[Visit] = []
        visit = backend.last_visit(owner, before)
        while visit is not None and len(trail) < _TRAIL:
            trail.append(visit)
            number = visit.before
            visit = None if number is None else backend.last_visit(owner, before, up_to=number)
            visit = visit if visit is not None and visit.visit_id == number else None
        known = None
        for one in reversed(trail):
            backend.visit(owner, place, one._replace(before=known), micros(now()))
            copied = backend.last_visit(owner, place)
            known = None if copied is None else copied.visit_id


def _does(entry: LogEntry) -> object:
    """Return where a session stands, and what undo would do; moves that were undone change neither."""
    return entry.head, entry.done, entry.before, entry.draft
