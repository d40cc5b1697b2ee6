"""
git for agent conversations, inside your notebook.

``%load_ext nbsessions`` gives ``%%agent``, ``%agent`` and ``%session``. From Python::

    import nbsessions as nbs

    with nbs.open_store() as store:
        session = store.create("research")
        session.send("Hello")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbsessions import bridges as bridges
    from nbsessions.adapters import adapt
    from nbsessions.delegating import as_tool, delegate
    from nbsessions.exceptions import (
        AgentError,
        AgentUnavailable,
        AmbiguousSession,
        DamagedRun,
        DamagedSession,
        DamagedTurn,
        FormatError,
        InvalidInput,
        LimitReached,
        MissingExtra,
        NbsessionsError,
        NotOwner,
        NotSessions,
        RunCancelled,
        RunError,
        RunFailed,
        RunNotFound,
        SessionBusy,
        SessionConflict,
        SessionError,
        SessionExists,
        SessionNotFound,
        StoreError,
        StoreTooNew,
        StoreUnavailable,
        UnsupportedAgent,
    )
    from nbsessions.finding import Hit
    from nbsessions.frames import (
        columns,
        events_df,
        messages_df,
        runs_df,
        sessions_df,
        tool_calls_df,
        usage_df,
    )
    from nbsessions.keyvalues import KeyValues
    from nbsessions.limits import Limits
    from nbsessions.permissions import Decision, Policy, ToolQuestion, later
    from nbsessions.pricing.own import Price, prices, set_price
    from nbsessions.records import (
        Checkpoint,
        Event,
        EventPage,
        Head,
        LogEntry,
        Message,
        Run,
        SessionPage,
        SessionRecord,
        Share,
        Spent,
        Step,
        Turn,
        Usage,
    )
    from nbsessions.repricing import Repricing
    from nbsessions.session import Session
    from nbsessions.store import Store, open_store
    from nbsessions.verifying import Damage, Verification
    from nbsessions.widgets.conversation import ConversationView
    from nbsessions.widgets.picker import SessionPicker
    from nbsessions.widgets.replay import RunReplay
    from nbsessions.widgets.table import HistoryTable

__version__ = "0.8.1"

_EXCEPTIONS = """
    AgentError AgentUnavailable AmbiguousSession DamagedRun DamagedSession DamagedTurn FormatError
    InvalidInput LimitReached MissingExtra NbsessionsError NotOwner NotSessions RunCancelled RunError
    RunFailed RunNotFound
    SessionBusy SessionConflict SessionError SessionExists SessionNotFound StoreError StoreTooNew
    StoreUnavailable UnsupportedAgent
"""
_RECORDS = """
    Checkpoint Event EventPage Head LogEntry Message Run SessionPage SessionRecord Share Spent Step Turn Usage
"""
_FRAMES = "columns events_df messages_df runs_df sessions_df tool_calls_df usage_df"
# Where each public name lives: nothing is imported before it is asked for.
_HOMES = {
    **dict.fromkeys(_EXCEPTIONS.split(), "exceptions"),
    **dict.fromkeys(_RECORDS.split(), "records"),
    **dict.fromkeys(_FRAMES.split(), "frames"),
    "ConversationView": "widgets.conversation",
    "Damage": "verifying",
    "Decision": "permissions",
    "Hit": "finding",
    "HistoryTable": "widgets.table",
    "KeyValues": "keyvalues",
    "Limits": "limits",
    "Policy": "permissions",
    "Price": "pricing.own",
    "Repricing": "repricing",
    "RunReplay": "widgets.replay",
    "Session": "session",
    "SessionPicker": "widgets.picker",
    "Store": "store",
    "ToolQuestion": "permissions",
    "Verification": "verifying",
    "adapt": "adapters",
    "as_tool": "delegating",
    "delegate": "delegating",
    "later": "permissions",
    "prices": "pricing.own",
    "set_price": "pricing.own",
    "open_store": "store",
}

__all__ = [
    "AgentError",
    "AgentUnavailable",
    "AmbiguousSession",
    "Checkpoint",
    "ConversationView",
    "Damage",
    "DamagedRun",
    "DamagedSession",
    "DamagedTurn",
    "Decision",
    "Event",
    "EventPage",
    "FormatError",
    "Head",
    "HistoryTable",
    "Hit",
    "InvalidInput",
    "KeyValues",
    "LimitReached",
    "Limits",
    "LogEntry",
    "Message",
    "MissingExtra",
    "NbsessionsError",
    "NotOwner",
    "NotSessions",
    "Policy",
    "Price",
    "Repricing",
    "Run",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunNotFound",
    "RunReplay",
    "Session",
    "SessionBusy",
    "SessionConflict",
    "SessionError",
    "SessionExists",
    "SessionNotFound",
    "SessionPage",
    "SessionPicker",
    "SessionRecord",
    "Share",
    "Spent",
    "Step",
    "Store",
    "StoreError",
    "StoreTooNew",
    "StoreUnavailable",
    "ToolQuestion",
    "Turn",
    "UnsupportedAgent",
    "Usage",
    "Verification",
    "adapt",
    "as_tool",
    "columns",
    "delegate",
    "events_df",
    "later",
    "messages_df",
    "open_store",
    "prices",
    "runs_df",
    "sessions_df",
    "set_price",
    "tool_calls_df",
    "usage_df",
]


def __getattr__(name: str) -> Any:
    if name == "bridges":
        return import_module(f"{__name__}.bridges")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "bridges"})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%%agent``, ``%agent`` and ``%session`` to a shell: what ``%load_ext nbsessions`` calls."""
    from nbsessions.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take all of it away again: what ``%unload_ext nbsessions`` calls."""
    from nbsessions.magics import unload

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from nbsessions.server.extension import NbsessionsApp

    return [{"module": "nbsessions.server", "app": NbsessionsApp}]
