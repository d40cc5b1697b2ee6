"""A store in a folder of JSON files, which webagents reads and writes, too: ``file:DIR``."""

from __future__ import annotations

from nbsessions.stores.file.backend import FileBackend

__all__ = ["FileBackend"]
