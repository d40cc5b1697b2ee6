"""What a command answered, as JSON for other programs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbsessions.cli.spelling import spell
from nbsessions.listings import Listing, Told
from nbsessions.reprs import Conversation
from nbsessions.showing import encoding
from nbsessions.transfers.reports import ImportReport

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace

# What JSON may hold as it is, and a terminal or a reader takes for something else.
_ACTS = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def dumped(found: object, workspace: Workspace) -> str:
    """Return an answer as JSON: records with full ids and ISO times, the rest as objects.

    Examples
    --------
    >>> from nbsessions.workspace import Workspace
    >>> print(dumped("Removed 0 turns.", Workspace()))
    {
      "message": "Removed 0 turns."
    }
    """
    ascii_only = not encoding().lower().startswith("utf")
    text = json.dumps(_answer(found, workspace), ensure_ascii=ascii_only, indent=2, default=_plain)
    return _ACTS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _answer(found: object, workspace: Workspace) -> Any:
    if isinstance(found, Listing):
        return [_plain(row) for row in found.read()]
    if isinstance(found, str):
        told: dict[str, Any] = {"message": spell(found)}
        session = workspace.session
        told |= {} if session is None else {"session": session.record}
        return told | (found.data if isinstance(found, Told) else {})
    if isinstance(found, ImportReport):
        return {"ok": found.ok, "files": found.files, "skipped": found.skipped}
    if isinstance(found, Conversation):
        shown = None if workspace.session is None else workspace.session.record
        return {"session": shown, "messages": found.messages}
    facts = getattr(found, "facts", None)
    if isinstance(facts, Mapping):
        return facts
    if hasattr(found, "summary"):
        rows = json.loads(found.to_json(orient="records", date_format="iso", date_unit="s"))  # type: ignore[attr-defined]
        return {"rows": rows, "summary": found.summary}
    return _plain(found)


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        ok = getattr(value, "ok", None)
        return named if ok is None else {"ok": ok, **named}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
