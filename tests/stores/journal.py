"""
A store that somebody else wrote: `journal:FOLDER` keeps all in memory, and every writing call in a file.

Each line of ``FOLDER/journal.jsonl`` is one call, written before it is made; opening makes them again.
It is for one process at a time.
"""

from __future__ import annotations

import errno
import fcntl
import inspect
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter

from nbsessions.exceptions import NbsessionsError, StoreUnavailable
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Backend, Change, HeadMoved, Key
from nbsessions.stores.memory import MemoryBackend

P = ParamSpec("P")
R = TypeVar("R")
_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_CALLS: dict[str, _Written] = {}


class _Written:
    """A call that is kept: its arguments as JSON, and back."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self._signature = inspect.signature(call)
        kinds = get_type_hints(call)
        names = [name for name in self._signature.parameters if name != "self"]
        self._adapters = {name: _adapter(kinds[name]) for name in names}

    def line(self, *args: Any, **named: Any) -> bytes:
        given = dict(self._signature.bind(*args, **named).arguments)
        parts = {
            name: adapter.dump_python(given[name], mode="json")
            for name, adapter in self._adapters.items()
            if name in given
        }
        return json.dumps([self.call.__name__, parts], ensure_ascii=False).encode() + b"\n"

    def again(self, backend: JournalBackend, parts: dict[str, Any]) -> None:
        given = {name: self._adapters[name].validate_json(json.dumps(part)) for name, part in parts.items()}
        # What was refused then is refused now, and changed nothing either time.
        with suppress(NbsessionsError, HeadMoved):
            self.call(backend, **given)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    owns_config = isinstance(kind, type) and hasattr(kind, "model_config")
    return TypeAdapter(kind, config=None if owns_config else _BYTES)


def _journaled(
    call: Callable[Concatenate[Any, P], R], *, durable: bool = True
) -> Callable[Concatenate[JournalBackend, P], R]:
    written = _CALLS[call.__name__] = _Written(call)

    @wraps(call)
    def method(self: JournalBackend, /, *args: P.args, **named: P.kwargs) -> R:
        with self._lock:
            self._write_line(written.line(self, *args, **named), durable=durable)
            return call(self, *args, **named)

    return method


class JournalBackend(MemoryBackend):
    """All in memory, and each writing call in a file.

    Raises
    ------
    StoreUnavailable
        Another process has it open, or a line that is not the last cannot be read.
    """

    persistent = True

    insert = _journaled(MemoryBackend.insert)
    restore = _journaled(MemoryBackend.restore)
    update = _journaled(MemoryBackend.update)
    delete = _journaled(MemoryBackend.delete)
    move = _journaled(MemoryBackend.move)
    start_run = _journaled(MemoryBackend.start_run, durable=False)
    append_events = _journaled(MemoryBackend.append_events, durable=False)
    continue_run = _journaled(MemoryBackend.continue_run)
    renew_lease = _journaled(MemoryBackend.renew_lease, durable=False)
    finish_run = _journaled(MemoryBackend.finish_run)
    visit = _journaled(MemoryBackend.visit)
    redact_run = _journaled(MemoryBackend.redact_run)
    redact = _journaled(MemoryBackend.redact)
    collect = _journaled(MemoryBackend.collect)
    add_checkpoint = _journaled(MemoryBackend.add_checkpoint)
    put_value = _journaled(MemoryBackend.put_value)
    drop_values = _journaled(MemoryBackend.drop_values)
    put_documents = _journaled(MemoryBackend.put_documents)
    drop_documents = _journaled(MemoryBackend.drop_documents)
    save_progress = _journaled(MemoryBackend.save_progress, durable=False)
    drop_events = _journaled(MemoryBackend.drop_events, durable=False)

    def update_all(self, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
        # By `update`, which is written: what was expected need not be read again.
        with self._lock:
            return Backend.update_all(self, changes, at)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.path = Path(url.removeprefix("journal:")).absolute() / "journal.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._failed(error) from error
        try:
            os.chmod(self.path, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._replay()
        except OSError as error:
            self._file.close()
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StoreUnavailable:
        if isinstance(error, StoreUnavailable):
            return error
        if isinstance(error, BlockingIOError):
            return StoreUnavailable(f"The store {self.path} is open elsewhere. Close it there first.")
        return StoreUnavailable(f"The store {self.path} failed: {error.strerror}. Nothing was saved.")

    def _replay(self) -> None:
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):  # it was being written when its process died
                self._file.truncate(whole)
                break
            whole += len(line)
            try:
                name, parts = json.loads(line)
                _CALLS[name].again(self, parts)
            except (ValueError, KeyError) as error:
                raise StoreUnavailable(
                    f"{self.path} is damaged in line {number}. It was left untouched."
                ) from error

    def _write_line(self, line: bytes, *, durable: bool) -> None:
        if self._file.closed:
            raise StoreUnavailable(f"The store {self.path} is closed.")
        size = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()
