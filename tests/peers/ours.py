"""Ours, in each of its stores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

import nbsessions as nbs
from nbsessions.formats.building import Building
from nbsessions.records import Message, Run
from nbsessions.runner import new_run
from nbsessions.session import Session
from nbsessions.stores.base import Finish
from nbsessions.transfers.migrating import migrate
from nbsessions.values import encode_json, micros, now
from tests.peers.base import Chat, Peer

LONG = 100
"""A history of fewer turns is stored turn by turn."""


class _Ours(Peer):
    """A run is stored with its prompt, then the turn with all of its messages: what `Session.send` writes."""

    url: str
    CELL = """
import nbsessions as nbs
store = nbs.open_store("{url}")
print(store.create("first").send("Hello", agent=lambda prompt: "Hello, Ada.").output)
"""

    @classmethod
    def cell(cls, place: str | Path) -> str:
        return cls.CELL.replace("{url}", cls.url.format(place=place))

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.store = nbs.open_store(self.url.format(place=place))
        self._open: dict[str, Session] = {}

    def append(self, session: str, turn: Chat) -> None:
        """Start a run, and end it with its turn."""
        handle = self._handle(session)
        started = self._start(handle, turn[0]["content"])
        finish = Finish(run_id=started.run_id, status="completed", finished_at=micros(now()), model="model")
        handle.commit("turn", "chat", encode_json(turn, "turn"), prompts=1, finish=finish)

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        """Store a new session in memory, and copy it with its runs, as ``nbsessions migrate`` does."""
        if len(turns) < LONG or self.store.exists(session):
            super().fill(session, turns)
            return
        with closing(Memory(self.place)) as memory:
            for turn in turns:
                memory.append(session, turn)
            copied = migrate(memory.store.backend, self.store.backend)
        assert copied.ok, copied

    def ask(self, session: str, prompt: str) -> None:
        """Start a run."""
        self._start(self._handle(session), prompt)

    def asked(self, session: str) -> Sequence[str]:
        """Return the prompts of all runs: one that was not answered is no message."""
        return [run.prompt or "" for run in self.store.runs(session)]

    def _start(self, handle: Session, prompt: str) -> Run:
        started = new_run(handle, "agent", prompt, model="model")
        handle.backend.start_run(started)
        return started

    def _handle(self, session: str) -> Session:
        if session not in self._open:
            self._open[session] = self.store.get(session)
        return self._open[session]

    def load(self, session: str) -> Sequence[Message]:
        return self.store.resume(session).messages

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message.to_dict() for message in loaded if isinstance(message, Message)]

    def sessions(self, limit: int) -> Sequence[str]:
        return [record.session_id for record in self.store.list(limit)]

    def fork(self, session: str, name: str) -> None:
        self.store.fork(session, name)

    def search(self, word: str, limit: int) -> Sequence[object]:
        return self.store.search(word, limit=limit)

    def delete(self, sessions: Sequence[str]) -> None:
        """Delete the rows of a frame, as a person cleans up: all of them at once."""
        df = nbs.sessions_df(self.store)
        df[df.session_id.isin(sessions)].nbs.delete()
        for session in sessions:
            self._open.pop(session, None)

    def close(self) -> None:
        self.store.close()


class SQLite(_Ours):
    """The default store. Its first cell is what a person types: the magics, which also draw the answer."""

    url = "sqlite:///{place}/sessions.db"
    CELL = """
import os
os.environ["NBSESSIONS_STORE"] = "{url}"
%load_ext nbsessions

def hello(prompt):
    return "Hello, Ada."

%agent hello
%session new first
get_ipython().run_cell_magic("agent", "--into answer", "Hello")
print(answer)
"""


class Files(_Ours):
    """A folder of JSON files in the layout of webagents, and logs beside them."""

    url = "file:{place}/sessions"

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        """Import all but the last turn: each one that is appended writes the session's whole file."""
        *earlier, last = turns
        if earlier:
            building = Building("bench", session, agent_name="agent", created_at=now())
            for message in chain.from_iterable(earlier):
                building.add(message)
                building.spend(nbs.Usage(), model="model")
            bundle = building.bundle()
            owned = bundle.record.model_copy(update={"owner": self.store.owner})
            self.store.backend.restore(bundle._replace(record=owned))
        self.append(session, last)

    def fill_sessions(self, turns: dict[str, Chat]) -> None:
        """Copy them from memory: each new one that is appended to looks through all files that are there."""
        with closing(Memory(self.place)) as memory:
            memory.fill_sessions(turns)
            copied = migrate(memory.store.backend, self.store.backend)
        assert copied.ok, copied


class Memory(_Ours):
    """Nothing is on a disk: it is here to show what the disk costs."""

    url = "memory:"

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        for turn in turns:
            self.append(session, turn)


class Postgres(_Ours):
    """A server; its place is a URL."""

    url = "{place}"
