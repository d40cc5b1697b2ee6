"""The sessions of the OpenAI Agents SDK: https://openai.github.io/openai-agents-python/sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession

from tests.peers.base import AsyncPeer, Chat, steps

OPEN = 64
"""Each open session has a connection of its own: so many are kept open, as a server would keep them."""


class Plain(AsyncPeer):
    """`SQLiteSession`: a row for an item, WAL.

    It is as durable as ours by itself: the standard library's `sqlite3` flushes each commit unless it is told
    otherwise. The runner adds the prompt, then each answer of the model with what its tools gave: at least two
    commits, and so two flushes a turn. It cannot list, fork or search.
    """

    CELL = """
from agents import Agent, Model, ModelResponse, Runner, SQLiteSession, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

class Scripted(Model):
    async def get_response(self, *args, **kwargs):
        text = ResponseOutputText(type="output_text", text="Hello, Ada.", annotations=[])
        message = ResponseOutputMessage(
            id="answer", type="message", role="assistant", status="completed", content=[text]
        )
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError

session = SQLiteSession("first", "{place}/sessions.db")
result = await Runner.run(Agent(name="agent", model=Scripted()), "Hello", session=session)
print(result.final_output)
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.path = self.place / "sessions.db"
        self._open: dict[str, SQLiteSession] = {}

    def append(self, session: str, turn: Chat) -> None:
        opened = self._session(session)
        for step in steps(turn):
            self._wait(opened.add_items(list(_items(step))))

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        self._wait(self._session(session).add_items(list(_items(chain.from_iterable(turns)))))

    def _session(self, name: str) -> SQLiteSession:
        if name not in self._open:
            self._open[name] = self._new(name)
            # The last one that is closed would empty the log: it is never closed before the next is open.
            if len(self._open) > OPEN:
                self._open.pop(next(iter(self._open))).close()
        return self._open[name]

    def _new(self, name: str) -> SQLiteSession:
        return SQLiteSession(name, self.path)

    def load(self, session: str) -> Sequence[Any]:
        return self._wait(self._session(session).get_items())

    def chat(self, loaded: Sequence[object]) -> Chat:
        return list(_messages(loaded))

    def delete(self, sessions: Sequence[str]) -> None:
        for name in sessions:
            self._wait(self._session(name).clear_session())

    def close(self) -> None:
        for session in self._open.values():
            session.close()
        super().close()


class Advanced(Plain):
    """`AdvancedSQLiteSession`: the same, and the structure of the conversation in tables of its own.

    It is as durable as `SQLiteSession`. A fork is a branch inside its session; it is made before a turn, never
    after the last one, so it leaves the last turn out. It can search one session's prompts, not all sessions.
    """

    FORK_LEAVES_OUT = 1
    CELL = Plain.CELL.replace(
        "import Agent, Model, ModelResponse, Runner, SQLiteSession, Usage",
        "import Agent, Model, ModelResponse, Runner, Usage\n"
        "from agents.extensions.memory import AdvancedSQLiteSession",
    ).replace(
        'SQLiteSession("first", "{place}/sessions.db")',
        'AdvancedSQLiteSession(session_id="first", db_path="{place}/sessions.db", create_tables=True)',
    )

    def _new(self, name: str) -> AdvancedSQLiteSession:
        return AdvancedSQLiteSession(session_id=name, db_path=self.path, create_tables=True)

    def fork(self, session: str, name: str) -> None:
        """Make a branch, and know it by its name until this is closed: it belongs to its session."""
        opened = self._new(session)
        last = self._wait(opened.get_conversation_turns())[-1]["turn"]
        self._wait(opened.create_branch_from_turn(last, name))
        self._open[name] = opened


def _items(messages: Iterator[dict[str, Any]] | Chat) -> Iterator[Any]:
    """Yield the items that the runner makes of a model's messages."""
    for message in messages:
        if message["role"] == "tool":
            yield {
                "type": "function_call_output",
                "call_id": message["tool_call_id"],
                "output": message["content"],
            }
        elif message["role"] == "assistant":
            if message["content"]:
                yield {
                    "id": "msg",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": message["content"], "annotations": []}],
                }
            for call in message.get("tool_calls", ()):
                yield {"type": "function_call", "call_id": call["id"], **call["function"]}
        else:
            yield {"role": message["role"], "content": message["content"]}


def _messages(items: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for item in items:
        kind = item.get("type")
        if kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
        elif kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            yield {"role": "assistant", "content": "", "tool_calls": [call]}
        elif kind == "message":
            yield {"role": "assistant", "content": "".join(part["text"] for part in item["content"])}
        else:
            yield {"role": item["role"], "content": item["content"]}
