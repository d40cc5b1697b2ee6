"""The sessions of Google's Agent Development Kit: https://google.github.io/adk-docs/sessions/session."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService, Session
from google.adk.sessions.schemas.v1 import StorageEvent, StorageSession
from google.genai import types

from tests.peers.base import AsyncPeer, Chat, function_call

WHOSE = {"app_name": "app", "user_id": "ada"}


class Service(AsyncPeer):
    """`DatabaseSessionService` on aiosqlite: a row for an event, and a rollback journal.

    It is as durable as ours by itself: SQLite flushes each commit unless it is told otherwise. The runner
    appends the prompt, then each event of the agent: a commit each. It also reads the whole session before each
    prompt; `append` does so only where the session is not open, and goes on from what `load` read last. A list
    returns all sessions, the oldest first. It cannot fork or search.
    """

    CELL = """
from google.adk.agents import BaseAgent
from google.adk.events import Event
from google.adk.runners import Runner
from google.adk.sessions import DatabaseSessionService
from google.genai import types

class Scripted(BaseAgent):
    async def _run_async_impl(self, context):
        content = types.Content(role="model", parts=[types.Part(text="Hello, Ada.")])
        yield Event(author=self.name, invocation_id=context.invocation_id, content=content)

service = DatabaseSessionService("sqlite+aiosqlite:///{place}/sessions.db")
runner = Runner(app_name="app", agent=Scripted(name="agent"), session_service=service)
await service.create_session(app_name="app", user_id="ada", session_id="first")
asked = types.Content(role="user", parts=[types.Part(text="Hello")])
async for event in runner.run_async(user_id="ada", session_id="first", new_message=asked):
    print(event.content.parts[0].text)
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.service = DatabaseSessionService(f"sqlite+aiosqlite:///{self.place / 'sessions.db'}")
        self._open: dict[str, Session] = {}

    def append(self, session: str, turn: Chat) -> None:
        self._wait(self._append(session, turn))

    async def _append(self, name: str, turn: Chat) -> None:
        session = await self._session(name)
        for event in _events(turn):
            await self.service.append_event(session, event)

    async def _session(self, name: str) -> Session:
        if name not in self._open:
            found = await self.service.get_session(**WHOSE, session_id=name)
            self._open[name] = found or await self.service.create_session(**WHOSE, session_id=name)
        return self._open[name]

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        self._wait(self._fill(session, turns))

    async def _fill(self, name: str, turns: Sequence[Chat]) -> None:
        """Write the rows of `append_event` in one transaction, but for the last one."""
        session = await self._session(name)
        *events, last = chain.from_iterable(map(_events, turns))
        async with self.service.database_session_factory() as transaction:
            transaction.add_all(StorageEvent.from_event(session, event) for event in events)
            await transaction.commit()
        await self.service.append_event(session, last)
        del self._open[name]

    def fill_sessions(self, turns: dict[str, Chat]) -> None:
        """Write the rows of all but the first and the last session in one transaction."""
        first, *others, last = turns
        self.append(first, turns[first])
        self._wait(self._fill_sessions({name: turns[name] for name in others}))
        self.append(last, turns[last])

    async def _fill_sessions(self, turns: dict[str, Chat]) -> None:
        async with self.service.database_session_factory() as transaction:
            for name, turn in turns.items():
                at = datetime.now(UTC).replace(tzinfo=None)
                stored = StorageSession(**WHOSE, id=name, state={}, create_time=at, update_time=at)
                session = stored.to_session(state={})
                transaction.add(stored)
                transaction.add_all(StorageEvent.from_event(session, event) for event in _events(turn))
            await transaction.commit()

    def load(self, session: str) -> Sequence[Any]:
        found = self._wait(self.service.get_session(**WHOSE, session_id=session))
        if found is None:
            raise KeyError(session)
        self._open[session] = found
        events: list[Any] = found.events
        return events

    def chat(self, loaded: Sequence[object]) -> Chat:
        return list(map(_message, loaded))

    def sessions(self, limit: int) -> Sequence[str]:
        listed = self._wait(self.service.list_sessions(**WHOSE)).sessions
        return [session.id for session in reversed(listed[-limit:])]

    def delete(self, sessions: Sequence[str]) -> None:
        for name in sessions:
            self._wait(self.service.delete_session(**WHOSE, session_id=name))
            self._open.pop(name, None)

    def close(self) -> None:
        self._wait(self.service.close())
        super().close()


def _events(turn: Chat) -> Iterator[Event]:
    """Yield the events of a turn, as the runner and an agent make them."""
    invocation = f"e-{uuid4()}"
    names = {call["id"]: call["function"]["name"] for call in _calls(turn)}
    for message in turn:
        role, author = ("model", "agent") if message["role"] == "assistant" else ("user", message["role"])
        parts = [types.Part(text=message["content"])] if message["content"] else []
        if message["role"] == "tool":
            author, called = "agent", message["tool_call_id"]
            result = {"result": message["content"]}
            given = types.FunctionResponse(id=called, name=names[called], response=result)
            parts = [types.Part(function_response=given)]
        for call in message.get("tool_calls", ()):
            arguments = json.loads(call["function"]["arguments"])
            asked = types.FunctionCall(id=call["id"], name=call["function"]["name"], args=arguments)
            parts.append(types.Part(function_call=asked))
        content = types.Content(role=role, parts=parts)
        yield Event(author=author, invocation_id=invocation, content=content, timestamp=time.time())


def _calls(turn: Chat) -> Iterator[dict[str, Any]]:
    return chain.from_iterable(message.get("tool_calls", ()) for message in turn)


def _message(event: Any) -> dict[str, Any]:
    """Return a chat message; the answers to several calls come in an event each."""
    parts = event.content.parts
    given = parts[0].function_response
    if given:
        return {"role": "tool", "tool_call_id": given.id, "content": given.response["result"]}
    called = [part.function_call for part in parts if part.function_call]
    calls = [function_call(call.id, call.name, call.args) for call in called]
    text = "".join(part.text or "" for part in parts)
    role = "assistant" if event.content.role == "model" else "user"
    return {"role": role, "content": text, "tool_calls": calls}
