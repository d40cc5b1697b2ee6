"""Many sessions deleted together, in one transaction; and the report of what was done with several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbsessions.exceptions import InvalidInput, NotOwner
from nbsessions.exporting import export_folder, folder_files
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Key
from nbsessions.text import counted, one_line
from nbsessions.values import micros, now
from nbsessions.workers import is_alive

if TYPE_CHECKING:
    from nbsessions.store import Store

NOTHING_DONE: Final = "Nothing was done, so there is nothing to undo."
GONE: Final = "gone"
CHANGED: Final = "changed since it was listed: list it again"
MEANWHILE: Final = "changed meanwhile"
_ANSWERING: Final = "an agent is answering in it"
_DRAFT: Final = "it has an unsaved draft, which drafts=True deletes, too"
NAMED: Final = 5
_PATIENCE: Final = 1.0
"""What takes longer, in seconds, gets a bar."""
_FEW: Final = 100
"""So many are asked for one by one, instead of all that there are."""


class Left(NamedTuple):
    """A session that was left alone, and why."""

    session: SessionRecord
    reason: str


class Report(Sequence[SessionRecord]):
    """What was done with several sessions: a sequence of those that it was done to.

    Parameters
    ----------
    done : str
        One line.
    sessions : sequence of SessionRecord
        As they were, where they are deleted; else as they are now.
    left : sequence of Left
        Those that were left alone.
    undo : callable or str
        What takes it back, or one line that says why nothing does.

    Attributes
    ----------
    left : list of Left

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> report = delete(store, [store.create("plan").record])
    >>> len(report), report[0].name, report.left
    (1, 'plan', [])
    """

    def __init__(
        self,
        done: str,
        sessions: Sequence[SessionRecord],
        left: Sequence[Left] = (),
        *,
        undo: Callable[[], Report] | str,
    ) -> None:
        self._done, self._sessions, self.left = done, list(sessions), list(left)
        self._undo = undo

    @property
    def can_undo(self) -> bool:
        """Whether `undo` can take back what was done."""
        return not isinstance(self._undo, str)

    def undo(self) -> Report:
        """Take back what was done, where nobody changed it since; once.

        Returns
        -------
        Report
            Whose `undo` does it again.

        Raises
        ------
        InvalidInput
            It cannot be taken back, or was already.
        SessionExists
            A name is taken since; nothing was done.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> delete(store, [store.create("plan").record]).undo()
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: There is no undo.
        """
        if isinstance(self._undo, str):
            raise InvalidInput(self._undo)
        report = self._undo()
        self._undo = "It was undone already."
        return report

    def __len__(self) -> int:
        return len(self._sessions)

    def __getitem__(self, index: Any) -> Any:
        return self._sessions[index]

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._sessions)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [self._done]
        for reason in dict.fromkeys(left.reason for left in self.left):
            alike = [left.session for left in self.left if left.reason == reason]
            lines.append(f"Left alone, {counted(len(alike), 'session')} ({reason}): {named(alike)}.")
        return "\n".join(lines)


def named(sessions: Sequence[SessionRecord]) -> str:
    """Return the names of the first few sessions.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> named([store.create(f"plan {n}").record for n in range(7)])
    "'plan 0', 'plan 1', 'plan 2', 'plan 3', 'plan 4' and 2 more"
    """
    return listed([quoted(record.label) for record in sessions[:NAMED]], len(sessions))


def listed(texts: Sequence[str], count: int) -> str:
    """Return the first few of so many texts, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"], 3)
    'a, b and 1 more'
    """
    shown = texts[:NAMED]
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return ", ".join(shown) + more


def quoted(name: str) -> str:
    """Return a name in quotes, on one line.

    Examples
    --------
    >>> quoted("plan")
    "'plan'"
    """
    return repr(one_line(name, 60))


def check_owner(store: Store, sessions: Sequence[SessionRecord]) -> None:
    """Refuse sessions of which one is somebody else's.

    Raises
    ------
    NotOwner

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> record = store.create("plan").record
    >>> store.owner = "bob"
    >>> check_owner(store, [record])
    Traceback (most recent call last):
    nbsessions.exceptions.NotOwner: Session 'plan' belongs to ...
    """
    for record in sessions:
        if record.owner != store.owner:
            raise NotOwner(record.label, record.owner)


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
    check_owner(store, sessions)
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
