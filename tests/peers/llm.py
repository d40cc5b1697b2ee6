"""The log of Simon Willison's `llm`: https://llm.datasette.io/en/stable/logging.html."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llm
import sqlite_utils
from llm.logs import LogStore, merged_log_rows

from tests.peers.base import Chat, Peer, function_call


class Log(Peer):
    """``logs.db``, as ``llm chat`` writes it: a message is a row that knows the one before it, and is stored once.

    It is as durable as ours by itself: SQLite flushes each commit unless it is told otherwise. An answer is
    logged when it is there, in one transaction of a rollback journal, and its prompt with it, not before; where
    tools are called, there is one for each answer of the model. Each time, all messages of the conversation are
    hashed and looked for. A fork is a thread that points at the same message. It lists answers, not
    conversations, and deletes nothing.
    """

    PROMPT_FIRST = False
    CELL = """
import os
os.environ["LLM_USER_PATH"] = "{place}"
import llm, sqlite_utils

class Scripted(llm.Model):
    model_id = "scripted"

    def execute(self, prompt, stream, response, conversation):
        yield "Hello, Ada."

db = sqlite_utils.Database(llm.user_dir() / "logs.db")
conversation = llm.Conversation(model=Scripted(), id="first")
response = conversation.chain("Hello")
print(response.text())
response.log_to_db(db)
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        # Where it looks for its settings, too: not at the user's own.
        os.environ["LLM_USER_PATH"] = str(self.place)
        self.db = sqlite_utils.Database(llm.user_dir() / "logs.db")
        self.store = LogStore(self.db)
        self.model = _Scripted()
        self._open: dict[str, Any] = {}
        self._forks: dict[str, str] = {}

    def append(self, session: str, turn: Chat) -> None:
        self._answer(session, turn).log_to_db(self.db)

    def _answer(self, session: str, turn: Chat) -> Any:
        """Ask the scripted model, as ``llm chat`` asks one."""
        prompt, *self.model.script = turn
        named = {call["function"]["name"] for message in turn for call in message.get("tool_calls", ())}
        tools = [llm.Tool(name, implementation=self.model.give) for name in sorted(named)]
        response = self._conversation(session).chain(prompt["content"], tools=tools or None)
        response.text()
        return response

    def _conversation(self, session: str) -> Any:
        if session not in self._open:
            thread = self._forks.get(session, session)
            try:
                loaded = self.store.thread_messages(thread)
            except KeyError:
                loaded = None
            self._open[session] = llm.Conversation(model=self.model, id=thread, loaded_messages=loaded)
        return self._open[session]

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        """Log as `append` does, but in one transaction, and without looking for what was just stored."""
        store = _Remembering(self.db)
        with self.db.atomic():
            for turn in turns:
                for response in self._answer(session, turn)._responses:
                    store.log(response)
        del self._open[session]

    def load(self, session: str) -> Sequence[Any]:
        messages: list[Any] = self.store.thread_messages(self._forks.get(session, session))
        return messages

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for native in loaded for message in _messages(native)]

    def earlier(self, session: str) -> Iterator[Sequence[object]]:
        """Yield what ``llm logs`` lists: each answer, also one that its conversation has lost."""
        for row in merged_log_rows(self.store):
            yield [SimpleNamespace(role="assistant", parts=row["_output_parts"])]

    def sessions(self, limit: int) -> Sequence[str]:
        self._lacks("no list of conversations, but of answers")

    def fork(self, session: str, name: str) -> None:
        thread = self._forks.get(session, session)
        tip: Any = self.store.thread_tip(thread)
        self._forks[name] = self.store.fork(tip, name=name, forked_from=thread)

    def search(self, word: str, limit: int) -> Sequence[object]:
        found: list[Any] = merged_log_rows(self.store, query=f'"{word}"', latest=True, count=limit)
        return found

    def close(self) -> None:
        self.db.close()


class _Scripted(llm.Model):
    """Answers what it is told to, and so do its tools."""

    model_id = "scripted"
    can_stream = False
    supports_tools = True
    script: Chat

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
        message = self.script.pop(0)
        for call in message.get("tool_calls", ()):
            arguments = json.loads(call["function"]["arguments"])
            response.add_tool_call(llm.ToolCall(call["function"]["name"], arguments, call["id"]))
        if message["content"]:
            yield message["content"]

    def give(self, **arguments: Any) -> str:
        return str(self.script.pop(0)["content"])


class _Remembering(LogStore):
    """Knows what it has stored of the one conversation that it is filled with."""

    def __init__(self, db: Any) -> None:
        super().__init__(db)
        self._stored = 0
        self._tip: Any = None

    def ensure_chain(self, messages: Any, parent: Any = None, fragments: Any = None) -> Any:
        new = messages[self._stored :] if parent is None else messages
        self._tip = super().ensure_chain(new, self._tip, fragments)
        self._stored += len(new)
        return self._tip


def _messages(native: Any) -> Iterator[dict[str, Any]]:
    """Yield chat messages: the results of several tools are one message there."""
    text = "".join(getattr(part, "text", "") for part in native.parts)
    given = [part for part in native.parts if native.role == "tool"]
    for part in given:
        yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.output}
    if not given:
        called = [part for part in native.parts if hasattr(part, "arguments")]
        calls = [function_call(part.tool_call_id, part.name, part.arguments) for part in called]
        yield {"role": native.role, "content": text, "tool_calls": calls}
