"""Sessions as conversations of pydantic-ai: https://ai.pydantic.dev/message-history (looked at: 2.68)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import TypeAdapter
from pydantic_core import from_json

from nbsessions import chains
from nbsessions.adapters._pydantic_ai_steps import written
from nbsessions.adapters.base import Adapter, Answer, Emit, Request, announce
from nbsessions.adapters.pydantic_ai import requests_of, run_usage
from nbsessions.codecs import codec, is_prompt, translate
from nbsessions.exceptions import MissingExtra, SessionConflict
from nbsessions.records import Head, Usage
from nbsessions.runner import run
from nbsessions.session import Session

try:
    from pydantic_ai import Conversation, DeferredToolRequests
    from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ToolReturnPart
except ImportError as error:
    raise MissingExtra("A Conversation of pydantic-ai", "agents") from error

if TYPE_CHECKING:
    from pydantic_ai import AgentRunResult

_CODEC: Final = "pydantic-ai"
_WAITS: Final = "pydantic-ai.deferred_tool_requests"
"""Where the state of a session keeps what pydantic-ai's messages cannot tell."""
_DEFERRED: Final = TypeAdapter(DeferredToolRequests)


def load(session: Session) -> Conversation:
    """Return a session as a ``Conversation``, for ``agent.run(..., conversation=...)``.

    What another framework said in it comes through the chat view; what pydantic-ai said is as it was.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> [message.kind for message in load(session).messages]
    ['request', 'response']
    """
    session.refresh()
    messages = _messages(session)
    usage = run_usage(session.usage)
    parts = [part for message in messages for part in message.parts]
    usage.tool_calls = sum(isinstance(part, ToolReturnPart) for part in parts)
    waits = session.state.get(_WAITS)
    return Conversation(
        messages=messages,
        usage=usage,
        conversation_id=session.session_id,
        deferred_tool_requests=None if waits is None else _DEFERRED.validate_python(waits),
        revision=_revision(session.head),
        new_message_index=len(messages),
    )


def save(session: Session, conversation: Conversation | AgentRunResult[Any]) -> Session:
    """Take into a session what a ``Conversation``, or the result of a run, has beyond it; return the session.

    Its new messages are one turn, and one run with what their requests spent. A conversation that was not
    loaded from the session, and says something else than it, leaves it from the first difference on: `undo`
    brings back what was there.

    Raises
    ------
    SessionConflict
        The session has moved since the conversation was loaded. Nothing was changed: save it on a fork.

    Examples
    --------
    >>> import asyncio
    >>> import nbsessions as nbs
    >>> from pydantic_ai import Agent
    >>> from pydantic_ai.models.test import TestModel
    >>> session = nbs.open_store("memory:").create("plan")
    >>> agent = Agent(TestModel(custom_output_text="Hi"))
    >>> result = asyncio.run(agent.run("Hello", conversation=load(session)))
    >>> [message.text for message in save(session, result).messages]
    ['Hello', 'Hi']
    """
    taken = conversation if isinstance(conversation, Conversation) else conversation.conversation
    session.refresh()
    revision = taken.revision
    if revision is not None and revision != _revision(session.head):
        raise SessionConflict(session.record.label, ours=revision, theirs=session.head.turn_id)
    stored, messages = _messages(session), list(taken.messages)
    shared = next(
        (at for at, pair in enumerate(zip(stored, messages, strict=False)) if pair[0] != pair[1]), None
    )
    shared = min(len(stored), len(messages)) if shared is None else shared
    base: Head | None = None
    if shared < len(stored) and revision is not None and taken.new_message_index is not None:
        # The run was sent less than there is, or a summary of it: what is stored only grows.
        shared = taken.new_message_index
    elif shared < len(stored):
        kept = sum(len(codec(_CODEC).messages(one)) for one in from_json(written(stored[:shared])))
        base = session.place(kept).head
    if messages[shared:] or base is not None:
        _commit(session, messages[shared:], base)
    _keep_waiting(session, taken.deferred_tool_requests)
    taken.revision, taken.new_message_index = _revision(session.head), len(messages)
    return session


def _messages(session: Session) -> list[ModelMessage]:
    items = chains.items(session.turns, session.head)
    return ModelMessagesTypeAdapter.validate_json(translate(items, _CODEC))


def _revision(head: Head) -> str:
    return f"{head.turn_id or ''}:{'' if head.keep is None else head.keep}"


def _commit(session: Session, messages: list[ModelMessage], base: Head | None) -> None:
    body = written(messages)
    view = chains.read(_CODEC, body)
    prompt = next((message.text for message in view if is_prompt(message) and message.text.strip()), None)
    if prompt is None or not any(message.role == "assistant" for message in view):
        # Nobody was asked anything: it is no run.
        prompts = sum(map(is_prompt, view))
        session.commit("turn" if base is None else "replace", _CODEC, body, prompts=prompts, base=base)
    else:
        run(session, _Told(session.agent_name, messages, body), prompt, base=base)


def _keep_waiting(session: Session, waits: DeferredToolRequests | None) -> None:
    state = session.state
    before = state.pop(_WAITS, None)
    if waits is not None:
        state[_WAITS] = from_json(_DEFERRED.dump_json(waits))
    if before != state.get(_WAITS):
        session.state = state


class _Told(Adapter):
    """An answer that is there already: it is told and stored as if it came now."""

    codec: ClassVar[str] = _CODEC

    def __init__(self, name: str, messages: list[ModelMessage], body: str) -> None:
        super().__init__(name)
        self._messages, self._body = messages, body

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        for message in codec(_CODEC).view(self._body):
            announce(message, emit)
        answer.body, answer.requests = self._body, requests_of(self._messages)
        answer.usage = sum((one.usage for one in answer.requests), Usage())
        if answer.requests:
            answer.model, answer.provider = answer.requests[-1].model, answer.requests[-1].provider
        answer.output = self.output(_CODEC, self._body)
