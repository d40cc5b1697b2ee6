"""The contract, on every kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsessions.stores.base import Backend
from nbsessions.stores.file import FileBackend
from nbsessions.stores.memory import MemoryBackend
from nbsessions.stores.postgres import PostgresBackend
from nbsessions.stores.sqlite import SQLiteBackend
from nbsessions.testing import StoreContract
from tests.postgres import Server
from tests.stores.journal import JournalBackend


class TestMemory(StoreContract):
    def open(self, folder: Path) -> Backend:
        return MemoryBackend()


class TestSQLite(StoreContract):
    def open(self, folder: Path) -> Backend:
        return SQLiteBackend(f"sqlite:///{folder}/agents.db")


class TestPostgres(StoreContract):
    @pytest.fixture(autouse=True)
    def _serve(self, postgres: Server) -> Iterator[None]:
        self._server, self._schemas = postgres, dict[Path, str]()
        yield
        for schema in self._schemas.values():
            postgres.drop(schema)

    def open(self, folder: Path) -> Backend:
        schema = self._schemas.setdefault(folder, self._schemas.get(folder) or self._server.new_schema())
        return PostgresBackend(self._server.url(schema))


class TestJournal(StoreContract):
    def open(self, folder: Path) -> Backend:
        return JournalBackend(f"journal:{folder}")


class TestFile(StoreContract):
    def open(self, folder: Path) -> Backend:
        return FileBackend(f"file:{folder}/sessions")
