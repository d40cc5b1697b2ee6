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

    from nbsessions.exceptions import (
        AgentError,
        AgentUnavailable,
        AmbiguousSession,
        DamagedTurn,
        InvalidInput,
        MissingExtra,
        NbsessionsError,
        RunCancelled,
        RunError,
        RunFailed,
        RunNotFound,
        SessionConflict,
        SessionError,
        SessionExists,
        SessionNotFound,
        StoreError,
        StoreTooNew,
        StoreUnavailable,
        UnsupportedAgent,
    )
    from nbsessions.records import Event, Head, LogEntry, Message, Run, SessionRecord, Turn, Usage
    from nbsessions.session import Session
    from nbsessions.store import Store, open_store

__version__ = "0.1.0"

_EXCEPTIONS = """
    AgentError AgentUnavailable AmbiguousSession DamagedTurn InvalidInput MissingExtra NbsessionsError
    RunCancelled RunError RunFailed RunNotFound SessionConflict SessionError SessionExists
    SessionNotFound StoreError StoreTooNew StoreUnavailable UnsupportedAgent
"""
_RECORDS = "Event Head LogEntry Message Run SessionRecord Turn Usage"
# Where each public name lives: nothing is imported before it is asked for.
_HOMES = {
    **dict.fromkeys(_EXCEPTIONS.split(), "exceptions"),
    **dict.fromkeys(_RECORDS.split(), "records"),
    "Session": "session",
    "Store": "store",
    "open_store": "store",
}

__all__ = [
    "AgentError",
    "AgentUnavailable",
    "AmbiguousSession",
    "DamagedTurn",
    "Event",
    "Head",
    "InvalidInput",
    "LogEntry",
    "Message",
    "MissingExtra",
    "NbsessionsError",
    "Run",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunNotFound",
    "Session",
    "SessionConflict",
    "SessionError",
    "SessionExists",
    "SessionNotFound",
    "SessionRecord",
    "Store",
    "StoreError",
    "StoreTooNew",
    "StoreUnavailable",
    "Turn",
    "UnsupportedAgent",
    "Usage",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%%agent``, ``%agent`` and ``%session`` to a shell: what ``%load_ext nbsessions`` calls."""
    from nbsessions.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take all of it away again: what ``%unload_ext nbsessions`` calls."""
    from nbsessions.magics import unload

    unload(shell)
