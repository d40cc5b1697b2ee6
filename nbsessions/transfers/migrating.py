"""All that a store has, put into another one: again, where it was stopped, until it is done."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nbsessions.bundles import gather
from nbsessions.exceptions import InvalidInput, NbsessionsError, SessionError, StoreError
from nbsessions.formats.stable import stable_id
from nbsessions.records import Run, SessionRecord
from nbsessions.stores.base import Backend, Bundle, Documents, Key, Query
from nbsessions.text import counted
from nbsessions.transfers.importing import take_in
from nbsessions.values import now
from nbsessions.verifying import Verification, verify

_RUNS: Final = 500
_SPENT: Final = stable_id("migrate", "spent")


@dataclass
class Migration:
    """What became of a migration.

    Attributes
    ----------
    copied, present : int
        Sessions that were put there, and that were there already.
    spent : int
        Runs of deleted sessions, of which only what they spent is kept.
    refused : list of str
        Sessions that could not be put there, and why.
    verification : Verification or None
        What was found wrong with the store that all went to.

    Examples
    --------
    >>> print(Migration(copied=2, present=1))
    2 sessions were copied, 1 was there already.
    """

    copied: int = 0
    present: int = 0
    spent: int = 0
    refused: list[str] = field(default_factory=list)
    verification: Verification | None = None

    @property
    def ok(self) -> bool:
        """Whether all of it is there, and whole."""
        return not self.refused and (self.verification is None or self.verification.ok)

    def __str__(self) -> str:
        were = "was" if self.copied == 1 else "were"
        first = f"{counted(self.copied, 'session')} {were} copied"
        first += (
            f", {self.present:,} {'was' if self.present == 1 else 'were'} there already."
            if self.present
            else "."
        )
        lines = [first, *(f"  refused: {reason}" for reason in self.refused)]
        lines += [] if self.verification is None else [str(self.verification)]
        return "\n".join(lines)


def migrate(source: Backend, target: Backend, on_step: Callable[[int, int], None] | None = None) -> Migration:
    """Put all sessions of a store into another, with their owners, logs and runs, and verify that.

    What is there already is passed by, so that it can be stopped and done again. Turns that no session
    stands on stay behind, and so do the visits of notebooks.

    Parameters
    ----------
    source, target : Backend
    on_step : callable or None
        Called with how many sessions are done, and how many there are.

    Raises
    ------
    InvalidInput
        Both are the same store.
    StoreUnavailable

    Examples
    --------
    >>> import nbsessions as nbs
    >>> source, target = nbs.open_store("memory:"), nbs.open_store("memory:")
    >>> _ = source.create("plan")
    >>> migrate(source.backend, target.backend).copied
    1
    """
    if source is target or (source.persistent and source.url == target.url):
        raise InvalidInput("A store cannot be migrated into itself.")
    result = Migration()
    # What cannot be read of a store is told by warnings, and left out.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # Forks come after what they began from, and the newest, which is `latest`, last.
        records = source.find(Query(conversation_id=None))[::-1]
        for number, record in enumerate(records):
            if on_step is not None:
                on_step(number, len(records))
            try:
                _migrate_session(source, target, record, result)
            except (InvalidInput, SessionError) as error:
                result.refused.append(_told(record, error))
            except StoreError as error:
                if isinstance(error, OSError):  # the store itself, and not this session
                    raise
                result.refused.append(_told(record, error))
        result.spent = _migrate_spent(source, target)
    result.refused += dict.fromkeys(str(warning.message) for warning in told)
    result.verification = verify(target)
    if on_step is not None:
        on_step(len(records), len(records))
    return result


def _told(record: SessionRecord, error: NbsessionsError) -> str:
    return f"{record.label}: {error}"


def _migrate_session(source: Backend, target: Backend, record: SessionRecord, result: Migration) -> None:
    stored = target.get(Key.of(record))
    if stored == record:
        result.present += 1
        _bring_documents(source, target, Key.of(record))
        return
    bundle = gather(source, Key.of(record))
    if stored is None:
        target.restore(bundle)
        _bring_documents(source, target, Key.of(record))
        result.copied += 1
    elif take_in(target, bundle, record.owner).how == "present":
        result.present += 1
    else:
        result.copied += 1


def _bring_documents(source: Backend, target: Backend, key: Key) -> None:
    """Put documents where there are none yet: they are no part of a bundle, which may come from anywhere."""
    found = source.documents(key)
    if found and not target.documents(key, Documents(limit=1)):
        target.put_documents(key, found)


def _migrate_spent(source: Backend, target: Backend) -> int:
    """Bring along what the runs of deleted sessions spent, as those of a session that is deleted, too."""
    target.delete([Key("", _SPENT)])
    runs = [run for run in source.runs() if not run.session_id and target.get_run(run.run_id) is None]
    for start in range(0, len(runs), _RUNS):
        _bring_spent(target, runs[start : start + _RUNS])
    return len(runs)


def _bring_spent(target: Backend, runs: list[Run]) -> None:
    at = now()
    # Always the same: where it was stopped before it deleted that session, the next one does.
    record = SessionRecord(
        session_id=_SPENT, agent_name="deleted", owner="deleted", created_at=at, updated_at=at
    )
    belonging = [run.model_copy(update={"session_id": record.session_id}) for run in runs]
    target.restore(Bundle(record, runs=belonging))
    target.delete([Key.of(record)])
