"""The contract, on every kind of store."""

from __future__ import annotations

from pathlib import Path

from nbsessions.stores.base import Backend
from nbsessions.stores.memory import MemoryBackend
from nbsessions.stores.sqlite import SQLiteBackend
from nbsessions.testing import StoreContract
from tests.stores.journal import JournalBackend


class TestMemory(StoreContract):
    def open(self, folder: Path) -> Backend:
        return MemoryBackend()


class TestSQLite(StoreContract):
    def open(self, folder: Path) -> Backend:
        return SQLiteBackend(f"sqlite:///{folder}/agents.db")


class TestJournal(StoreContract):
    def open(self, folder: Path) -> Backend:
        return JournalBackend(f"journal:{folder}")
