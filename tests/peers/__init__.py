"""The stores that ours is measured beside: each by its own documented calls, in one environment of their own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.peers.base import Peer


class Known(NamedTuple):
    """One that can be measured: nothing of it is imported before it is opened."""

    title: str
    """What the tables call it."""
    where: str
    """Its class, as ``module:Name``."""
    package: str = ""
    """What is installed for it, with its version; empty: it needs what we need."""

    def kind(self) -> type[Peer]:
        """Import its class."""
        module, _, name = self.where.partition(":")
        kind: type[Peer] = getattr(import_module(f"tests.peers.{module}"), name)
        return kind

    def open(self, place: str | Path) -> Peer:
        """Open or make its store: in a folder, or, where it is a server's, at a URL."""
        return self.kind()(place)


PEERS = {
    "sqlite": Known("nbsessions, SQLite", "ours:SQLite"),
    "file": Known("nbsessions, files", "ours:Files"),
    "memory": Known("nbsessions, memory", "ours:Memory"),
    "postgresql": Known("nbsessions, PostgreSQL", "ours:Postgres"),
    "sqlite3": Known("raw sqlite3", "floors:RawSqlite"),
    "json": Known("a plain JSON file", "floors:JsonFile"),
    "openai": Known("OpenAI Agents SQLiteSession", "openai_agents:Plain", "openai-agents==0.24.0"),
    "openai-advanced": Known(
        "OpenAI Agents AdvancedSQLiteSession", "openai_agents:Advanced", "openai-agents==0.24.0"
    ),
    "langgraph": Known(
        "LangGraph SqliteSaver", "langgraph:Saver", "langgraph-checkpoint-sqlite==3.1.2 langgraph==1.2.24"
    ),
    "adk": Known(
        "Google ADK DatabaseSessionService",
        "google_adk:Service",
        "google-adk==2.13.0 sqlalchemy[asyncio]==2.1.9",
    ),
    "llm": Known("llm's logs.db", "llm:Log", "llm==0.36"),
    "agno": Known("Agno SqliteDb", "agno:Database", "agno==3.1.10 sqlalchemy==2.1.9"),
    "strands": Known("Strands FileSessionManager", "strands:Manager", "strands-agents==1.62.0"),
}
"""Ours, the floors, and the peers; the tables have their columns in this order."""

OURS = ("sqlite", "file", "memory", "postgresql")
FLOORS = ("sqlite3", "json")
