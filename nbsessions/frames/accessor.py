"""What can be done with the sessions of a DataFrame: ``df.nbs``, for the rows that a filter left."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, overload
from weakref import WeakKeyDictionary, WeakValueDictionary

import pandas as pd

from nbsessions.bulk import changing, deleting
from nbsessions.bulk.reports import CHANGED, NOTHING_DONE, Left, Report, named
from nbsessions.exceptions import InvalidInput
from nbsessions.frames.selecting import Names, check_sessions, new_names, select
from nbsessions.records import SessionRecord
from nbsessions.text import counted
from nbsessions.upkeep import check_owner

if TYPE_CHECKING:
    from nbsessions.session import Session
    from nbsessions.store import Store

ATTRIBUTE: Final = "nbsessions"
"""Of `DataFrame.attrs`: pandas writes these into files, so it tells nothing of the store."""
KIND: Final = "nbsessions.kind"
"""The same, for what a frame is of: ``sessions``, ``messages``, ``runs``..."""
_stores: WeakValueDictionary[str, Store] = WeakValueDictionary()
_keys: WeakKeyDictionary[Store, str] = WeakKeyDictionary()


def mark(frame: pd.DataFrame, store: Store, kind: str = "sessions") -> pd.DataFrame:
    """Note on a frame from which open store it is, and of what its rows are.

    `df.nbs` acts on those of sessions alone.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> attrs = mark(pd.DataFrame({"session_id": []}), store).attrs
    >>> len(attrs["nbsessions"]), attrs["nbsessions.kind"]
    (16, 'sessions')
    """
    key = _keys.setdefault(store, secrets.token_hex(8))
    _stores[key] = store
    frame.attrs.update({ATTRIBUTE: key, KIND: kind})
    return frame


class ExportReport(Report):
    """What was exported: a sequence of the sessions. Usable as the path of the folder.

    Attributes
    ----------
    path : Path
        The folder.
    files : list of Path
        One for each session.

    Examples
    --------
    >>> report = ExportReport("Exported no session.", [], undo="no", path=Path("out"), files=[])
    >>> os.path.join(report, "plan.json")
    'out/plan.json'
    """

    def __init__(
        self, done: str, sessions: Sequence[SessionRecord], *, undo: str, path: Path, files: Sequence[Path]
    ) -> None:
        super().__init__(done, sessions, undo=undo)
        self.path, self.files = path, list(files)

    def __fspath__(self) -> str:
        return os.fspath(self.path)


@pd.api.extensions.register_dataframe_accessor("nbs")
class Sessions:
    """The sessions of a frame, or of what a filter left of it.

    Deleting and changing is one transaction, of which a report tells what was done, and which sessions were
    left alone because somebody changed them. `undo()` of a report takes it back, where that is possible.
    Each method takes ``dry_run=True``, to see first what it would do, and ``store=``, for a frame that lost
    what tells its store, as one that comes from a file has.

    Parameters
    ----------
    frame : DataFrame
        Of sessions, as `sessions_df` and ``%session history`` give them. It has a column ``session_id``, and
        ``conversation_id`` where the same id stands in several conversations.

    Raises
    ------
    NotSessions
        It is a frame of messages, runs or something else: a filter on those says nothing about sessions.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> df = nbs.sessions_df(store)
    >>> df[df.message_count == 0].nbs.delete(dry_run=True)
    Would delete 1 session with 0 messages: 'plan'. There is no undo. Nothing was done.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        check_sessions(frame, frame.attrs.get(KIND))

    def __repr__(self) -> str:
        doing = ", ".join(name for name in vars(Sessions) if not name.startswith("_"))
        return f"<nbs of {counted(len(self._frame), 'row')}: {doing}>"

    def records(self, *, store: Store | None = None) -> list[SessionRecord]:
        """Return the sessions of the rows, as they are in the store now; each once.

        Raises
        ------
        InvalidInput
            The frame lost what tells its store, or a session is no longer there.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> [record.name for record in nbs.sessions_df(store).nbs.records()]
        ['plan']
        """
        return list(self._records(self._store(store)))

    def delete(
        self,
        *,
        export: str | os.PathLike[str] | None = None,
        drafts: bool = False,
        dry_run: bool = False,
        store: Store | None = None,
    ) -> Report:
        """Delete the sessions for good; what they spent stays counted.

        Those that somebody changed since the frame was made stay, and so do those in which an agent is
        answering: the report names them.

        Parameters
        ----------
        export : str, path or None
            A folder to write them into first, from where `Store.import_` brings them back.
        drafts : bool
            Also those with an unsaved draft, which otherwise stay.
        dry_run : bool
            Delete nothing, and say what would be.
        store : Store or None

        Raises
        ------
        InvalidInput
            A session is gone already, or the frame cannot be used; nothing was deleted.
        NotOwner
            A session is somebody else's; nothing was deleted.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> nbs.sessions_df(store).nbs.delete()
        Deleted 1 session with 0 messages: 'plan'. There is no undo; what was spent stays counted.
        """
        if self._frame.empty:
            return _nothing()
        where = self._store(store)
        chosen = select(self._frame, where)
        check_owner(chosen.records.values(), where.owner)
        changed = {
            key
            for key, seen in zip(chosen.keys, chosen.seen, strict=True)
            if seen is not None and not changing.is_as_seen(where, chosen.records[key], seen)
        }
        meant = [record for key, record in chosen.records.items() if key not in changed]
        left = [Left(record, CHANGED) for key, record in chosen.records.items() if key in changed]
        return deleting.delete(where, meant, left=left, export=export, drafts=drafts, dry_run=dry_run)

    def tag(self, *tags: str, dry_run: bool = False, store: Store | None = None) -> Report:
        """Add tags to the sessions.

        Parameters
        ----------
        *tags : str
        dry_run : bool
            Change nothing, and say what would be.
        store : Store or None

        Raises
        ------
        InvalidInput, NotOwner
            Nothing was changed.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> df = nbs.sessions_df(store)
        >>> report = df.nbs.tag("archived")
        >>> report
        Tagged 1 session with 'archived': 'plan'. `undo()` of this report takes it back.
        >>> report.undo()
        Undone for 1 session: 'plan'.
        """
        if self._frame.empty:
            return _nothing()
        where = self._store(store)
        return changing.tag(where, self._records(where), tags, dry_run=dry_run)

    def untag(self, *tags: str, dry_run: bool = False, store: Store | None = None) -> Report:
        """Take tags off the sessions; see `tag`.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan", tags=["draft"])
        >>> nbs.sessions_df(store).nbs.untag("draft", dry_run=True)
        Would take 'draft' off 1 session: 'plan'. Nothing was done.
        """
        if self._frame.empty:
            return _nothing()
        where = self._store(store)
        return changing.untag(where, self._records(where), tags, dry_run=dry_run)

    def rename(self, names: Names, *, dry_run: bool = False, store: Store | None = None) -> Report:
        """Give the sessions other names, all of them or none.

        Parameters
        ----------
        names : mapping, callable, Series or str
            From names or ids to new names; or what is called with each `SessionRecord` and returns its new
            name; or a column of the frame, or one made of such; or, for a single session, its name. Who gets
            None keeps its name. One may get the name that another of them has.
        dry_run : bool
            Change nothing, and say what would be.
        store : Store or None

        Raises
        ------
        SessionExists
            A name is taken, for this owner, agent and conversation; nothing was changed.
        InvalidInput, NotOwner
            Nothing was changed.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan"), store.create("essay")
        >>> df = nbs.sessions_df(store)
        >>> df.nbs.rename({"plan": "old plan"})
        Renamed 1 session: 'plan' to 'old plan'. `undo()` of this report takes it back.
        >>> df.nbs.rename(lambda session: session.name.title(), dry_run=True)
        Would rename 2 sessions: 'essay' to 'Essay', 'old plan' to 'Old Plan'. Nothing was done.
        >>> df.nbs.rename("2026: " + df.name)[1].name
        '2026: plan'
        """
        if self._frame.empty:
            return _nothing()
        where = self._store(store)
        chosen = select(self._frame, where)
        given = new_names(names, self._frame, chosen)
        return changing.rename(where, list(chosen.records.values()), given, dry_run=dry_run)

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        format: str | None = None,
        overwrite: bool = False,
        dry_run: bool = False,
        store: Store | None = None,
    ) -> ExportReport:
        """Write each session into a file of its own in a folder, which is made where there is none.

        Parameters
        ----------
        folder : str or path
        format : str or None
            None: `json`.
        overwrite : bool
        dry_run : bool
            Write nothing, and say what would be.
        store : Store or None

        Returns
        -------
        ExportReport
            With the files; it is the path of the folder, too.

        Raises
        ------
        InvalidInput
            There is such a file already, and nothing was written; or the frame cannot be used.
        StoreUnavailable

        Examples
        --------
        >>> import tempfile
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan", session_id="chat-7")
        >>> df = nbs.sessions_df(store)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     [path.name for path in df.nbs.export(f"{place}/new").files]
        ['plan_chat-7.json']
        """
        from nbsessions import formats
        from nbsessions.transfers.exporting import export_folder, folder_files

        named_one = {suffix for each in formats.all_formats() for suffix in each.suffixes if each.write}
        if format is None and Path(folder).suffix.lower() in named_one and not Path(folder).is_dir():
            text = "names a file: each session gets a file of its own in a folder. format= says which"
            raise InvalidInput(f"{os.fspath(folder)} {text}.")
        where = None if self._frame.empty else self._store(store)
        records = [] if where is None else self._records(where)
        files = folder_files(records, folder, format=format, overwrite=overwrite)
        if where is not None and not dry_run:
            export_folder(where.backend, records, folder, format=format, overwrite=overwrite)
        what = f"{counted(len(records), 'session')} to {os.fspath(folder)}: {named(records)}."
        done = f"Would export {what} Nothing was done." if dry_run else f"Exported {what}"
        undo = (
            NOTHING_DONE if dry_run else "What was exported stays: remove the `files` of the report yourself."
        )
        return ExportReport(done if records else _EMPTY, records, undo=undo, path=Path(folder), files=files)

    @overload
    def open(self, *, dry_run: Literal[False] = False, store: Store | None = None) -> Session: ...
    @overload
    def open(self, *, dry_run: Literal[True], store: Store | None = None) -> Report: ...
    def open(self, *, dry_run: bool = False, store: Store | None = None) -> Session | Report:
        """Go on with the one session that the frame has; in a notebook, `%session load` makes it current.

        Returns
        -------
        Session
            With `dry_run`, a Report.

        Raises
        ------
        InvalidInput
            The frame has none, or several.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan"), store.create("essay")
        >>> df = nbs.sessions_df(store)
        >>> df[df.name == "plan"].nbs.open()
        <Session 'plan': 0 turns, 0 messages>
        """
        where = None if self._frame.empty else self._store(store)
        records = [] if where is None else self._records(where)
        if where is None or len(records) != 1:
            has = f"these are {len(records):,}: {named(records)}" if records else "this frame has none"
            raise InvalidInput(f"`open` takes one session, and {has}. Filter down to one.")
        if dry_run:
            return Report(f"Would open {named(records)}. Nothing was done.", records, undo=NOTHING_DONE)
        return where.resume(records[0].session_id, conversation_id=records[0].conversation_id)

    def _records(self, where: Store) -> list[SessionRecord]:
        return list(select(self._frame, where).records.values())

    def _store(self, given: Store | None) -> Store:
        check_sessions(self._frame, self._frame.attrs.get(KIND))
        own = _stores.get(str(self._frame.attrs.get(ATTRIBUTE)))
        if own is None and given is None:
            raise InvalidInput("This frame does not tell its store any more: say store=.")
        if given is not None and not hasattr(given, "backend"):
            raise InvalidInput(f"store= takes an open store, of nbsessions.open_store, not {given!r}.")
        found = given or own
        assert found is not None
        if own is not None and own is not found and (own.url != found.url or not own.backend.persistent):
            text = f"This frame is of the store {own.url}, and store= is another, {found.url}"
            raise InvalidInput(f"{text}: make a frame of that one. Nothing was done.")
        return found


_EMPTY: Final = "Nothing to do: the frame has no row."


def _nothing() -> Report:
    return Report(_EMPTY, [], undo=NOTHING_DONE)
