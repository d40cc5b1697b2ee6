"""What is stored: messages, turns, sessions, runs, events, usage."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema

from nbsessions.exceptions import InvalidInput

Role = Literal["system", "user", "assistant", "tool"]
RunStatus = Literal["running", "completed", "failed", "cancelled", "suspended", "interrupted"]

TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled", "interrupted"})


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class _InUTC:
    """Takes times of any timezone, naive ones as UTC, and gives them in UTC."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> core_schema.CoreSchema:
        # What is stored is in UTC already, and is read by the first of the two without a call to Python.
        other = core_schema.no_info_after_validator_function(_in_utc, core_schema.datetime_schema())
        return core_schema.union_schema(
            [core_schema.datetime_schema(tz_constraint=0), other], mode="left_to_right"
        )


Timestamp = Annotated[datetime, _InUTC]


class Call(NamedTuple):
    """A call of a tool, as a message tells it.

    Examples
    --------
    >>> Call("c1", "add", '{"a": 1}').name
    'add'
    """

    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class Message(BaseModel):
    """One chat message, in the shape of the OpenAI chat format.

    Fields that are not listed here are kept as they came. ``message["role"]`` reads like
    ``message.role``.

    Attributes
    ----------
    role : {"system", "user", "assistant", "tool"}
    content : str or list of dict or None
        Text, or the content parts of a multi-modal message.
    timestamp : datetime or None
        Timezone-aware, UTC.
    name, tool_call_id : str or None
    tool_calls : list of dict or None

    Examples
    --------
    >>> message = Message(role="user", content="Hello")
    >>> message.role, message["content"]
    ('user', 'Hello')
    >>> message.to_dict()
    {'role': 'user', 'content': 'Hello'}
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    role: Role
    content: str | list[Any] | None = Field(default=None, union_mode="left_to_right")
    timestamp: Timestamp | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def __getitem__(self, key: str) -> Any:
        if key in type(self).model_fields:
            return getattr(self, key)
        return (self.__pydantic_extra__ or {})[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or `default` where the message has none of that name.

        Examples
        --------
        >>> Message(role="user", content="Hello").get("weight", 1)
        1
        """
        try:
            return self[key]
        except KeyError:
            return default

    @property
    def text(self) -> str:
        """The content as plain text: content parts that are not text are left out.

        Examples
        --------
        >>> Message(role="user", content=[{"type": "text", "text": "Hi"}]).text
        'Hi'
        """
        if isinstance(self.content, list):
            parts = [part.get("text") if isinstance(part, dict) else part for part in self.content]
            return "\n".join(part for part in parts if part and isinstance(part, str))
        return self.content or ""

    @property
    def calls(self) -> list[Call]:
        """The calls of tools: what is missing in one, or in another shape, is read as well as it can be.

        Examples
        --------
        >>> function = {"name": "add", "arguments": '{"a": 1}'}
        >>> Message(role="assistant", tool_calls=[{"id": "c1", "function": function}]).calls
        [Call(call_id='c1', name='add', arguments='{"a": 1}')]
        """
        found = []
        for call in self.tool_calls or []:
            function = call.get("function")
            told = function if isinstance(function, dict) else call
            arguments = told.get("arguments") or "{}"
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            found.append(Call(str(call.get("id") or ""), str(told.get("name") or "tool"), text))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the message as a dict for JSON, without the listed fields that are empty.

        `content` stays, also as None: providers ask for it beside `tool_calls`. Fields that are not
        listed stay as they came.

        Examples
        --------
        >>> Message(role="assistant").to_dict()
        {'role': 'assistant', 'content': None}
        """
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp.isoformat().replace("+00:00", "Z")
        listed = {"name": self.name, "tool_calls": self.tool_calls, "tool_call_id": self.tool_call_id}
        data |= {name: value for name, value in listed.items() if value is not None}
        return data | (self.__pydantic_extra__ or {})


MESSAGES = TypeAdapter(list[Message])
_Model = TypeVar("_Model", bound=BaseModel)
# The slots of a model, written as `object.__setattr__` would, without looking each one up by name.
_set_dict, _set_fields, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


@cache
def _fields_of(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def trusted(model: type[_Model], fields: dict[str, Any]) -> _Model:
    """Return a record of all its fields, which are known to be valid, without checking them.

    What ``model_construct`` does, but for its defaults and aliases, in a fraction of the time.

    Examples
    --------
    >>> trusted(Message, {**dict.fromkeys(Message.model_fields), "role": "user"}).role
    'user'
    """
    record: _Model = object.__new__(model)
    _set_dict(record, fields)
    # Records are frozen, and a copy copies this set, so that one may serve all.
    _set_fields(record, _fields_of(model))
    _set_extra(record, None)
    _set_private(record, None)
    return record


class Usage(BaseModel):
    """Tokens and cost of one or more requests to a model.

    Attributes
    ----------
    input_tokens : int
        All tokens sent, those read from and written to a cache included.
    output_tokens : int
        All tokens generated, reasoning included.
    cache_read_tokens, cache_write_tokens, reasoning_tokens, requests : int
    cost : Decimal or None
        US dollars. None where the model has no known price; never zero for "unknown".

    Examples
    --------
    >>> total = Usage(input_tokens=10, requests=1) + Usage(input_tokens=5, output_tokens=2, requests=1)
    >>> total.total_tokens, total.requests, total.cost
    (17, 2, None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    cost: Decimal | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together.

        Examples
        --------
        >>> Usage(input_tokens=3, output_tokens=4).total_tokens
        7
        """
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [usage.cost for usage in (self, other) if usage.cost is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            requests=self.requests + other.requests,
            cost=sum(costs, Decimal(0)) if costs else None,
        )

    def __sub__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) - getattr(other, name) for name in _COUNTS}
        cost = None if self.cost is None else self.cost - (other.cost or Decimal(0))
        return Usage(**counts, cost=cost)


_COUNTS = [name for name in Usage.model_fields if name != "cost"]


class Head(NamedTuple):
    """Where a session stands: a turn, and how many of its messages are kept (None: all).

    Examples
    --------
    >>> Head(None)
    Head(turn_id=None, keep=None)
    """

    turn_id: str | None = None
    keep: int | None = None


class Turn(NamedTuple):
    """An immutable commit of native messages, linked to its parent turn.

    A tuple rather than a pydantic model, because ten thousand of them are read at once: what they
    hold is validated when it is looked at, by the codec.

    Attributes
    ----------
    turn_id : str
        UUIDv7.
    parent_id : str or None
    parent_hash : bytes or None
    codec : str
        Name of the codec that reads `body`.
    body : str
        The native messages, a JSON array.
    message_count : int
        Messages in this turn, as the codec counts them.
    total_messages, total_turns, depth : int
        Messages, prompts and turns from the root up to and with this one.
    has_system : bool
        Whether a system message is among its messages.
    cell_id : str or None
        The notebook cell that asked.
    created_at : int
        Microseconds since 1970, UTC.
    content_hash : bytes or None
        Of a redacted turn, 64 bytes: SHA-256 of the codec and body that it had, which `hash` is made of,
        and of those that it has. Else None.
    hash : bytes
        SHA-256 of the parent's hash and the content hash.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> turn = session.turns[0]
    >>> turn.codec, turn.message_count, turn.parent_id
    ('chat', 1, None)
    """

    turn_id: str
    parent_id: str | None
    parent_hash: bytes | None
    codec: str
    body: str
    message_count: int
    total_messages: int
    total_turns: int
    depth: int
    has_system: bool
    cell_id: str | None
    created_at: int
    content_hash: bytes | None
    hash: bytes


class SessionRecord(BaseModel):
    """One row of the list of sessions; `Session` is the handle to work with it.

    Attributes
    ----------
    session_id : str
    conversation_id : str or None
        The A2A conversation that it belongs to; None at top level.
    name : str or None
    agent_name, owner : str
    tags : list of str
    created_at, updated_at : datetime
        Timezone-aware, UTC.
    metadata, state : dict
    head : Head
    draft : Head or None
        Where unsaved work stands, with auto-save off.
    message_count, turn_count : int
        At the head; `turn_count` counts prompts.
    usage : Usage
        What this session's own runs spent.
    model, notebook, parent_session_id : str or None

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan", tags=["draft"])
    >>> record = store.list()[0]
    >>> record.name, record.tags, record.message_count
    ('plan', ['draft'], 0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_id: str
    conversation_id: str | None = None
    name: str | None = None
    agent_name: str
    owner: str
    tags: list[str] = []
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any] = {}
    state: dict[str, Any] = {}
    head: Head = Head()
    draft: Head | None = None
    message_count: int = 0
    turn_count: int = 0
    usage: Usage = Usage()
    model: str | None = None
    notebook: str | None = None
    parent_session_id: str | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output tokens of this session's own runs.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").record.total_tokens
        0
        """
        return self.usage.total_tokens

    @property
    def label(self) -> str:
        """The name, or the last 8 digits of the id: what people are shown.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").create("plan").record.label
        'plan'
        """
        return self.name or self.session_id[-8:]


class Run(BaseModel):
    """One attempt by an agent to answer.

    Attributes
    ----------
    run_id, session_id : str
    conversation_id : str or None
    agent_name : str
    model, provider : str or None
    status : {"running", "completed", "failed", "cancelled", "suspended", "interrupted"}
    prompt : str or None
    base : Head
        The head that the agent answered from.
    turn_id : str or None
        The turn that it committed.
    started_at, finished_at : datetime
        Timezone-aware, UTC; `finished_at` is None while it runs.
    usage : Usage
    error : str or None
        One line.
    event_count : int
    cell_id, retry_of : str or None
    output : object
        What the agent returned. It is there on the run that `send` gives, and is not stored.
    carried : Usage
        What the run spent that this one went on from: see `Session.resume_run`. Not stored, and not a
        part of `usage`, so that nothing is counted twice.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: prompt.upper())
    >>> run.status, run.output
    ('completed', 'HELLO')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    session_id: str
    conversation_id: str | None = None
    agent_name: str
    model: str | None = None
    provider: str | None = None
    status: RunStatus = "running"
    prompt: str | None = None
    base: Head = Head()
    turn_id: str | None = None
    started_at: datetime
    finished_at: datetime | None = None
    usage: Usage = Usage()
    error: str | None = None
    event_count: int = 0
    cell_id: str | None = None
    retry_of: str | None = None
    worker: str | None = None
    """``host:pid`` of the process that runs it."""
    lease_until: datetime | None = None
    """Whoever opens the session after this may call the run interrupted."""
    output: Any = Field(default=None, exclude=True, repr=False)
    carried: Usage = Field(default=Usage(), exclude=True, repr=False)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while it runs.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.send("Hello", agent=lambda prompt: "Hi").duration < 5
        True
        """
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


class Event(BaseModel):
    """One step of a run: an AG-UI 1.0 event, as it was stored.

    Attributes
    ----------
    seq : int
        Position in the run, from 0.
    type : str
        Such as ``TEXT_MESSAGE_CONTENT``.
    data : dict
        The whole event in AG-UI's wire format (camelCase), https://docs.ag-ui.com/concepts/events.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> [event.type for event in session.run_events(run.run_id)][:2]
    ['RUN_STARTED', 'TEXT_MESSAGE_START']
    """

    model_config = ConfigDict(frozen=True)

    seq: int
    type: str
    data: dict[str, Any]


class EventPage(list[Event]):
    """Events of a run, in order, and what there is to know of those that are not among them.

    Attributes
    ----------
    gap : bool
        Whether events that belong before, among or right after these are not there: dropped, or lost.
    event_count : int
        How many events the run has had, those that are no longer kept included.
    cursor : int
        What to ask for the next page with, as `after`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> page = session.run_events(run.run_id, limit=2)
    >>> [event.seq for event in page], page.gap, page.event_count, page.cursor
    ([0, 1], False, 5, 1)
    """

    def __init__(self, events: Iterable[Event], *, after: int, limit: int | None, event_count: int) -> None:
        super().__init__(events)
        self.event_count = event_count
        self.cursor = self[-1].seq if self else after
        numbers = [event.seq for event in self]
        expected = range(after + 1, after + 1 + len(numbers))
        # A page that is not full is the last one: nothing may come after it.
        ends = limit is None or len(numbers) < limit
        self.gap = numbers != list(expected) or (ends and expected.stop < event_count)


class Step(NamedTuple):
    """A turn without what it says: its place among the others.

    Examples
    --------
    >>> Step("01b", "01a", 2, 4, 2, 2).total_messages
    4
    """

    turn_id: str
    parent_id: str | None
    message_count: int
    total_messages: int
    total_turns: int
    depth: int


class Checkpoint(BaseModel):
    """A name for a turn, with the session's state at that moment.

    Attributes
    ----------
    checkpoint_id : str
        UUIDv7.
    session_id : str
        Where it was made; empty where that session was deleted.
    name : str
        Several may have the same: the newest is meant then.
    head : Head
    message_count, turn_count : int
        Messages and prompts up to there.
    state : dict
    created_at : datetime
        Timezone-aware, UTC.
    parent_id : str or None
        The checkpoint that the session had before.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.checkpoint("before").message_count
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint_id: str
    session_id: str
    name: str
    head: Head
    message_count: int
    turn_count: int
    state: dict[str, Any] = Field(default_factory=dict)
    created_at: datetime
    parent_id: str | None = None


class LogEntry(NamedTuple):
    """One line of a session's head log.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> [entry.action for entry in session.log()]
    ['message', 'create']
    """

    entry_id: int
    action: str
    done: str
    """The move that led here: the action, but for those (``undo``, ``state``) that are no move."""
    head: Head
    message_count: int
    turn_count: int
    state: str
    at: int
    before: int | None
    draft: bool = False
    base: int | None = None
    """Of a draft: the saved entry that it began from."""


def parse_messages(messages: object) -> list[Message]:
    """Return `messages`, dicts or `Message` objects, as messages.

    Raises
    ------
    InvalidInput
        Where one has no role that is known, or a field of the wrong type.

    Examples
    --------
    >>> parse_messages([{"role": "user", "content": "Hi"}])[0].text
    'Hi'
    """
    try:
        return MESSAGES.validate_python(messages)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "message"
        raise InvalidInput(f"Not a chat message: {where}: {first['msg']}.") from None
    except RecursionError:
        raise InvalidInput("Not a chat message: it is nested too deeply.") from None
