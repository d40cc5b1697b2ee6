"""What a person can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nbsessions.moving import OnConflict

Rerun = Literal["replace", "append", "replay"]


@dataclass
class Settings:
    """What a person can set for a whole notebook; ``%config SessionMagics`` shows the same.

    Examples
    --------
    >>> Settings().rerun
    'replace'
    """

    store: str | None = None
    agent: str | None = None
    model: str | None = None
    autosave: bool = True
    auto_resume: bool = True
    rerun: Rerun = "replace"
    on_conflict: OnConflict = "fork"
    max_messages: int | None = None
    max_tokens: int | None = None
    max_events: int | None = None
    redact_secrets: bool | list[str] = True
    compact_at: int | None = None
    compact_with: str | None = None
    max_cost: str | None = None
    max_requests: str | None = None
    max_total_tokens: str | None = None
