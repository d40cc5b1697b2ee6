"""What a person does in a notebook that stays open, turn by turn; runs in a kernel."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from IPython.core.getipython import get_ipython
from IPython.display import display

import nbsessions as nbs
from nbsessions.testing import ScriptedAgent
from nbsessions.workspace import Workspace

STEP = 20
"""Turns of one round: most go to the long conversation, the rest to a fork and to a session of its own."""
_FORKED, _OWN = 2, 4
_LONG = "thesis"
_WORDS = [
    "owl",
    "oak",
    "mouse",
    "dusk",
    "river",
    "meadow",
    "feather",
    "winter",
    "lantern",
    "harbour",
    "orchard",
    "granite",
]
_CALL = {"id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": '{"place": "oak"}'}}


class Sample(NamedTuple):
    """What the process has, after so many turns."""

    turns: int
    memory: int
    descriptors: int
    threads: int
    log: int
    """Bytes of the write-ahead log."""


class Taken(NamedTuple):
    """Seconds of one turn: by the clock, and of the processor, with all that goes on beside it."""

    clock: float
    processor: float


class Life:
    """One notebook, with its widgets open.

    Parameters
    ----------
    store : Path
        Where its sessions are.
    """

    def __init__(self, store: Path) -> None:
        shell = get_ipython()
        assert shell is not None, "it is lived in a kernel"
        self._shell, self._store = shell, store
        self.taken: list[Taken] = []
        self._turns = 0
        shell.run_line_magic("load_ext", "nbsessions")
        self._session(f"new {_LONG}")
        self._workspace: Workspace = shell.magics_manager.registry["SessionMagics"].workspace
        session = self._workspace.session
        assert session is not None
        self._picker, self._table = nbs.SessionPicker(), nbs.HistoryTable()
        self._view = nbs.ConversationView(session)
        display(self._picker, self._table, self._view)

    def live(self) -> None:
        """Go through one round."""
        number = self._turns // STEP
        self._shell.user_ns["scripted"] = ScriptedAgent(
            [_answer(self._turns + turn) for turn in range(STEP)], model="gpt-5-mini"
        )
        self._ask(STEP - _FORKED - _OWN)
        self._go_back(number)
        self._look_around(number)
        self._elsewhere(number)

    def _ask(self, turns: int) -> None:
        for _ in range(turns):
            start, worked = time.perf_counter(), time.process_time()
            self._shell.run_cell_magic("agent", "scripted --max-messages 20", _said(self._turns, 60))
            self.taken.append(Taken(time.perf_counter() - start, time.process_time() - worked))
            self._turns += 1

    def _go_back(self, number: int) -> None:
        session = self._workspace.session
        assert session is not None
        self._session(f"checkpoint round-{number}")
        self._session(f"rewind {session.message_count - 8}")
        self._session("undo")

    def _look_around(self, number: int) -> None:
        word = _WORDS[number % len(_WORDS)]
        for command in (f"search {word}", "history", "status"):
            self._session(command)
        self._picker.search.value = word[:2]
        self._picker.search.value = ""
        self._table.select(_LONG)
        self._table.refresh()
        self._view.refresh()

    def _elsewhere(self, number: int) -> None:
        session = self._workspace.session
        assert session is not None
        self._session(f"fork aside-{number} --at {session.message_count // 2}")
        self._ask(_FORKED)
        self._session(f"new note-{number}")
        self._ask(_OWN)
        self._session(f"load {_LONG}")

    def _session(self, command: str) -> None:
        shown = self._shell.run_line_magic("session", command)
        if shown is not None:
            display(shown)

    def sample(self) -> Sample:
        """Say what the process has now."""
        gc.collect()
        log = Path(f"{self._store}-wal")
        return Sample(
            self._turns,
            _resident(),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            log.stat().st_size if log.exists() else 0,
        )


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def _said(number: int, words: int) -> str:
    count = len(_WORDS)
    return f"{number}: " + " ".join(_WORDS[(number + place * place) % count] for place in range(words))


def _answer(number: int) -> list[Any]:
    """Return an answer of a script: words that are streamed, a tool that is called, what it cost."""
    return [
        "Let me look that up.",
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call-1", "name": "look_up", "content": _said(number, 120)},
        *(f"{word} " for word in _said(number, 60).split()),
        nbs.Usage(input_tokens=900, output_tokens=150, requests=2),
    ]
