"""Calls of tools, each of them once: as the events of runs tell of them, else as messages do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbsessions.frames.histories import Said, said
from nbsessions.frames.logs import parsed, time_of
from nbsessions.records import SessionRecord
from nbsessions.stores._columns import pieces
from nbsessions.stores.base import Columns, Key
from nbsessions.values import micros

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

_EVENTS: Final = "TOOL_CALL_"
_RUN: Final = (
    "run_id",
    "session_id",
    "conversation_id",
    "session_name",
    "turn_id",
    "retry_of",
    "agent_name",
    "model",
    "started_at",
)
_CALL: Final = (
    "tool_name",
    "status",
    "arguments",
    "result",
    "started_at",
    "called_at",
    "answered_at",
    "agent_name",
    "session_name",
    "tool_call_id",
    "turn_id",
    "conversation_id",
    "session_id",
    "run_id",
)


class _Run(NamedTuple):
    """A run, as the columns `_RUN` of a store have it."""

    run_id: str
    session_id: str | None
    conversation_id: str | None
    session_name: str | None
    turn_id: str | None
    retry_of: str | None
    agent_name: str
    model: str | None
    started_at: int

    @property
    def key(self) -> Key:
        return Key(self.conversation_id or "", self.session_id or "")


@dataclass(slots=True)
class _Call:
    """A call of a tool, as far as it is known."""

    tool_call_id: str
    tool_name: str
    agent_name: str
    session_id: str | None
    session_name: str | None
    conversation_id: str | None
    run_id: str | None = None
    turn_id: str | None = None
    arguments: str = ""
    result: str | None = None
    failed: bool = False
    started_at: int | None = None
    called_at: int | None = None
    """The same, where it is sure enough to tell how long it took."""
    answered_at: int | None = None

    @property
    def status(self) -> str:
        if self.result is None:
            return "unanswered"
        return "failed" if self.failed else "completed"

    def answer(self, result: str, at: int | None, *, failed: bool = False) -> None:
        """Take a result, where it has none yet; only messages tell of one that it is an error."""
        if self.result is None:
            self.result, self.answered_at = result, at
        self.failed = self.failed or failed


def columns(backend: Backend, asked: Columns) -> dict[str, list[Any]]:
    """Return the calls that filters mean as columns, the first one first.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.frames.filters import asked
    >>> store = nbs.open_store("memory:")
    >>> columns(store.backend, asked(store, "events"))["tool_name"]
    []
    """
    calls = [*_Calls(backend, asked)]
    calls.sort(key=lambda call: (call.started_at is None, call.started_at))
    return {name: [getattr(call, name) for call in calls] for name in _CALL}


class _Calls:
    """Iterates over the calls that filters mean."""

    def __init__(self, backend: Backend, asked: Columns) -> None:
        self._backend, self._asked = backend, asked
        # Whatever else is asked of runs: a call in a message that a run tells of is no other call.
        self._runs = {run.run_id: run for run in _runs(backend, asked)}
        self._by_turn = {run.turn_id: run for run in self._runs.values() if run.turn_id is not None}
        self._told: dict[str, dict[str, list[_Call]]] = {}
        for piece in pieces(backend, asked._replace(names=("run_id", "type", "data"), type=_EVENTS)):
            for run_id, kind, data in zip(piece["run_id"], piece["type"], piece["data"], strict=True):
                self._take(run_id, kind.removeprefix(_EVENTS), parsed(data))
        self._of_session: dict[Key, list[str]] = defaultdict(list)
        for run_id in self._told:
            self._of_session[self._runs[run_id].key].append(run_id)

    def __iter__(self) -> Iterator[_Call]:
        for calls in self._told.values():
            for several in calls.values():
                yield from several
        query = self._asked.sessions._replace(since=self._asked.since)
        for record in self._backend.find(query):
            yield from filter(self._is_meant, self._of_messages(record))

    # Events

    def _take(self, run_id: str, step: str, event: dict[str, Any]) -> None:
        call_id, run = str(event.get("toolCallId") or ""), self._runs.get(run_id)
        if run is None:  # it was stored since
            return
        calls = self._told.setdefault(run_id, {}).setdefault(call_id, [])
        at = time_of(event)
        if step == "START" or (step == "CHUNK" and not calls):
            where = (run.session_id, run.session_name, run.conversation_id)
            about = (run.agent_name, *where, run_id, run.turn_id)
            name = str(event.get("toolCallName") or "tool")
            calls.append(_Call(call_id, name, *about, started_at=at, called_at=at))
        if step in ("ARGS", "CHUNK") and calls:
            calls[-1].arguments += str(event.get("delta") or "")
        if step == "RESULT":
            for call in [call for call in calls if call.result is None][:1]:
                call.answer(str(event.get("content") or ""), at)

    # Messages

    def _of_messages(self, record: SessionRecord) -> Iterator[_Call]:
        """Yield the calls in a session's messages that no event tells of; tell the others more."""
        history = [one for one in said(self._backend, record, record.head) if not one.inherited]
        left = self._left(record, {one.turn.turn_id for one in history})
        waiting: dict[str, list[_Call]] = defaultdict(list)
        known: dict[tuple[str, str], list[_Call]] = {}
        own: list[_Call] = []
        for one in history:
            for call in one.message.calls:
                place = (one.turn.turn_id, call.call_id)
                if place not in known:
                    known[place] = self._known(one.turn.turn_id, call.call_id)
                if known[place]:
                    waiting[call.call_id].append(known[place].pop(0))
                elif (call.call_id, call.name) not in left:
                    made = self._made(one, call.call_id, call.name, call.arguments)
                    own.append(made)
                    waiting[call.call_id].append(made)
            if one.message.role == "tool" and waiting[one.message.tool_call_id or ""]:
                answered = waiting[one.message.tool_call_id or ""].pop(0)
                failed = one.message.get("is_error") is True
                answered.answer(one.message.text, _own_time(one), failed=failed)
        yield from own

    def _left(self, record: SessionRecord, present: set[str]) -> set[tuple[str, str]]:
        """Return the calls of runs whose turns the session has left: what is kept of one is a copy."""
        return {
            (call.tool_call_id, call.tool_name)
            for run_id in self._of_session[Key.of(record)]
            if self._runs[run_id].turn_id not in present
            for several in self._told[run_id].values()
            for call in several
        }

    def _known(self, turn_id: str, call_id: str) -> list[_Call]:
        """Return the calls of this id that events tell of: of a turn's run, and of what that went on from."""
        runs: list[_Run] = []
        run = self._by_turn.get(turn_id)
        while run is not None and run not in runs:
            runs.insert(0, run)
            run = None if run.retry_of is None else self._runs.get(run.retry_of)
        return [call for run in runs for call in self._told.get(run.run_id, {}).get(call_id, [])]

    def _made(self, one: Said, call_id: str, name: str, arguments: str) -> _Call:
        record, run = one.record, self._by_turn.get(one.turn.turn_id)
        return _Call(
            call_id,
            name,
            record.agent_name if run is None else run.agent_name,
            record.session_id,
            record.name,
            record.conversation_id,
            None if run is None else run.run_id,
            one.turn.turn_id,
            arguments,
            started_at=one.at,
            called_at=_own_time(one),
        )

    def _is_meant(self, call: _Call) -> bool:
        asked, run = self._asked, None if call.run_id is None else self._runs[call.run_id]
        at = call.started_at if run is None else run.started_at
        return (
            asked.agent_name in (None, call.agent_name)
            and asked.model in (None, None if run is None else run.model)
            and (asked.since is None or (at is not None and at >= asked.since))
            and (asked.until is None or (at is not None and at < asked.until))
        )


def _runs(backend: Backend, asked: Columns) -> Iterable[_Run]:
    for piece in pieces(backend, Columns("runs", _RUN, asked.sessions)):
        yield from map(_Run, *(piece[name] for name in _RUN))


def _own_time(one: Said) -> int | None:
    timestamp = one.message.timestamp
    return None if timestamp is None else micros(timestamp)
