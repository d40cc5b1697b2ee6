"""What an adapter is: it takes a prompt and a history, emits AG-UI events, and returns an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nbsessions.codecs import codec
from nbsessions.permissions import Decision, ToolQuestion, nobody
from nbsessions.records import Message, Spent, Usage
from nbsessions.values import new_id

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.stores.base import Progress

Emit = Callable[["BaseEvent"], None]
OUTPUT_IS_GONE = (
    "The output of the stored answer cannot be made again from what was said. "
    "Leave --rerun replay out to ask anew."
)
"""What `Adapter.output` says where it cannot make the output again."""


def _required(tool_name: str, required: bool) -> bool:
    return required


async def _nobody(question: ToolQuestion) -> Decision:
    return nobody(question)


@dataclass(frozen=True, slots=True)
class Request:
    """What the runner asks of an adapter.

    Attributes
    ----------
    prompt : str
    messages : sequence of Message
        The history as a chat, trimmed to what the agent shall see.
    native : str
        The same history as a JSON array in the adapter's own codec.
    session_id, run_id : str
    model : str or None
        A model asked for by the person, for this run only.
    approve : callable
        Whether a tool may be called that must not be without being asked about: await it in `arun`. The
        rules decide, or the person is asked on their own thread while the run is ``suspended``; what was
        decided is told in the log of the run. Who can go on later keeps its progress first.
    decide : callable
        What `approve` is, for `run`: it is called on the thread of the person.
    must_ask : callable
        Takes the name of a tool, and whether the agent itself wants it asked about; tells whether its calls
        have to go through `approve`. Ask it about every tool whose calls can be held back.
    """

    prompt: str
    messages: Sequence[Message]
    native: str
    session_id: str
    run_id: str
    model: str | None = None
    untold: Mapping[str, int] = field(default_factory=dict)
    """What was said before and cannot be told to this agent, such as images; the log tells it."""
    progress: Progress | None = None
    """Where an earlier run of this prompt had come to: go on from there. Only where `goes_on`."""
    approve: Callable[[ToolQuestion], Awaitable[Decision]] = _nobody
    must_ask: Callable[[str, bool], bool] = _required
    decide: Callable[[ToolQuestion], Decision] = nobody


@dataclass(slots=True)
class Answer:
    """What an adapter gives back.

    An adapter fills it while it works (``request`` and ``answer`` arrive together), so that a run
    that fails half-way still tells which model it used and what it spent.

    Attributes
    ----------
    body : str
        The new native messages, the prompt first, as a JSON array in the adapter's codec.
    output : object
        What `Run.output` and ``--into`` give.
    usage : Usage
        In all.
    requests : list of Spent
        What each request to a model spent, as far as the adapter can tell; what `usage` has beside them is
        taken for one more.
    model, provider : str or None
    on_progress : callable
        Takes a body that the agent could go on from (``[]``: none yet), and what it spent so far: call
        it where a step is done that shall not be done again, such as a call of a tool.
    on_request : callable
        Call it right before each request to a model, with `usage` and `requests` brought up to date: it
        raises where a limit is reached.
    """

    body: str = "[]"
    output: Any = None
    usage: Usage = field(default_factory=Usage)
    requests: list[Spent] = field(default_factory=list)
    model: str | None = None
    provider: str | None = None
    on_progress: Callable[[str, Usage], None] = lambda body, usage: None
    on_request: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that an agent has.

    Attributes
    ----------
    name : str
        What its calls are named, and what rules for tools are held against.
    description : str
        What the model is told of it.

    Examples
    --------
    >>> Tool("add", "Add two numbers.\\n\\nBoth are whole.").summary
    'Add two numbers.'
    """

    name: str
    description: str = ""

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.strip().partition("\n")[0]


class Adapter:
    """Makes an agent of some framework answer; base of the adapters.

    A member sets `codec`, gives `name` and `model`, and overrides exactly one of `run` (called on
    the thread of the person, where an interrupt reaches it) and `arun` (awaited on the runner's
    loop, where an interrupt cancels it).

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.values import encode_json
    >>> class Parrot(Adapter):
    ...     def run(self, request, emit, answer):
    ...         said = [Message(role="user", content=request.prompt), Message(role="assistant", content="Hi")]
    ...         answer.body, answer.output = encode_json([one.to_dict() for one in said], "answer"), "Hi"
    ...         announce(said[-1], emit)
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.send("Hello", agent=Parrot("parrot")).output, session.message_count
    ('Hi', 2)
    """

    codec: ClassVar[str] = "chat"
    progress_codec: ClassVar[str | None] = None
    """How its progress is written, where that is no JSON array in its codec."""
    is_async: bool = False
    takes: ClassVar[frozenset[str] | None] = None
    """Types of parts of chat messages that it takes beside text; None: all that its codec can write."""
    takes_model: bool = False
    """Whether a request may ask for another model."""
    goes_on: bool = False
    """Whether it can go on from the middle of a run: it calls `Answer.on_progress`."""
    provider: str | None = None
    """Who serves its model, where that is known before it answers."""
    note: str | None = None
    """What a person should know before the first answer."""

    def __init__(self, name: str, model: str | None = None) -> None:
        self.name = name
        self.model = model

    def check(self) -> None:
        """Raise where it is certain that it cannot answer, such as a package that is missing.

        Asked before anything is stored; it takes no more than a millisecond, and reaches nobody.

        Raises
        ------
        AgentUnavailable, MissingExtra
        """

    def tools(self) -> Sequence[Tool] | None:
        """Return the tools that the agent has, as far as that is known without asking a model or a server.

        None: what it is made of does not tell.
        """
        return None

    def output(self, codec_name: str, body: str) -> object:
        """Return what a stored answer of this agent gave, made again from its native messages.

        Raises
        ------
        InvalidInput
            It cannot be made again.
        """
        texts = [m.text for m in codec(codec_name).view(body) if m.role == "assistant" and m.text]
        return texts[-1] if texts else ""

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        """Answer `request`: emit events on the way, and fill `answer`."""
        raise NotImplementedError(f"{type(self).__name__} answers by arun")

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        """Answer `request` on an event loop: emit events on the way, and fill `answer`."""
        raise NotImplementedError(f"{type(self).__name__} answers by run")


def announce(message: Message, emit: Emit) -> None:
    """Emit the events of a finished message: its thoughts, its text, its tool calls, or a tool's result.

    Examples
    --------
    >>> shown = []
    >>> announce(Message(role="assistant", content="Hi"), shown.append)
    >>> [event.type.value for event in shown]
    ['TEXT_MESSAGE_START', 'TEXT_MESSAGE_CONTENT', 'TEXT_MESSAGE_END']
    """
    from ag_ui.core import (
        ReasoningMessageContentEvent,
        ReasoningMessageEndEvent,
        ReasoningMessageStartEvent,
        TextMessageContentEvent,
        TextMessageEndEvent,
        TextMessageStartEvent,
        ToolCallArgsEvent,
        ToolCallEndEvent,
        ToolCallResultEvent,
        ToolCallStartEvent,
    )

    message_id = new_id()
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        emit(ToolCallResultEvent(message_id=message_id, tool_call_id=call_id, content=message.text))
    if message.role != "assistant":
        return
    thought = message.get("reasoning_content")
    if isinstance(thought, str) and thought.strip():
        thought_id = new_id()
        emit(ReasoningMessageStartEvent(message_id=thought_id, role="reasoning"))
        emit(ReasoningMessageContentEvent(message_id=thought_id, delta=thought))
        emit(ReasoningMessageEndEvent(message_id=thought_id))
    if message.text:
        emit(TextMessageStartEvent(message_id=message_id, role="assistant"))
        emit(TextMessageContentEvent(message_id=message_id, delta=message.text))
        emit(TextMessageEndEvent(message_id=message_id))
    for call in message.calls:
        emit(ToolCallStartEvent(tool_call_id=call.call_id, tool_call_name=call.name))
        emit(ToolCallArgsEvent(tool_call_id=call.call_id, delta=call.arguments))
        emit(ToolCallEndEvent(tool_call_id=call.call_id))


def announce_waiting(messages: Sequence[Message], request: Request, emit: Emit) -> None:
    """Emit the calls that have no result yet, where a run goes on from what another run has done.

    The log of that one has them; in the log of this one their results shall not come from nowhere.
    """
    if request.progress is None or request.progress.run_id == request.run_id:
        return
    answered = {message.tool_call_id for message in messages if message.role == "tool"}
    for message in messages:
        waiting = [call for call in message.tool_calls or [] if call.get("id") not in answered]
        if waiting:
            announce(Message(role="assistant", tool_calls=waiting), emit)
