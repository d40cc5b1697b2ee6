"""What comes into a store and goes out of it: files of any format, and whole other stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbsessions.catalog import Catalog
from nbsessions.records import SessionRecord
from nbsessions.stores import open_backend

if TYPE_CHECKING:
    from nbsessions.transfers.migrating import Migration
    from nbsessions.transfers.reports import ImportReport


class Transfers(Catalog):
    """The part of a store that takes sessions in and gives them out; base of `Store`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:"), Transfers)
    True
    """

    def import_(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        format: str | None = None,
        rename: bool = False,
    ) -> ImportReport:
        """Take in the sessions of a file, of all files of a folder, or of those that a pattern names.

        What is imported twice is there once. A session that has grown since goes on; one that went another
        way here is not changed, and the other is kept on a fork of it. Importing can be stopped at any time,
        and done again: what came is whole.

        Parameters
        ----------
        path : str or path, or a sequence of them
            ``~`` and ``*`` are understood.
        format : str or None
            None: told from what a file holds.
        rename : bool
            A session of ours whose name another one has gets one like it, such as ``plan (2)``; without this
            it is refused. Titles, which other tools do not keep apart, are always numbered.

        Returns
        -------
        ImportReport
            A sequence of the sessions that came, and what is to be said of each file.

        Raises
        ------
        FormatError, SessionExists, InvalidInput
            Of a single file, where nothing of it could be taken; of several, the report says it.

        Examples
        --------
        >>> import nbsessions as nbs, tempfile
        >>> store, other = nbs.open_store("memory:"), nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = store.export("plan", Path(folder) / "plan.json")
        ...     [record.name for record in other.import_(path)]
        ['plan']
        """
        from nbsessions.transfers.sources import import_path, import_paths

        if isinstance(path, (str, os.PathLike)):
            return import_path(self.backend, self.owner, path, format=format, rename=rename)
        return import_paths(self.backend, self.owner, path, format=format, rename=rename)

    def export(
        self,
        ref: str | SessionRecord | Iterable[str | SessionRecord],
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        overwrite: bool = False,
        conversation_id: str | None = None,
    ) -> Path:
        """Write a session, or several, into a file; into a folder, each into a file of its own.

        Parameters
        ----------
        ref : str, SessionRecord, or iterable of them
        path : str or path
            Its suffix says in which format; in a folder it is `json`.
        format : str or None
        overwrite : bool
            Without it, a file that is there is refused.
        conversation_id : str or None
            Where sessions are named by text: the conversation that they are in. None: top level.

        Returns
        -------
        Path

        Raises
        ------
        SessionNotFound, AmbiguousSession, InvalidInput, StoreUnavailable, DamagedTurn

        Examples
        --------
        >>> import nbsessions as nbs, tempfile
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store.export("plan", Path(folder) / "plan.json").name
        'plan.json'
        """
        from nbsessions.transfers.exporting import export_sessions

        refs = [ref] if isinstance(ref, (str, SessionRecord)) else list(ref)
        records = [
            one if isinstance(one, SessionRecord) else self.record(one, conversation_id=conversation_id)
            for one in refs
        ]
        return export_sessions(self.backend, records, path, format=format, overwrite=overwrite)

    def export_parquet(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write usage, runs and sessions as Parquet files by month, for DuckDB, Spark and the like.

        ``usage/month=2026-11/usage.parquet`` has what each run spent on a day with a model: added up by
        anything, it gives the figures of `usage_df`. ``runs/`` and ``sessions/`` have the columns of
        `runs_df` and `sessions_df` without what was said: no prompts, no errors. Months are in UTC: of the
        day, of the run's start, of when the session was made. Costs are exact.

        Others may write meanwhile. All is read, so that what was imported or deleted since is right in
        every month; it is never all in memory. Each file is replaced whole, when all of them are written,
        and only where it says something else than the one that is there.

        Parameters
        ----------
        folder : str or path
            Made where there is none.
        overwrite : bool
            Bring an export that is there up to date; without it, it is refused.

        Returns
        -------
        Path

        Raises
        ------
        InvalidInput
            There is an export already, or something that would be read along with it.
        MissingExtra, StoreUnavailable

        Examples
        --------
        >>> import nbsessions as nbs, tempfile
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lake = store.export_parquet(Path(folder) / "lake")
        ...     sorted(path.name for path in lake.glob("*/month=*/*"))
        ['runs.parquet', 'sessions.parquet', 'usage.parquet']
        """
        from nbsessions.parquet import export_parquet

        return export_parquet(self.backend, folder, overwrite=overwrite)

    def migrate_to(
        self, url: str | os.PathLike[str], *, on_step: Callable[[int, int], None] | None = None
    ) -> Migration:
        """Put all that this store has into another one, and verify that; done again, it goes on.

        Raises
        ------
        InvalidInput, StoreUnavailable, StoreTooNew

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan")
        >>> print(store.migrate_to("memory:"))
        1 session was copied.
        0 turns, 1 session and 0 runs are whole.
        """
        from nbsessions.transfers.migrating import migrate

        target = open_backend(url)
        try:
            return migrate(self.backend, target, on_step)
        finally:
            target.close()
