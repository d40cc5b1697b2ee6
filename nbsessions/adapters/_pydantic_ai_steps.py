"""How far an agent of pydantic-ai has come: what it can go on from, and what it has to ask about first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from nbsessions.adapters.base import Request
from nbsessions.permissions import Decision, ToolQuestion, check_arguments
from nbsessions.values import encode_json, mend, mend_json

if TYPE_CHECKING:
    from pydantic_ai.agent import AgentRunEvents
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import (
        ModelMessage,
        ModelResponse,
        RetryPromptPart,
        ToolCallPart,
        ToolReturnPart,
    )
    from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDefinition


class Steps:
    """The events of one run of an agent, and what was done in it that shall not be done again.

    Parameters
    ----------
    events : AgentRunEvents
    earlier : sequence of ModelMessage
        What an earlier run had done, from which this one goes on.
    keep : callable
        Takes what was done since then, whenever that has become more.

    Attributes
    ----------
    started : bool
    error : Exception or None
        What the agent raised.
    """

    def __init__(
        self,
        events: AgentRunEvents[Any],
        earlier: Sequence[ModelMessage],
        keep: Callable[[list[ModelMessage]], None],
    ) -> None:
        self._events, self._earlier, self._keep = events, earlier, keep
        self._step: ModelMessage | None = None
        self._results: dict[str, ToolReturnPart | RetryPromptPart] = {}
        self._done: list[ModelMessage] = []
        self.started = False
        self.error: Exception | None = None

    async def stream(self) -> AsyncIterator[Any]:
        """Yield the events as they come."""
        try:
            async for event in self._events:
                self.started = True
                yield event
                if event.event_kind == "function_tool_result":
                    self._note(event.part)
                if event.event_kind in ("function_tool_call", "function_tool_result"):
                    self._keep_done()
        except Exception as error:
            self.error = error
            raise

    def _messages(self) -> list[ModelMessage]:
        return [*self._earlier, *self._events.new_messages()]

    def _note(self, part: ToolReturnPart | RetryPromptPart) -> None:
        messages = self._messages()
        last = messages[-1] if messages else None
        if last is not self._step:  # its ids may have been those of the step before
            self._step, self._results = last, {}
        self._results[part.tool_call_id] = part

    def _keep_done(self) -> None:
        """Keep what was done up to the last moment at which all tools that were called had answered."""
        messages = self._messages()
        if open_calls(messages) and not open_calls(with_results := self._with_results(messages)):
            self._done = with_results[len(self._earlier) :]
        self._keep(self._done)

    def keep_waiting(self) -> None:
        """Keep all that was done: those calls that have no result have not begun, and wait."""
        self._keep(self._with_results(self._messages())[len(self._earlier) :])

    def _with_results(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        from pydantic_ai.messages import ModelRequest

        if not messages or messages[-1] is not self._step:
            return messages
        # They are on their way: the agent adds them only when it asks the model again.
        calls = open_calls(messages)
        parts = [self._results[call.tool_call_id] for call in calls if call.tool_call_id in self._results]
        return [*messages, ModelRequest(parts=parts)] if parts else messages


def open_calls(messages: Sequence[ModelMessage]) -> list[ToolCallPart]:
    """Return the calls of the last answer of the model that have no result."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.kind == "response":
            return _without_results(message, messages[place + 1 :])
    return []


def _without_results(response: ModelResponse, later: Sequence[ModelMessage]) -> list[ToolCallPart]:
    answered = {getattr(part, "tool_call_id", None) for message in later for part in message.parts}
    return [call for call in response.tool_calls if call.tool_call_id not in answered]


class Asking:
    """Holds back the calls of tools that have to be decided about.

    Parameters
    ----------
    request : Request
    agent_name : str

    Attributes
    ----------
    on_question : callable
        Called before anybody is asked.
    """

    def __init__(self, request: Request, agent_name: str) -> None:
        self.on_question: Callable[[], None] = lambda: None
        self._request, self._agent_name = request, agent_name
        self._held: set[str] = set()
        """Tools that the agent itself would have called without asking."""

    def capability(self) -> AbstractCapability[Any]:
        """Return it as pydantic-ai takes it; what the agent itself decides comes first."""
        from pydantic_ai.capabilities import CapabilityOrdering, HandleDeferredToolCalls

        asking = self

        class Held(HandleDeferredToolCalls[Any]):
            def get_ordering(self) -> CapabilityOrdering:
                return CapabilityOrdering(position="innermost")

            async def prepare_tools(
                self, ctx: RunContext[Any], tool_defs: list[ToolDefinition]
            ) -> list[ToolDefinition]:
                return [asking.hold(tool) for tool in tool_defs]

        return Held(self._answer)

    def hold(self, tool: ToolDefinition) -> ToolDefinition:
        """Return a tool as one whose calls wait, where they have to be decided about."""
        if tool.kind != "function" or not self._request.must_ask(tool.name, False):
            return tool
        self._held.add(tool.name)
        return replace(tool, kind="unapproved")

    async def _answer(self, context: object, requests: DeferredToolRequests) -> DeferredToolResults | None:
        return await self.results(requests.approvals) if requests.approvals else None

    async def results(self, calls: list[ToolCallPart]) -> DeferredToolResults:
        """Return what was decided about calls, one after the other."""
        from pydantic_ai.tools import DeferredToolResults, ToolApproved, ToolDenied

        decided: dict[str, bool | ToolApproved | ToolDenied] = {}
        for call in calls:
            self.on_question()
            decision = await self._request.approve(self._question(call))
            allowed = ToolApproved(override_args=_override(decision))
            denied = ToolDenied(decision.for_model())
            decided[call.tool_call_id] = allowed if decision.approved else denied
        return DeferredToolResults(approvals=decided)

    def _question(self, call: ToolCallPart) -> ToolQuestion:
        return ToolQuestion(
            name=mend(call.tool_name),
            arguments=mend(call.args_as_json_str()),
            call_id=call.tool_call_id,
            run_id=self._request.run_id,
            agent_name=self._agent_name,
            required=call.tool_name not in self._held,
        )


def _override(decision: Decision) -> dict[str, Any] | None:
    return None if decision.arguments is None else check_arguments(decision.arguments)


def written(messages: list[ModelMessage]) -> str:
    """Return messages as pydantic-ai writes them; text in them that is no Unicode is mended."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    try:
        body = ModelMessagesTypeAdapter.dump_json(messages).decode()
        from_json(body, allow_inf_nan=False)
        return body
    except ValueError:
        plain = mend_json(ModelMessagesTypeAdapter.dump_python(messages))
        return to_json(plain, bytes_mode="base64").decode()


def joined(earlier: str | None, body: str) -> str:
    """Return two JSON arrays of messages as one."""
    return body if earlier is None else encode_json([*from_json(earlier), *from_json(body)], "answer")
