"""All that a store tells, part by part, so that two stores can be compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbsessions as nbs
from nbsessions import DamagedTurn, NbsessionsError, Session, StoreError
from nbsessions.recorder import describe
from nbsessions.stores.base import Key

Part = tuple[str, str]
"""A session's id and what of it, such as ``messages``."""
WHOLE = ("", "store")
OPEN = ("", "opened")
NOTEBOOKS = [f"/home/ada/quarter-{number}.ipynb" for number in range(6)]
WINDOW = 6
"""So many of the last messages are read without the others."""


class Failure(NamedTuple):
    """A part that could not be read."""

    part: Part
    error: BaseException

    @property
    def kind(self) -> str:
        """Return ``named``: says what is damaged; ``misnamed``: ours, and says something else; ``untyped``."""
        if not isinstance(self.error, NbsessionsError):
            return "untyped"
        damage = ("damaged", "no database", "another program", "Could not decode", "schema", "cannot be read")
        named = isinstance(self.error, StoreError) and any(word in str(self.error) for word in damage)
        return "named" if named else "misnamed"

    def __str__(self) -> str:
        kind = type(self.error).__name__
        text = describe(self.error)
        return text if text.startswith(kind) else f"{kind}: {text}"


class Reading(NamedTuple):
    """What was read of a store, and what was not."""

    parts: dict[Part, Any]
    failures: list[Failure]


def read(path: Path) -> Reading:
    """Read all that there is; an error of one part keeps nobody from the next."""
    found = Reading({}, [])
    try:
        store = _try(found, OPEN, lambda: nbs.open_store(path))
        found.parts.pop(OPEN, None)
        if store is None:
            return found
        with store:
            records = _try(found, WHOLE, lambda: store.list(None, conversation_id="*")) or []
            if WHOLE in found.parts:
                found.parts[WHOLE] = [Key.of(record) for record in records]
            for record in records:
                _read_session(found, store, record, told=WHOLE not in found.parts)
            for notebook in NOTEBOOKS:
                _try(found, (notebook, "visit"), lambda: store.backend.last_visit("ada", notebook))  # noqa: B023
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        found.failures.append(Failure(WHOLE, error))
    return found


def _try(found: Reading, part: Part, call: Callable[[], Any]) -> Any:
    """Read a part; what a warning is told of counts as refused, and what is left of it is read on."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            found.failures.append(Failure(part, error))
            return None
    found.failures.extend(Failure(part, StoreError(str(warning.message))) for warning in told)
    if not told:
        found.parts[part] = value
    return value


def _read_session(found: Reading, store: nbs.Store, record: nbs.SessionRecord, *, told: bool) -> None:
    one = record.session_id
    if not told:
        found.parts[one, "record"] = record
    session: Session | None = _try(
        found, (one, "resume"), lambda: store.resume(one, conversation_id=record.conversation_id)
    )
    if session is None:
        return
    if (one, "resume") in found.parts:
        found.parts[one, "resume"] = session.record
    _try(found, (one, "messages"), lambda: session.messages)
    again = _try(found, (one, "again"), lambda: store.resume(one, conversation_id=record.conversation_id))
    if again is not None:
        found.parts[one, "again"] = again.record
        _try(found, (one, "window"), lambda: again.history(WINDOW))
    _try(found, (one, "turns"), lambda: session.turns)
    _try(found, (one, "state"), lambda: session.state)
    _try(found, (one, "log"), session.log)
    runs = _try(found, (one, "runs"), session.runs)
    if (one, "runs") in found.parts:
        _try(found, (one, "events"), lambda: [_events(session, run.run_id) for run in runs])
        _try(found, (one, "progress"), lambda: [store.backend.progress(run.run_id) for run in runs])
    _try(found, (one, "checkpoints"), session.checkpoints)
    _try(found, (one, "values"), lambda: dict(session.kv()))
    if record.draft is not None:
        _try(found, (one, "draft"), lambda: store.resume(one, draft=True).messages)


def _events(session: Session, run_id: str) -> list[nbs.Event]:
    page = session.run_events(run_id)
    if page.gap:
        raise StoreError(f"Run {run_id} is damaged: events are missing")
    return list(page)


def differences(before: Any, after: Any, name: str) -> Iterator[str]:
    """Yield the names of the fields that differ, such as ``runs.prompt``."""
    if before == after:
        return
    fields = _fields(before)
    if fields is not None and type(before) is type(after):
        for field in fields:
            yield from differences(getattr(before, field), getattr(after, field), f"{name}.{field}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from differences(one, other, name)
    else:
        yield name


def _fields(value: Any) -> list[str] | None:
    if isinstance(value, nbs.records.Head):
        return None
    names = getattr(value, "_fields", None) or getattr(type(value), "model_fields", None)
    return None if names is None else [*names]


def damaged_turns(failures: list[Failure]) -> set[str]:
    """Return the ids of the turns that are named as damaged."""
    return {failure.error.turn_id for failure in failures if isinstance(failure.error, DamagedTurn)}
