"""Many sessions deleted together, in one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nbsessions.bulk.reports import MEANWHILE, NOTHING_DONE, Left, Report, named
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Key
from nbsessions.text import counted
from nbsessions.transfers.exporting import export_folder, folder_files
from nbsessions.upkeep import check_owner
from nbsessions.values import micros, now
from nbsessions.workers import is_alive

if TYPE_CHECKING:
    from nbsessions.store import Store

_ANSWERING: Final = "an agent is answering in it"
_DRAFT: Final = "it has an unsaved draft, which drafts=True deletes, too"
_PATIENCE: Final = 1.0
"""What takes longer, in seconds, gets a bar."""
_FEW: Final = 100
"""So many are asked for one by one, instead of all that there are."""


def delete(
    store: Store,
    sessions: Sequence[SessionRecord],
    *,
    left: Sequence[Left] = (),
    drafts: bool = False,
    dry_run: bool = False,
    export: str | os.PathLike[str] | None = None,
) -> Report:
    """Delete sessions in one transaction, but for those that changed since they were read.

    Parameters
    ----------
    store : Store
    sessions : sequence of SessionRecord
        As they were read.
    left : sequence of Left
        Others, for the report.
    drafts : bool
        Also those with an unsaved draft.
    dry_run : bool
        Delete nothing, and say what would be.
    export : str, path or None
        A folder to write them into first.

    Raises
    ------
    NotOwner
        One of them is somebody else's; nothing was deleted.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> delete(store, [store.create("plan").record])
    Deleted 1 session with 0 messages: 'plan'. There is no undo; what was spent stays counted.
    """
    check_owner(sessions, store.owner)
    meant = [record for record in sessions if drafts or record.draft is None]
    stay = [*left, *(Left(record, _DRAFT) for record in sessions if not drafts and record.draft is not None)]
    if dry_run:
        busy = _answering(store, meant)
        stay += [Left(record, _ANSWERING) for record in meant if Key.of(record) in busy]
        meant = [record for record in meant if Key.of(record) not in busy]
    if export is not None:
        folder_files(meant, export)
    if not dry_run:
        if export is not None and meant:
            export_folder(store.backend, meant, export)
        meant, stayed = _deleted(store, meant)
        stay += stayed
    if not meant:
        return Report("Deleted no session.", [], stay, undo=NOTHING_DONE)
    messages = counted(sum(record.message_count for record in meant), "message")
    what = f"{counted(len(meant), 'session')} with {messages}: {named(meant)}."
    again = "There is no undo"
    if export is not None:
        again = f"`store.import_({os.fspath(export)!r})` brings them back"
    if dry_run:
        return Report(f"Would delete {what} {again}. Nothing was done.", meant, stay, undo=NOTHING_DONE)
    return Report(f"Deleted {what} {again}; what was spent stays counted.", meant, stay, undo=f"{again}.")


def _deleted(store: Store, meant: list[SessionRecord]) -> tuple[list[SessionRecord], list[Left]]:
    """Delete sessions that did not change, and return those that are gone and those that stayed."""
    # In the order in which they lie in the store: from all over it, it took twice the time.
    in_order = sorted(meant, key=lambda record: record.created_at)
    keys, seen = [Key.of(record) for record in in_order], [micros(record.updated_at) for record in in_order]
    if not keys or store.backend.delete(_Shown(keys, "delete"), seen=seen, at=micros(now())) == len(keys):
        return meant, []
    there = store.backend.get_all(keys)
    stayed = [
        Left(record, _ANSWERING if there[Key.of(record)].updated_at == record.updated_at else MEANWHILE)
        for record in meant
        if Key.of(record) in there
    ]
    return [record for record in meant if Key.of(record) not in there], stayed


def _answering(store: Store, sessions: Sequence[SessionRecord]) -> set[Key]:
    """Return which of these sessions have a run under way."""
    keys = {Key.of(record) for record in sessions}
    # One look at each of a few, or one at all that there are.
    asked: Iterable[Key | None] = keys if len(keys) < _FEW else [None]
    running = [run for key in asked for run in store.backend.runs(key, status="running")]
    return keys & {Key.of(run) for run in running if is_alive(run)}


class _Shown(Sequence[Key]):
    """Keys that show on a bar how many of them were taken."""

    def __init__(self, keys: Sequence[Key], what: str) -> None:
        self._keys, self._what = keys, what

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: Any) -> Any:
        return self._keys[index]

    def __iter__(self) -> Iterator[Key]:
        started = monotonic()
        for number, key in enumerate(self._keys):
            if monotonic() - started > _PATIENCE:
                yield from self._with_bar(number)
                return
            yield key

    def _with_bar(self, number: int) -> Iterator[Key]:
        from tqdm.auto import tqdm

        left = islice(self._keys, number, None)
        yield from tqdm(left, self._what, len(self._keys), initial=number, unit="session", leave=False)
