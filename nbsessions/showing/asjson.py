"""What a command answered, as JSON for other programs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nbsessions.listings import Listing, Told
from nbsessions.reprs import Conversation
from nbsessions.showing import encoding
from nbsessions.transfers.reports import ImportReport

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.session import Session

# What JSON may hold as it is, and a terminal or a reader takes for something else.
_ACTS = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def dumped(found: object, session: Session | None, spell: Callable[[str], str]) -> str:
    """Return an answer as JSON: records with full ids and ISO times, the rest as objects.

    Parameters
    ----------
    found : object
        What `commands.run` returned.
    session : Session or None
        The current one, which goes with what was told.
    spell : callable
        Spells the commands that a text names as the face does.

    Examples
    --------
    >>> print(dumped("Removed 0 turns.", None, str))
    {
      "message": "Removed 0 turns."
    }
    """
    ascii_only = not encoding().lower().startswith("utf")
    text = json.dumps(_answer(found, session, spell), ensure_ascii=ascii_only, indent=2, default=_plain)
    return _ACTS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def frame_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as JSON has them: times in ISO, null where something is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> frame_rows(pd.DataFrame({"day": pd.to_datetime(["2026-11-28"], utc=True), "cost": [None]}))
    [{'day': '2026-11-28T00:00:00Z', 'cost': None}]
    """
    text = frame.to_json(orient="records", date_format="iso", date_unit="s", default_handler=str)
    found: list[dict[str, Any]] = json.loads(text)
    return found


def _answer(found: object, session: Session | None, spell: Callable[[str], str]) -> Any:
    if isinstance(found, Listing):
        return [_plain(row) for row in found.read()]
    if isinstance(found, str):
        told: dict[str, Any] = {"message": spell(found)}
        told |= {} if session is None else {"session": session.record}
        return told | (found.data if isinstance(found, Told) else {})
    if isinstance(found, ImportReport):
        return {"ok": found.ok, "files": found.files, "skipped": found.skipped}
    if isinstance(found, Conversation):
        return {"session": None if session is None else session.record, "messages": found.messages}
    facts = getattr(found, "facts", None)
    if isinstance(facts, Mapping):
        return facts
    summary: str | None = getattr(found, "summary", None)
    if summary is not None:  # a table, whose type would load pandas
        return {"rows": frame_rows(cast("pd.DataFrame", found)), "summary": summary}
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
