"""
What a store holds as DataFrames, their columns declared in one place (`sheets`).

Nothing here is held against checksums row by row, so that a million sessions take seconds: `verify` does
that. What cannot be read at all is told by a warning, and left out. Others may write meanwhile: each row is
as it was when its piece of the frame was read.
"""

from __future__ import annotations

from nbsessions.frames.reading import columns, frame, of_session
from nbsessions.frames.sheets import (
    CHECKPOINTS,
    CONTEXT,
    EVENTS,
    HITS,
    MESSAGES,
    RUNS,
    SESSIONS,
    TOOL_CALLS,
    USAGE,
    Column,
    Sheet,
)
from nbsessions.frames.tables import (
    events_df,
    messages_df,
    runs_df,
    sessions_df,
    tool_calls_df,
    usage_df,
)

__all__ = [
    "CHECKPOINTS",
    "CONTEXT",
    "Column",
    "EVENTS",
    "HITS",
    "MESSAGES",
    "RUNS",
    "SESSIONS",
    "Sheet",
    "TOOL_CALLS",
    "USAGE",
    "columns",
    "events_df",
    "frame",
    "messages_df",
    "of_session",
    "runs_df",
    "sessions_df",
    "tool_calls_df",
    "usage_df",
]
