"""The sessions of Strands Agents: https://strandsagents.com/latest/documentation/docs/user-guide/concepts/agents/session-management."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

from strands import Agent
from strands.models import Model
from strands.session.file_session_manager import FileSessionManager

from tests.peers.base import Chat, Peer, flush, function_call

WHO = "agent"


class Manager(Peer):
    """`FileSessionManager`: a JSON file for each message, in a folder for each session.

    It flushes nothing by itself. `append` flushes the files that were written, then their folders, and, where the
    session is new, the folders above them. From its fortieth message on, an agent's own file is written each turn,
    too: it says how many messages its window has left behind. It cannot list, fork or search.
    """

    MENDS = "when it goes on, its agent is given a result that says that the call was interrupted"
    CELL = """
from strands import Agent
from strands.models import Model
from strands.session.file_session_manager import FileSessionManager

class Scripted(Model):
    async def stream(self, *args, **kwargs):
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockDelta": {"delta": {"text": "Hello, Ada."}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}

    def get_config(self):
        return {}

    update_config = structured_output = None

session = FileSessionManager("first", storage_dir="{place}")
agent = Agent(model=Scripted(), agent_id="agent", session_manager=session, callback_handler=None)
print(agent("Hello"), end="")
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self._open: dict[str, tuple[Any, Any]] = {}

    def append(self, session: str, turn: Chat) -> None:
        self._store(session, turn)
        self._open[session][0].flush()

    def _store(self, session: str, turn: Chat) -> None:
        """Do what an agent does to its manager in a run."""
        manager, agent = self._session(session)
        for message in _natives(turn):
            agent.messages.append(message)
            manager.append_message(message, agent)
            manager.sync_agent(agent)
        # At its end, an agent forgets what its window does not hold; the files stay.
        agent.conversation_manager.apply_management(agent)
        manager.sync_agent(agent)

    def _session(self, name: str) -> tuple[Any, Any]:
        if name not in self._open:
            manager = _Flushed(name, self.place)
            agent = Agent(model=_Silent(), agent_id=WHO, session_manager=manager, callback_handler=None)
            self._open[name] = (manager, agent)
        return self._open[name]

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        for turn in turns:
            self._store(session, turn)
        os.sync()
        self._open[session][0].forget()

    def load(self, session: str) -> Sequence[Any]:
        messages: list[Any] = self._manager(session).list_messages(session, WHO)
        return messages

    def _manager(self, session: str) -> Any:
        return FileSessionManager(session, storage_dir=str(self.place))

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for native in loaded for message in _messages(native)]

    def delete(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            self._manager(session).delete_session(session)
            self._open.pop(session, None)
        flush(self.place)

    def close(self) -> None:
        self._open.clear()


class _Flushed(FileSessionManager):
    """Flushes what it wrote, when it is told to."""

    def __init__(self, session: str, folder: Path) -> None:
        self.folder = folder
        self._written: dict[Path, None] = {}
        super().__init__(session, storage_dir=str(folder))
        self._made = self._is_new_session

    def _write_file(self, path: str, data: dict[str, Any]) -> None:
        super()._write_file(path, data)
        self._written[Path(path)] = None

    def flush(self) -> None:
        folders = dict.fromkeys(path.parent for path in self._written)
        if self._made:
            inside = chain.from_iterable(folder.parents for folder in folders)
            folders |= dict.fromkeys(folder for folder in inside if folder.is_relative_to(self.folder))
            self._made = False
        for path in (*self._written, *folders):
            flush(path)
        self.forget()

    def forget(self) -> None:
        """All that was written is flushed."""
        self._written.clear()


class _Silent(Model):
    """A model that is never asked: the manager wants an agent, and the agent a model."""

    stream = structured_output = get_config = update_config = None


def _natives(turn: Chat) -> Iterator[dict[str, Any]]:
    """Yield the messages of an agent: the results of several tools are one message there."""
    for given, messages in groupby(turn, key=lambda message: message["role"] == "tool"):
        if given:
            yield _native("user", list(map(_result, messages)))
        else:
            yield from (_native(message["role"], list(_blocks(message))) for message in messages)


def _native(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "content": content, "tracking_id": str(uuid4())}


def _result(message: dict[str, Any]) -> dict[str, Any]:
    called, content = message["tool_call_id"], [{"text": message["content"]}]
    return {"toolResult": {"toolUseId": called, "status": "success", "content": content}}


def _blocks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message["content"]:
        yield {"text": message["content"]}
    for call in message.get("tool_calls", ()):
        function = call["function"]
        asked = {
            "toolUseId": call["id"],
            "name": function["name"],
            "input": json.loads(function["arguments"]),
        }
        yield {"toolUse": asked}


def _messages(stored: Any) -> Iterator[dict[str, Any]]:
    native = stored.to_message()
    given = [block["toolResult"] for block in native["content"] if "toolResult" in block]
    for result in given:
        text = "".join(block["text"] for block in result["content"])
        yield {"role": "tool", "tool_call_id": result["toolUseId"], "content": text}
    if not given:
        called = [block["toolUse"] for block in native["content"] if "toolUse" in block]
        calls = [function_call(call["toolUseId"], call["name"], call["input"]) for call in called]
        text = "".join(block.get("text", "") for block in native["content"])
        yield {"role": native["role"], "content": text, "tool_calls": calls}
