"""Files of other tools, and what has to come out of them: each session as a plain JSON object."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions.formats import find
from nbsessions.formats.writing import messages_of
from nbsessions.records import Head
from nbsessions.stores.arguments import Bundle
from nbsessions.transfers.importing import take_in
from tests.formats.told import spent

GOLDEN = Path(__file__).parent / "golden"


def told(bundle: Bundle) -> dict[str, Any]:
    """Return all that a person would see of a session, without ids that follow from it."""
    record = bundle.record.model_dump(mode="json")
    kept = {
        "session_id": record["session_id"],
        **{
            name: record[name]
            for name in (
                "conversation_id",
                "parent_session_id",
                "name",
                "agent_name",
                "tags",
                "model",
                "created_at",
                "updated_at",
                "metadata",
                "state",
                "turn_count",
            )
            if record[name]
        },
        "title": bundle.title,
        "usage": spent(bundle.record.usage, bundle.runs),
        "messages": [message.to_dict() for message in messages_of(bundle)],
        "left": _left(bundle),
        "runs": [
            {
                "status": run.status,
                "model": run.model,
                "provider": run.provider,
                "prompt": run.prompt,
                "answered": run.turn_id is not None,
                "started_at": run.started_at.isoformat(),
                "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
                "usage": spent(run.usage, [run]),
                "error": run.error,
                "event_count": run.event_count,
                "events": [event.model_dump(mode="json") for event in bundle.events.get(run.run_id, ())],
            }
            for run in bundle.runs
        ],
    }
    return {key: value for key, value in kept.items() if value not in (None, [], {})}


def _left(bundle: Bundle) -> list[list[str]]:
    """Return the lines that the log leads back to: the texts of each."""
    parents = {turn.turn_id: turn.parent_id for turn in bundle.turns}
    ends = [entry.head.turn_id for entry in bundle.log]
    above = {parents[end] for end in parents}
    head = bundle.record.head.turn_id
    lines = []
    for end in dict.fromkeys(ends):
        if end is not None and end not in above and end != head:
            record = bundle.record.model_copy(update={"head": Head(end)})
            lines.append([message.text for message in messages_of(bundle._replace(record=record))])
    return lines


def check_golden(name: str, bundles: Iterable[Bundle]) -> None:
    """Hold sessions against the expected ones; NBSESSIONS_GOLDEN=write writes those, to be looked at."""
    path = GOLDEN / name
    found = json.loads(json.dumps([told(bundle) for bundle in bundles]))
    if os.environ.get("NBSESSIONS_GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(path.read_text())


def sessions(format_name: str, path: Path) -> list[Bundle]:
    """Return the sessions of a file, which reading must not change."""
    read = find(format_name).read
    assert read is not None
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())
    try:
        return list(read(path))
    finally:
        assert path.read_bytes() == before
        assert sorted(path.parent.iterdir()) == beside


def written(format_name: str, bundle: Bundle, path: Path) -> Path:
    write = find(format_name).write
    assert write is not None
    with open(path, "wb") as file:
        write([bundle], file)
    return path


def database(script: Path, path: Path) -> Path:
    """Make a database of SQL."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"BEGIN; {script.read_text()} COMMIT;")
    return path


def taken_in(*times: Iterable[Bundle]) -> tuple[list[list[str]], nbs.Store]:
    """Take sessions in, each lot after the other; return what became of each, and the store."""
    store = nbs.open_store("memory:")
    how = [[str(take_in(store.backend, bundle, "ada").how) for bundle in bundles] for bundles in times]
    assert store.verify().ok
    return how, store


@contextmanager
def timezone(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Be elsewhere."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()
