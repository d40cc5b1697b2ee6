"""What can be done with the sessions of a DataFrame: ``df.nbs``, for the rows that a filter left."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import pandas as pd

from nbsessions.exceptions import InvalidInput
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Key

if TYPE_CHECKING:
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


@pd.api.extensions.register_dataframe_accessor("nbs")
class Sessions:
    """The sessions of a frame that ``%session history`` gave, or what is left of it.

    Parameters
    ----------
    frame : DataFrame
        With a column ``session_id``, and ``conversation_id`` where some belong to conversations.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.frames import SESSIONS, frame
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> df = mark(frame(SESSIONS, store.list()), store)
    >>> [record.name for record in df[df.turn_count == 0].nbs.records()]
    ['plan']
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if "session_id" not in frame.columns:
            raise AttributeError("`nbs` acts on frames of sessions, which have a column 'session_id'.")
        self._frame = frame

    def records(self, *, store: Store | None = None) -> list[SessionRecord]:
        """Return the sessions of the rows, as they are in the store now.

        Raises
        ------
        InvalidInput
            The frame lost what tells its store, or a session is no longer there.
        """
        where = self._store(store)
        frame = self._frame
        conversations = frame.get("conversation_id", pd.Series([None] * len(frame)))
        found = []
        for session_id, conversation in zip(frame["session_id"], conversations, strict=True):
            key = Key("" if pd.isna(conversation) else str(conversation), str(session_id))
            record = where.backend.get(key)
            if record is None:
                raise InvalidInput(f"Session {session_id} is not in the store {where.url}: list them again.")
            found.append(record)
        return list({Key.of(record): record for record in found}.values())

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        format: str | None = None,
        overwrite: bool = False,
        store: Store | None = None,
    ) -> Path:
        """Write each session into a file of its own in a folder, which is made where there is none.

        Parameters
        ----------
        folder : str or path
        format : str or None
            None: `json`.
        overwrite : bool
        store : Store or None
            For a frame that lost what tells its store, as one that comes from a file has.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InvalidInput, StoreUnavailable

        Examples
        --------
        >>> import tempfile
        >>> import nbsessions as nbs
        >>> from nbsessions.frames import SESSIONS, frame
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan", session_id="chat-7")
        >>> df = mark(frame(SESSIONS, store.list()), store)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     [path.name for path in df.nbs.export(f"{place}/new").iterdir()]
        ['plan_chat-7.json']
        """
        from nbsessions import formats
        from nbsessions.exporting import export_folder

        where = self._store(store)
        named = {suffix for each in formats.all_formats() for suffix in each.suffixes if each.write}
        if format is None and Path(folder).suffix.lower() in named and not Path(folder).is_dir():
            text = "names a file: each session gets a file of its own in a folder. format= says which"
            raise InvalidInput(f"{os.fspath(folder)} {text}.")
        return export_folder(
            where.backend, self.records(store=where), folder, format=format, overwrite=overwrite
        )

    def _store(self, given: Store | None) -> Store:
        found = given or _stores.get(str(self._frame.attrs.get(ATTRIBUTE)))
        if found is None:
            raise InvalidInput("This frame does not tell its store any more: say store=.")
        return found
