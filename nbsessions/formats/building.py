"""
Sessions of other tools, made into turns and runs as they are read.

Every id follows from what was said and where, so that what is imported twice is the same twice, and what
grew since goes on where it ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from nbsessions.chains import make_turn, read
from nbsessions.codecs import is_prompt
from nbsessions.exceptions import InvalidInput
from nbsessions.formats.reading import moment
from nbsessions.formats.running import Runs, bill_of
from nbsessions.formats.stable import stable_id
from nbsessions.names import check_id, check_name, check_tags
from nbsessions.records import (
    Checkpoint,
    Head,
    LogEntry,
    Run,
    RunStatus,
    SessionRecord,
    Spent,
    Turn,
    Usage,
)
from nbsessions.stores.arguments import Bundle
from nbsessions.text import one_line
from nbsessions.values import encode_json, from_micros, micros, now, plain_json

IMPORTED: Final = "import"
"""What the head log calls a move that an import made."""
_ROLES: Final = {
    "developer": "system",
    "function": "tool",
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
}
_LONGEST_NAME: Final = 180


@dataclass
class _Open:
    """A turn or a run that is being read."""

    items: list[Any] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None
    prompt: str | None = None
    spent: list[Spent] | None = None
    """What makes it a run, though it be nothing."""
    model: str | None = None
    provider: str | None = None
    status: RunStatus = "completed"
    error: str | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def pass_by(self, at: datetime | None) -> None:
        self.first = self.first or at
        self.last = max(self.last, at) if self.last and at else self.last or at

    def is_run(self) -> list[Spent]:
        """Make it a run, and return what that spent."""
        self.spent = [] if self.spent is None else self.spent
        return self.spent


class Building:
    """A session of another tool, on its way to a `Bundle`.

    Parameters
    ----------
    source : str
        The name of the format; ids follow from it, too.
    session_id : str or None
        As the tool has it. None, or one that cannot be one here: it follows from the first turn.
    agent_name : str
    name, title : str or None
        A name that is unique in its tool; a title, which is not.
    tags, metadata, state
    conversation_id, parent_session_id : str or None
    created_at, updated_at : datetime or None
        None: those of the first and the last message.
    model, notebook : str or None
    codec : str
        Of the messages that are added.

    Raises
    ------
    InvalidInput
        From every method: something cannot be stored.

    Examples
    --------
    >>> building = Building("example", "chat-7", agent_name="helper", title="Greetings")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> building.add({"role": "assistant", "content": "Hello!"})
    >>> building.spend(Usage(input_tokens=3, output_tokens=2, requests=1), model="gpt-4o")
    >>> bundle = building.bundle()
    >>> bundle.record.message_count, bundle.record.turn_count, bundle.runs[0].usage.total_tokens
    (2, 1, 5)
    """

    def __init__(
        self,
        source: str,
        session_id: str | None,
        *,
        agent_name: str,
        name: str | None = None,
        title: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        conversation_id: str | None = None,
        parent_session_id: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
        model: str | None = None,
        notebook: str | None = None,
        codec: str = "chat",
    ) -> None:
        self.source = source
        self.metadata = plain_json(metadata or {}, "metadata")
        self.state = plain_json(state or {}, "state")
        self.title = _name(title)
        self.name, self.model, self.notebook = _name(name), model, notebook
        self.tags = check_tags(line for tag in tags if (line := one_line(tag, 100)))
        self.agent_name = one_line(agent_name, 200) or source
        self.created_at, self.updated_at = created_at, updated_at
        self._session_id = self._id(session_id, "session_id")
        self._conversation_id = self._id(conversation_id, "conversation_id")
        self._parent_session_id = self._id(parent_session_id, "parent_session_id")
        self._codec = codec
        self._open = _Open()
        self._turns: dict[str, Turn] = {}
        self._runs = Runs()
        self._checkpoints: list[Checkpoint] = []
        self._at: Turn | None = None
        self._log: list[LogEntry] = []

    def _id(self, given: str | None, what: str) -> str | None:
        if not given:
            return None
        try:
            return check_id(given, what)
        except InvalidInput:
            self.metadata[what] = given
            return stable_id(self.source, what, given)

    def call(self, title: str | None) -> None:
        """Give it another title, where one is told later on.

        Examples
        --------
        >>> building = Building("example", "chat-7", agent_name="helper")
        >>> building.call("Greetings")
        >>> building.bundle().record.name
        'Greetings'
        """
        self.title = _name(title) or self.title

    # What was said

    def add(self, message: Mapping[str, Any], *, at: datetime | None = None) -> None:
        """Add a chat message; a prompt begins a new turn.

        Names that other tools have for the roles are understood; keys that a message does not have stay on
        it. A time that is none is kept as ``time``.

        Parameters
        ----------
        message : mapping
        at : datetime or None
            None: its own `timestamp`, if it has one.

        Examples
        --------
        >>> Building("example", None, agent_name="helper").add({"role": "human", "content": "Hi"})
        """
        said = dict(message)
        role = said.get("role")
        said["role"] = _ROLES.get(role, role) if isinstance(role, str) else role
        if not isinstance(said.get("content"), (str, list, type(None))):
            said["content"] = json.dumps(said["content"], ensure_ascii=False)
        stamp = said.pop("timestamp", None)
        at = at or moment(stamp)
        if at is not None:
            said["timestamp"] = at.isoformat().replace("+00:00", "Z")
        elif stamp is not None:
            said["time"] = stamp
        self.add_native(said, at=at, reader="chat")

    def add_native(self, item: Any, *, at: datetime | None = None, reader: str | None = None) -> None:
        """Add a message as its framework writes it, for the codec of this session.

        Examples
        --------
        >>> building = Building("example", None, agent_name="helper", codec="pydantic-ai")
        >>> part = {"part_kind": "user-prompt", "content": "Hi"}
        >>> building.add_native({"kind": "request", "parts": [part]})
        """
        if reader not in (None, self._codec):
            raise InvalidInput(f"The messages of this session are of {self._codec!r}.")
        view = read(self._codec, encode_json([item], "message"))
        prompts = [message for message in view if is_prompt(message)]
        # What stands before the first prompt, such as a system message, belongs to its turn.
        if prompts and self._open.prompt is not None:
            self._finish()
        if prompts and self._open.prompt is None:
            self._open.prompt = prompts[0].text
        self._open.items.append(item)
        self._open.pass_by(at or next((m.timestamp for m in view if m.timestamp is not None), None))

    def spend(
        self,
        usage: Usage,
        *,
        model: str | None = None,
        provider: str | None = None,
        at: datetime | None = None,
        hour_cache_tokens: int = 0,
    ) -> None:
        """Count a request of the turn that is being read, which makes it one of a run.

        It gets the price of its time, unless a cost is told. One without a model is of the same as the one
        before.

        Examples
        --------
        >>> building = Building("example", None, agent_name="helper")
        >>> building.spend(Usage(input_tokens=3, requests=1), model="gpt-4o", provider="openai")
        """
        made = self._open
        if model is not None or provider is not None:
            made.model, made.provider = model or made.model, provider
        request = Spent(usage, made.model, made.provider, at, hour_cache_tokens=hour_cache_tokens)
        made.is_run().append(request)
        made.pass_by(at)

    def end(self, status: RunStatus = "completed", error: str | None = None) -> None:
        """Say how the run of the turn that is being read ended.

        Examples
        --------
        >>> Building("example", None, agent_name="helper").end("failed", "no network")
        """
        self._open.status, self._open.error = status, None if error is None else one_line(error)
        self._open.is_run()

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add an event of the run of the turn that is being read.

        Examples
        --------
        >>> Building("example", None, agent_name="helper").event("agent_start", {"type": "agent_start"})
        """
        self._open.events.append((kind, plain_json(data, "event")))
        self._open.is_run()

    def run(
        self,
        key: str,
        *,
        status: RunStatus = "completed",
        prompt: str | None = None,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        usage: Usage | None = None,
        spent: Sequence[Spent] = (),
        model: str | None = None,
        provider: str | None = None,
        error: str | None = None,
        events: Sequence[tuple[str, Mapping[str, Any]]] = (),
    ) -> None:
        """Add a run that is not of one turn: one that committed nothing, or what a whole session spent.

        `key` tells it from the others of the session. What it spent is told as `usage`, or as the requests
        that it `spent`.

        Examples
        --------
        >>> building = Building("example", None, agent_name="helper")
        >>> building.run("total", usage=Usage(input_tokens=100, output_tokens=50))
        """
        self._finish()
        start = started_at or self.created_at or self._last_time()
        model = model or next((one.model for one in reversed(spent) if one.model), self.model)
        requests = spent or ([] if usage is None else [Spent(usage, model, provider)])
        bill = bill_of(requests, start, model=model, provider=provider, otherwise=self.model)
        self._runs.keep(
            Run(
                run_id=stable_id(self.source, *self._key(), "run", key),
                session_id=self._key()[1],
                conversation_id=self._conversation_id,
                agent_name=self.agent_name,
                model=model,
                provider=provider,
                status=status,
                # Without a turn, nothing else could tell what was asked.
                prompt=prompt or "",
                base=Head(None if self._at is None else self._at.turn_id),
                started_at=start,
                finished_at=finished_at or self.updated_at or start,
                **bill._asdict(),
                error=None if error is None else one_line(error),
            ),
            [(kind, plain_json(data, "event")) for kind, data in events],
        )

    # Where it stands

    @property
    def here(self) -> str | None:
        """The turn up to which was read; what is being read ends with it."""
        self._finish()
        return None if self._at is None else self._at.turn_id

    def go(self, turn_id: str | None) -> None:
        """Go on from a turn that was read before, or from the beginning; the line that is left stays.

        Examples
        --------
        >>> building = Building("example", None, agent_name="helper")
        >>> start = building.here
        >>> building.add({"role": "user", "content": "Hi"})
        >>> building.go(start)
        >>> building.add({"role": "user", "content": "Hello"})
        >>> [turn.parent_id for turn in building.bundle().turns]
        [None, None]
        """
        self._finish()
        self._at = None if turn_id is None else self._turns[turn_id]

    def checkpoint(self, name: str) -> None:
        """Give this place a name.

        Examples
        --------
        >>> Building("example", None, agent_name="helper").checkpoint("before the experiment")
        """
        self._finish()
        head = Head(None if self._at is None else self._at.turn_id)
        self._checkpoints.append(
            Checkpoint(
                checkpoint_id=stable_id(self.source, *self._key(), "checkpoint", name, head.turn_id),
                session_id=self._key()[1],
                name=check_name(_name(name) or "checkpoint"),
                head=head,
                message_count=0 if self._at is None else self._at.total_messages,
                turn_count=0 if self._at is None else self._at.total_turns,
                state=self.state,
                created_at=self._last_time(),
                parent_id=self._checkpoints[-1].checkpoint_id if self._checkpoints else None,
            )
        )

    def bundle(self) -> Bundle:
        """Return the session that was read.

        Examples
        --------
        >>> Building("example", "chat-7", agent_name="helper").bundle().record.session_id
        'chat-7'
        """
        self._finish()
        sid, last, head = self._key()[1], self._last_time(), self.here
        created = self.created_at or self._first_time()
        self._log.insert(0, LogEntry(0, "create", "create", Head(), 0, 0, "{}", micros(created), None))
        stood = self._log[-1].head.turn_id
        if stood != head or self.state:
            self._enter(self._at, last)
        record = SessionRecord(
            session_id=sid,
            conversation_id=self._conversation_id,
            name=self.name or self.title,
            agent_name=self.agent_name,
            owner="",
            tags=self.tags,
            created_at=created,
            updated_at=self.updated_at or max(last, created),
            metadata=self.metadata,
            state=self.state,
            head=Head(head),
            message_count=0 if self._at is None else self._at.total_messages,
            turn_count=0 if self._at is None else self._at.total_turns,
            usage=self._runs.usage,
            model=self._runs.model or self.model,
            notebook=self.notebook,
            parent_session_id=self._parent_session_id,
        )
        return Bundle(
            record,
            turns=list(self._turns.values()),
            log=[entry._replace(entry_id=at, before=at - 1 or None) for at, entry in enumerate(self._log, 1)],
            checkpoints=self._checkpoints,
            runs=self._runs.all,
            events=self._runs.events,
            title=self.title if self.name is None else None,
        )

    def _key(self) -> tuple[str, str]:
        """Return the conversation and the id; without one from its tool, what was first said tells it."""
        if self._session_id is None:
            first = encode_json(self._open.items, "turn")
            self._session_id = stable_id(self.source, "session", self._conversation_id, first)
        return self._conversation_id or "", self._session_id

    def _finish(self) -> None:
        """Make a turn of what was read since the last one."""
        made, parent = self._open, self._at
        # Without an id of its own, what is still open says which session it is.
        key = self._key() if made.items or made.spent is not None else ("", "")
        self._open = _Open()
        if made.items:
            self._at = self._turn(key, made, parent)
        if made.spent is not None:
            self._keep_run(key, made, parent)

    def _turn(self, key: tuple[str, str], made: _Open, parent: Turn | None) -> Turn:
        body = encode_json(made.items, "turn")
        view = read(self._codec, body)
        turn = make_turn(parent, self._codec, body, view, prompts=sum(map(is_prompt, view)))
        at = made.last or self._last_time()
        # A hash over all that was said before makes turns of one place differ where they do.
        said = sha256(turn.hash).hexdigest()
        turn = turn._replace(turn_id=stable_id(self.source, *key, "turn", said), created_at=micros(at))
        turn = self._turns.setdefault(turn.turn_id, turn)
        self._enter(turn, at)
        return turn

    def _enter(self, turn: Turn | None, at: datetime) -> None:
        counts = (0, 0) if turn is None else (turn.total_messages, turn.total_turns)
        head = Head(None if turn is None else turn.turn_id)
        state = encode_json(self.state, "state")
        self._log.append(LogEntry(0, IMPORTED, IMPORTED, head, *counts, state, micros(at), None))

    def _keep_run(self, key: tuple[str, str], made: _Open, parent: Turn | None) -> None:
        above = None if parent is None else parent.turn_id
        start = made.first or self._last_time()
        turn_id = self._at.turn_id if made.items and self._at is not None else None
        # The prompt tells it, so that it is the same one when its answer has grown.
        run_id = self._runs.free_id(stable_id(self.source, *key, "run", above, made.prompt, made.first))
        model, provider = made.model or self.model, made.provider
        bill = bill_of(made.spent or (), start, model=model, provider=provider, otherwise=self.model)
        run = Run(
            run_id=run_id,
            session_id=key[1],
            conversation_id=self._conversation_id,
            agent_name=self.agent_name,
            model=model,
            provider=provider,
            status=made.status,
            prompt=None if turn_id is not None else made.prompt,
            base=Head(above),
            turn_id=turn_id,
            started_at=start,
            finished_at=max(made.last or start, start),
            **bill._asdict(),
            error=made.error,
        )
        self._runs.keep(run, made.events)

    def _first_time(self) -> datetime:
        times = [from_micros(turn.created_at) for turn in self._turns.values()]
        times += [run.started_at for run in self._runs.all]
        return min(times, default=self.created_at or self.updated_at or now())

    def _last_time(self) -> datetime:
        if self._at is not None:
            return from_micros(self._at.created_at)
        return self.created_at or self.updated_at or now()


def _name(text: str | None) -> str | None:
    """Return a name as one line; what is reserved here cannot be one."""
    # A quote could not be typed on a line of ours, where it ends a name.
    name = one_line(text, _LONGEST_NAME).replace('"', "'") if text else ""
    return f"{name} (imported)" if name == "latest" else name or None
