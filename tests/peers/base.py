"""What each peer does here, said once: a conversation is appended to, read, listed, forked, searched, deleted."""

from __future__ import annotations

import asyncio
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

T = TypeVar("T")

Chat = list[dict[str, Any]]
"""Messages as OpenAI's chat completions have them: ``role``, ``content``, ``tool_calls``, ``tool_call_id``."""


class NotOffered(Exception):
    """It has no such thing. Its text says so in a few words, for a footnote of the table."""


class Peer(ABC):
    """A store of conversations.

    It is driven by the calls that its documentation tells of, and one turn is written as its own runner writes one:
    the prompt first, where that is stored before the answer is there. It is as durable as ours: what
    `append` was given is flushed to the disk when it returns. Where that is not so by itself, `append`
    flushes it, and the class says how.
    """

    CELL: ClassVar[str]
    """A notebook's first cell, with ``{place}`` for the folder or URL: it imports what it needs, makes an agent
    that answers at once without a model, asks it once in a new conversation that is stored in `place`, and
    prints the answer."""

    PROMPT_FIRST: ClassVar[bool] = True
    """Whether a prompt is stored before the agent answers it: `append` begins with it then."""

    MENDS: ClassVar[str] = ""
    """What its agent does about a turn that was cut short, when it goes on."""

    FORK_LEAVES_OUT: ClassVar[int] = 0
    """How many of the last turns a fork does not have."""

    TICK: ClassVar[float] = 0
    """How many seconds it may take until what is stored is newer than what was stored before: its clock is coarse."""

    def __init__(self, place: str | Path) -> None:
        self.place = Path(place)

    @classmethod
    def cell(cls, place: str | Path) -> str:
        """Return the first cell of a notebook whose conversations are kept in `place`."""
        return cls.CELL.replace("{place}", str(place))

    @abstractmethod
    def append(self, session: str, turn: Chat) -> None:
        """Store a turn, made by the user's message and all that follows it; make the session where it is new."""

    @abstractmethod
    def load(self, session: str) -> Sequence[object]:
        """Return the messages of a session as this peer gives them, parsed, oldest first."""

    @abstractmethod
    def chat(self, loaded: Sequence[object]) -> Chat:
        """Return what `load` gave as chat messages. Nothing of the text may be missing: it is compared."""

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        """Store a long history, by the quickest way that leaves what `append` would have left."""
        for turn in turns:
            self.append(session, turn)

    def fill_sessions(self, turns: dict[str, Chat]) -> None:
        """Store many new sessions of one turn each, as `fill` stores a history: those of the last ones are newest."""
        for session, turn in turns.items():
            self.append(session, turn)

    def ask(self, session: str, prompt: str) -> None:
        """Store what is stored when the agent begins to answer: what `append` begins with."""
        if not self.PROMPT_FIRST:
            self._lacks("a prompt is stored with its answer")
        self.append(session, [{"role": "user", "content": prompt}])

    def asked(self, session: str) -> Sequence[str]:
        """Return the prompts of a session, those without an answer too."""
        return [message["content"] for message in self.chat(self.load(session)) if message["role"] == "user"]

    def earlier(self, session: str) -> Iterator[Sequence[object]]:
        """Yield what else is kept of a session, and can be loaded: what it was before, or beside what it is."""
        yield from ()

    def sessions(self, limit: int) -> Sequence[str]:
        """Return the newest sessions, the newest first, by the name that `append` was given."""
        self._lacks("no list of sessions")

    def fork(self, session: str, name: str) -> None:
        """Go on from the end of a session in another one, which leaves it as it is."""
        self._lacks("no fork")

    def search(self, word: str, limit: int) -> Sequence[object]:
        """Return the newest messages with a word, of all sessions."""
        self._lacks("no search")

    def delete(self, sessions: Sequence[str]) -> None:
        """Delete sessions with all that is stored for them."""
        self._lacks("no way to delete")

    @abstractmethod
    def close(self) -> None:
        """Close what is open. What was stored is read by the next one that is opened in the same place."""

    def _lacks(self, what: str) -> NoReturn:
        raise NotOffered(what)


class AsyncPeer(Peer):
    """One whose calls are asynchronous: all of them run in one event loop, which is kept."""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self._loop = asyncio.Runner()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(call)

    def close(self) -> None:
        self._loop.close()


def steps(turn: Chat) -> Iterator[Chat]:
    """Yield the prompt, then each answer of the model with what its tools gave: an agent's runner stores so."""
    starts = [0, *(place for place, message in enumerate(turn) if place and message["role"] != "tool")]
    for start, end in pairwise([*starts, len(turn)]):
        yield turn[start:end]


def function_call(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a call of a tool, as a chat message has it."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": call_id, "type": "function", "function": function}


def flush(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
