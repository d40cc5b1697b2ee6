"""
Many sessions tagged or renamed together, in one transaction, and back again.

What somebody changed meanwhile is never overwritten: it is left alone, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from nbsessions.bulk.reports import GONE, MEANWHILE, NAMED, NOTHING_DONE, Left, Report, listed, named, quoted
from nbsessions.exceptions import InvalidInput, SessionExists
from nbsessions.names import check_name, check_tags
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Change, Key, Query
from nbsessions.text import counted
from nbsessions.upkeep import check_owner
from nbsessions.values import micros, now

if TYPE_CHECKING:
    from nbsessions.store import Store

_TRIES: Final = 50
"""So often those are looked at again that others change in this moment."""
_Pairs = list[tuple[SessionRecord, SessionRecord]]
"""Sessions as they were, and as they are."""
_ours: WeakKeyDictionary[Store, dict[Key, dict[datetime, datetime]]] = WeakKeyDictionary()
"""When a session was changed last before it was changed here, by when that was."""


def is_as_seen(store: Store, record: SessionRecord, seen: datetime) -> bool:
    """Tell whether nothing but what was done here has changed a session since it was seen.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> record = store.create("plan").record
    >>> tagged = tag(store, [record], ["old"])[0]
    >>> is_as_seen(store, tagged, record.updated_at)
    True
    >>> is_as_seen(store, store.tag("plan", "new").record, record.updated_at)
    False
    """
    before = _ours.get(store, {}).get(Key.of(record), {})
    at: datetime | None = record.updated_at
    for _ in before:  # and no further: where a clock was set back, it could go round for ever
        at = at if at in (None, seen) else before.get(at)
    return at == seen


def tag(
    store: Store, sessions: Sequence[SessionRecord], tags: Sequence[str], *, dry_run: bool = False
) -> Report:
    """Add tags to sessions.

    Raises
    ------
    NotOwner, InvalidInput
        Nothing was changed.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> records = [store.create("plan").record, store.create("essay", tags=["old"]).record]
    >>> report = tag(store, records, ["old"])
    >>> report
    Tagged 1 session with 'old': 'plan'. `undo()` of this report takes it back.
    >>> report.undo()
    Undone for 1 session: 'plan'.
    """
    added = _some(tags)

    def wanted(record: SessionRecord) -> list[str]:
        return list(dict.fromkeys([*record.tags, *added]))

    def said(how_many: str) -> str:
        verb = "Would tag" if dry_run else "Tagged"
        return f"{verb} {how_many} with {listed([quoted(one) for one in added], len(added))}"

    return _changed(store, sessions, "tags", wanted, said, dry_run=dry_run)


def _some(tags: Sequence[str]) -> list[str]:
    checked = check_tags(tags)
    if not checked:
        raise InvalidInput('Say which tags, such as "archived".')
    return checked


def untag(
    store: Store, sessions: Sequence[SessionRecord], tags: Sequence[str], *, dry_run: bool = False
) -> Report:
    """Take tags off sessions.

    Raises
    ------
    NotOwner, InvalidInput
        Nothing was changed.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> untag(store, [store.create("plan", tags=["a", "b"]).record], ["a"])
    Took 'a' off 1 session: 'plan'. `undo()` of this report takes it back.
    """
    taken = _some(tags)

    def wanted(record: SessionRecord) -> list[str]:
        return [one for one in record.tags if one not in taken]

    def said(how_many: str) -> str:
        verb = "Would take" if dry_run else "Took"
        return f"{verb} {listed([quoted(one) for one in taken], len(taken))} off {how_many}"

    return _changed(store, sessions, "tags", wanted, said, dry_run=dry_run)


def rename(
    store: Store, sessions: Sequence[SessionRecord], names: Mapping[Key, str], *, dry_run: bool = False
) -> Report:
    """Give sessions other names; one may get the name that another of them has.

    Raises
    ------
    SessionExists
        A name is taken; nothing was changed.
    NotOwner, InvalidInput

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> record = store.create("plan").record
    >>> rename(store, [record], {Key.of(record): "essay"})
    Renamed 1 session: 'plan' to 'essay'. `undo()` of this report takes it back.
    """
    checked = {key: check_name(name) for key, name in names.items()}

    def wanted(record: SessionRecord) -> str | None:
        return checked.get(Key.of(record), record.name)

    if dry_run:
        _check_names(store, [record for record in sessions if Key.of(record) in checked], checked)

    def said(how_many: str) -> str:
        return f"{'Would rename' if dry_run else 'Renamed'} {how_many}"

    try:
        return _changed(store, sessions, "name", wanted, said, dry_run=dry_run)
    except SessionExists:  # a store does not tell which name, where it is one of many
        _check_names(store, [record for record in sessions if Key.of(record) in checked], checked)
        raise


def _check_names(store: Store, sessions: Sequence[SessionRecord], names: Mapping[Key, str]) -> None:
    """Refuse what the store will refuse: a name that is taken, or given twice."""
    taken = set()
    for record in sessions:
        key, name = Key.of(record), names[Key.of(record)]
        place = (record.agent_name, key.conversation_id, name)
        query = Query(
            conversation_id=key.conversation_id, name=name, agent_name=record.agent_name, owner=record.owner
        )
        others = [other for other in store.backend.find(query) if Key.of(other) not in names]
        if others or place in taken:
            raise SessionExists(name)
        taken.add(place)


def _changed(
    store: Store,
    sessions: Sequence[SessionRecord],
    field: str,
    wanted: Callable[[SessionRecord], Any],
    said: Callable[[str], str],
    *,
    dry_run: bool,
) -> Report:
    """Set a field of sessions to what is wanted of each, and report it in the words of `said`."""
    check_owner(sessions, store.owner)
    if dry_run:
        after = [(record, record.model_copy(update={field: wanted(record)})) for record in sessions]
        done = [(was, record) for was, record in after if getattr(was, field) != getattr(record, field)]
        left: list[Left] = []
    else:
        done = _set(store, sessions, field, wanted)
        left = _left(store, sessions, done, lambda record: wanted(record) != getattr(record, field))
    end = "Nothing was done." if dry_run or not done else "`undo()` of this report takes it back."
    what = said(counted(len(done), "session") if done else "no session")
    if done:
        what += f": {_new_names(done) if field == 'name' else named([was for was, _ in done])}"
    undo = NOTHING_DONE if dry_run or not done else partial(_undo, store, done, field)
    return Report(f"{what}. {end}", [record for _, record in done], left, undo=undo)


def _new_names(done: _Pairs) -> str:
    first = [f"{quoted(was.label)} to {quoted(record.label)}" for was, record in done[:NAMED]]
    return listed(first, len(done))


def _set(
    store: Store,
    sessions: Sequence[SessionRecord],
    field: str,
    wanted: Callable[[SessionRecord], Any],
    at: Callable[[SessionRecord], int | None] = lambda record: None,
) -> _Pairs:
    """Set a field of sessions, and return those that were changed; `at` says when, where not now."""
    present, done = list(sessions), _Pairs()
    for _ in range(_TRIES):
        meant = {Key.of(one): one for one in present if wanted(one) != getattr(one, field)}
        changes = [
            Change(
                key, {field: wanted(one)}, {field: getattr(one, field), "updated_at": one.updated_at}, at(one)
            )
            for key, one in meant.items()
        ]
        after = store.backend.update_all(changes, micros(now())) if changes else {}
        done += [(meant[key], record) for key, record in after.items()]
        # Who was changed in this moment is looked at once more.
        present = list(store.backend.get_all([key for key in meant if key not in after]).values())
        if not present:
            break
    ours = _ours.setdefault(store, {})
    for was, record in done:
        if at(was) is None:
            ours.setdefault(Key.of(record), {})[record.updated_at] = was.updated_at
    return done


def _left(
    store: Store,
    sessions: Sequence[SessionRecord],
    done: _Pairs,
    is_left: Callable[[SessionRecord], bool],
) -> list[Left]:
    """Return which of the sessions that were not changed are gone, or are left as they are."""
    changed = {Key.of(record) for _, record in done}
    others = {Key.of(record): record for record in sessions if Key.of(record) not in changed}
    there = store.backend.get_all([*others])
    gone = [Left(record, GONE) for key, record in others.items() if key not in there]
    return gone + [Left(record, MEANWHILE) for record in there.values() if is_left(record)]


def _undo(store: Store, done: _Pairs, field: str) -> Report:
    """Set a field of sessions back to what it was, where it still is what it was set to."""
    before = {Key.of(record): was for was, record in done}
    after = {Key.of(record): record for _, record in done}

    def wanted(record: SessionRecord) -> Any:
        present, key = getattr(record, field), Key.of(record)
        return getattr(before[key], field) if present == getattr(after[key], field) else present

    def at(record: SessionRecord) -> int | None:
        """Return when it was changed last before all this, where that is all that was changed since."""
        key = Key.of(record)
        return micros(before[key].updated_at) if record.updated_at == after[key].updated_at else None

    back = _set(store, list(store.backend.get_all([*before]).values()), field, wanted, at)
    left = _left(store, [record for _, record in done], back, lambda record: True)
    sessions = [record for _, record in back]
    what = f"{counted(len(back), 'session')}: {named(sessions)}" if back else "no session"
    again = partial(_undo, store, back, field) if back else NOTHING_DONE
    return Report(f"Undone for {what}.", sessions, left, undo=again)
