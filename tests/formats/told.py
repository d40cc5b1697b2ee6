"""What tests ask of a session that a reader made, and the golden files that hold it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nbsessions import NbsessionsError
from nbsessions.codecs import codec
from nbsessions.records import Run, Usage
from nbsessions.stores.arguments import Bundle

GOLDEN = Path(__file__).parent / "golden"


def messages_of(bundle: Bundle) -> list[dict[str, Any]]:
    """Return the messages up to the head."""
    turns = {turn.turn_id: turn for turn in bundle.turns}
    found: list[dict[str, Any]] = []
    turn_id = bundle.record.head.turn_id
    while turn_id is not None:
        turn = turns[turn_id]
        found = [message.to_dict() for message in codec(turn.codec).view(turn.body)] + found
        turn_id = turn.parent_id
    return found


def texts_of(bundle: Bundle) -> list[str]:
    """Return what is said up to the head, a word for what has no text."""
    return [str(message["content"] or message["role"]) for message in messages_of(bundle)]


def told(bundle: Bundle) -> dict[str, Any]:
    """Return a session as people see it: turns by number, so that it can be read."""
    record = bundle.record
    number: dict[str | None, int | None] = {turn.turn_id: at for at, turn in enumerate(bundle.turns)}
    number[None] = None
    kept = record.model_dump(mode="json", exclude={"owner", "head", "usage"}, exclude_defaults=True)
    return {
        "session": kept | {"usage": spent(record.usage, bundle.runs), "head": number[record.head.turn_id]},
        "turns": [
            {
                "parent": number[turn.parent_id],
                "codec": turn.codec,
                "messages": [message.to_dict() for message in codec(turn.codec).view(turn.body)],
            }
            for turn in bundle.turns
        ],
        "log": [number[entry.head.turn_id] for entry in bundle.log],
        "runs": [
            run.model_dump(mode="json", include={"model", "provider", "status", "prompt", "error"})
            | {
                "turn": number[run.turn_id],
                "base": number[run.base.turn_id],
                "usage": spent(run.usage, [run]),
            }
            | {"started_at": run.started_at.isoformat(), "finished_at": str(run.finished_at)}
            for run in bundle.runs
        ],
        "checkpoints": [(made.name, number[made.head.turn_id]) for made in bundle.checkpoints],
    }


def spent(usage: Usage, runs: Iterable[Run]) -> dict[str, Any]:
    """Return what runs spent; a cost that no file told follows from prices, which others keep."""
    is_told = all(run.priced_by in (None, "source") for run in runs)
    left_out = {"unpriced_tokens"} if is_told else {"unpriced_tokens", "cost"}
    return usage.model_dump(mode="json", exclude_defaults=True, exclude=left_out)


def check_golden(name: str, bundles: Iterable[Bundle]) -> None:
    """Hold sessions against a golden file; with ``NBSESSIONS_GOLDEN=write`` they become what it says."""
    path = GOLDEN / name
    found = json.dumps([told(bundle) for bundle in bundles], indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("NBSESSIONS_GOLDEN") == "write":
        path.write_text(found, encoding="utf-8")
    assert json.loads(found) == json.loads(path.read_text(encoding="utf-8"))


def ids_of(bundles: Iterable[Bundle]) -> list[tuple[str, list[str], list[str]]]:
    """Return every id: of the sessions, their turns and their runs."""
    return [
        (bundle.record.session_id, [t.turn_id for t in bundle.turns], [r.run_id for r in bundle.runs])
        for bundle in bundles
    ]


def reads_or_refuses(read: Callable[[Path], Iterable[Bundle]], path: Path) -> list[Bundle] | None:
    """Return what a reader makes of a file; None where it says in one line what is wrong with it."""
    bundles: list[Bundle] = []
    refused: NbsessionsError | None = None
    try:
        bundles = list(read(path))
    except NbsessionsError as error:
        refused = error
    assert "\n" not in str(refused)
    if refused is not None:
        return None
    for bundle in bundles:
        json.dumps(told(bundle))
    return bundles
