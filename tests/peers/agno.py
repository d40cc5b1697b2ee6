"""Agno's database of sessions: https://docs.agno.com/database/providers/sqlite/overview."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from agno.agent import Agent
from agno.db.base import SessionType
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.message import Message
from agno.run.agent import RunInput, RunOutput
from agno.run.base import RunStatus
from agno.session.agent import AgentSession
from sqlalchemy import text

from tests.peers.base import Chat, Peer


class Database(Peer):
    """`SqliteDb`: a row for a session, and one for a run with its messages, WAL.

    It is as durable as ours by itself: SQLite flushes each commit unless it is told otherwise. At the end of a
    run its agent stores the session's row, then the run's, in a commit each; the first one changes nothing, and
    flushes nothing, where the last turn was in the same second. The prompt is not stored before. It also reads
    the session before each run; `append` goes on from what `load` read last. A fork copies all runs, in a commit
    each. It cannot search.
    """

    PROMPT_FIRST = False
    TICK = 1.0
    CELL = """
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.response import ModelResponse

class Scripted(Model):
    def invoke(self, *args, **kwargs):
        return ModelResponse(role="assistant", content="Hello, Ada.")

    ainvoke = invoke_stream = ainvoke_stream = None
    _parse_provider_response = _parse_provider_response_delta = None

agent = Agent(model=Scripted(id="scripted"), db=SqliteDb(db_file="{place}/agno.db"), telemetry=False)
print(agent.run("Hello", session_id="first").content)
"""

    def __init__(self, place: str | Path) -> None:
        super().__init__(place)
        self.db = SqliteDb(db_file=str(self.place / "agno.db"))
        self.agent = Agent(id="agent", model=_Silent(id="silent"), db=self.db, telemetry=False)
        self._open: dict[str, Any] = {}
        self._forks: dict[str, str] = {}

    def append(self, session: str, turn: Chat) -> None:
        stored = self._session(session)
        self.db.upsert_session(session=stored)
        self._store(stored, turn)

    def _store(self, stored: Any, turn: Chat) -> None:
        run = _run(stored.session_id, turn)
        stored.upsert_run(run=run)
        self.db.upsert_run(run=run, session_id=stored.session_id, run_index=len(stored.runs) - 1)

    def _session(self, name: str) -> Any:
        if name not in self._open:
            new = AgentSession(session_id=self._forks.get(name, name), agent_id="agent", session_data={})
            self._open[name] = self._read(name) or new
        return self._open[name]

    def _read(self, name: str) -> Any:
        return self.db.get_session(self._forks.get(name, name), session_type=SessionType.AGENT)

    def fill(self, session: str, turns: Sequence[Chat]) -> None:
        """Append without flushing, but for the last turn: its commit flushes all that is in the log."""
        *earlier, last = turns
        stored = self._session(session)
        self._set_flushing("OFF")
        self.db.upsert_session(session=stored)
        for turn in earlier:
            self._store(stored, turn)
        self._set_flushing("FULL")
        self.append(session, last)

    def _set_flushing(self, how: str) -> None:
        with self.db.Session() as connected:
            connected.execute(text(f"PRAGMA synchronous = {how}"))

    def load(self, session: str) -> Sequence[Any]:
        self._open[session] = self._read(session)
        messages: list[Any] = self._open[session].get_messages()
        return messages

    def chat(self, loaded: Sequence[object]) -> Chat:
        return list(map(_message, loaded))

    def sessions(self, limit: int) -> Sequence[str]:
        listed = self.db.get_sessions(
            session_type=SessionType.AGENT,
            limit=limit,
            sort_by="updated_at",
            sort_order="desc",
            include_runs=False,
        )
        return [session.session_id for session in listed]

    def fork(self, session: str, name: str) -> None:
        forked = self.agent.fork_session(source_session_id=self._forks.get(session, session))
        self._forks[name] = forked

    def delete(self, sessions: Sequence[str]) -> None:
        self.db.delete_sessions([self._forks.get(name, name) for name in sessions])
        for name in sessions:
            self._open.pop(name, None)

    def close(self) -> None:
        self.db.close()


class _Silent(Model):
    """A model that is never asked: without one, a fork would make one of OpenAI's."""

    invoke = ainvoke = invoke_stream = ainvoke_stream = None
    _parse_provider_response = _parse_provider_response_delta = None


def _run(session: str, turn: Chat) -> Any:
    """Return a completed run, as an agent makes one."""
    answer = turn[-1]["content"]
    return RunOutput(
        run_id=str(uuid4()),
        agent_id="agent",
        session_id=session,
        input=RunInput(input_content=turn[0]["content"]),
        content=answer,
        model="scripted",
        messages=[Message(**message) for message in turn],
        status=RunStatus.completed,
    )


def _message(native: Any) -> dict[str, Any]:
    wanted = ("role", "content", "tool_calls", "tool_call_id")
    return {key: getattr(native, key) for key in wanted}
