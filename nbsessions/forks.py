"""
Forks of a session: what becomes of a move that lost a race, and what a fork begins as.

Nothing here knows a handle: which move has lost, and where the handle stands then, `moving` knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nbsessions.exceptions import SessionConflict, SessionError, SessionExists, SessionNotFound
from nbsessions.names import fork_names
from nbsessions.records import NOTHING, Head, SessionRecord, trusted
from nbsessions.stores.base import Backend, Inherited, Key, Move, Query
from nbsessions.values import new_id, now

PERMISSIONS: Final = "nbsessions.permissions"
"""The collection of documents with a session's rules for tools: no part of any export."""


def keep(
    backend: Backend, move: Move, parent: SessionRecord, fork: SessionRecord, *, draft: int | None = None
) -> SessionRecord:
    """Make a move on a fork instead, which comes into being with it, and return the fork as it is then.

    Parameters
    ----------
    backend : Backend
    move : Move
        The one that lost the race.
    parent : SessionRecord
        The session that it was meant for.
    fork : SessionRecord
        What `begun` returned; it gets the first name that is free.
    draft : int or None
        The log entry of a draft that cannot be saved where it began: it goes on here, and there no more.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> fork = begun(session.record, Head(), 0, 0, state={}, owner="ada")
    >>> move = Move(session.key, "clear", Head(), Head(), 0, 0, at=0)
    >>> keep(session.backend, move, session.record, fork).name
    'plan (fork)'
    """
    instead_of = None if draft is None else (Key.of(parent), draft)
    plain = move._replace(draft_entry=None, draft=False, ends_draft=False, undo=False, before=None)
    again = plain._replace(instead_of=instead_of, inherits=inherited(parent, fork))
    for name in names(backend, parent):
        fork = fork.model_copy(update={"name": name})
        try:
            return backend.move(again._replace(key=Key.of(fork), create=fork))
        except SessionExists:
            continue
    raise AssertionError("there is always another name")


def begun(
    parent: SessionRecord,
    head: Head,
    messages: int,
    turns: int,
    *,
    state: dict[str, Any],
    owner: str,
    name: str | None = None,
) -> SessionRecord:
    """Return the record of a new fork that stands at `head`; no store has it yet.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> plan = nbs.open_store("memory:").create("plan").record
    >>> begun(plan, Head(), 0, 0, state={}, owner="ada").parent_session_id == plan.session_id
    True
    """
    at = now()
    fresh = {"session_id": new_id(), "created_at": at, "updated_at": at, "usage": NOTHING}
    stands = {"head": head, "draft": None, "message_count": messages, "turn_count": turns, "state": state}
    own = {"name": name, "owner": owner, "parent_session_id": parent.session_id}
    # All of them are known to be valid.
    return trusted(SessionRecord, {**vars(parent), **fresh, **stands, **own})


def inherited(parent: SessionRecord, fork: SessionRecord) -> Inherited | None:
    """Return what a fork begins with: the rules of its parent for tools, where both are the same person's.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.policy = nbs.Policy("deny")
    >>> session.fork().policy.default
    'deny'
    """
    return Inherited(Key.of(parent), PERMISSIONS) if parent.owner == fork.owner else None


def names(backend: Backend, parent: SessionRecord) -> Iterator[str]:
    """Yield names that a fork may get; a session may have hundreds, and they need not all be tried.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> next(names(session.backend, session.record))
    'plan (fork)'
    """
    conversation = Key.of(parent).conversation_id
    siblings = Query(conversation_id=conversation, parent_session_id=parent.session_id)
    return fork_names(parent.label, lambda: (one.name for one in backend.find(siblings)))


def happened(move: Move, theirs: SessionRecord | None) -> tuple[str, str]:
    """Return why a move found its session elsewhere (None: it found none), and the way back.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> happened(Move(session.key, "clear", Head(), Head(), 0, 0, at=0), session.record)[0]
    'was moved by another writer'
    """
    if theirs is None:
        return "was deleted meanwhile", ""
    load = f"where you are now. `load {theirs.label}"
    if _is_about_draft(move, theirs):
        more = "already" if move.draft else "that another writer went on with"
        return f"has an unsaved draft {more}", f", {load} --draft` goes on from that"
    return "was moved by another writer", f", {load}` goes back to it"


def conflict(label: str, move: Move, theirs: SessionRecord | None, kept: str | None) -> SessionError:
    """Return the same as an error; `kept` names the fork that has the answer, where there is one.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> type(conflict("plan", Move(session.key, "clear", Head(), Head(), 0, 0, at=0), None, None)).__name__
    'SessionNotFound'
    """
    if theirs is None:
        return SessionNotFound(label, deleted=True, kept=kept)
    drafted = _is_about_draft(move, theirs)
    there = (theirs.draft if drafted else None) or theirs.head
    ours = move.expected.turn_id
    return SessionConflict(label, ours=ours, theirs=there.turn_id, kept=kept, drafted=drafted)


def _is_about_draft(move: Move, theirs: SessionRecord) -> bool:
    """Tell whether it was a draft of somebody else that a move came upon."""
    saving = move.action == "save" and theirs.head == move.expected
    return theirs.draft is not None and (move.draft or saving)
