"""Widgets: a session picker, a table of sessions, a conversation, a run replayed."""

from __future__ import annotations

from nbsessions.widgets.conversation import ConversationView
from nbsessions.widgets.picker import SessionPicker
from nbsessions.widgets.replay import RunReplay
from nbsessions.widgets.table import HistoryTable

__all__ = ["ConversationView", "HistoryTable", "RunReplay", "SessionPicker"]
