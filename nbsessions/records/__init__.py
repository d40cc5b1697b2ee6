"""What is stored: messages, turns, sessions, runs, events, usage."""

from __future__ import annotations

from nbsessions.records.messages import MESSAGES, Call, Message, Role, Timestamp, parse_messages
from nbsessions.records.runs import TERMINAL, Event, EventPage, Run, RunStatus
from nbsessions.records.sessions import Checkpoint, Head, LogEntry, SessionPage, SessionRecord, SessionReport
from nbsessions.records.turns import Step, Turn
from nbsessions.records.unchecked import trusted
from nbsessions.records.usage import NOTHING, Bill, Share, Spent, Usage, billed, shares_of

__all__ = [
    "Bill",
    "Call",
    "Checkpoint",
    "Event",
    "EventPage",
    "Head",
    "LogEntry",
    "MESSAGES",
    "Message",
    "NOTHING",
    "Role",
    "Run",
    "RunStatus",
    "SessionPage",
    "SessionRecord",
    "SessionReport",
    "Share",
    "Spent",
    "Step",
    "TERMINAL",
    "Timestamp",
    "Turn",
    "Usage",
    "billed",
    "parse_messages",
    "shares_of",
    "trusted",
]
