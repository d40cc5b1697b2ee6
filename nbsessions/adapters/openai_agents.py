"""An agent of the OpenAI Agents SDK, https://openai.github.io/openai-agents-python (looked at: 0.24)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from agents import Agent, AgentOutputSchema, AgentOutputSchemaBase, Handoff, RunConfig, Runner, RunState
from agents.exceptions import ModelBehaviorError, UserError
from agents.models import get_default_model
from agents.run_config import DEFAULT_MAX_TURNS
from pydantic_core import from_json

from nbsessions.adapters._openai_events import Events
from nbsessions.adapters._openai_gates import Gates
from nbsessions.adapters.base import OUTPUT_IS_GONE, Adapter, Answer, Emit, Request, Tool, announce_waiting
from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput
from nbsessions.permissions import Decision, ToolQuestion
from nbsessions.records import Spent, Usage
from nbsessions.values import encode_json, mend, mend_json, now

if TYPE_CHECKING:
    from agents import Model, RunHooks
    from agents.items import ToolApprovalItem
    from agents.result import RunResultStreaming
    from agents.run_config import CallModelData, ModelInputData

_NOT_CALLED = "The call was not made: it was interrupted."


class OpenAIAgentsAdapter(Adapter):
    """Makes an ``Agent`` of the OpenAI Agents SDK answer.

    Parameters
    ----------
    agent : agents.Agent
    name : str or None
        What to call it; None: its own name.
    context : object
        What its tools and its instructions get as their context. It is never stored.
    run_config : agents.RunConfig or None
        For all its runs. None: without traces, which the SDK would send to OpenAI.
    max_turns : int or None
        How often one run may ask a model; None: without end.
    hooks : agents.RunHooks or None

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from agents import Agent
    >>> from agents.testing import ScriptedModel, assistant_message
    >>> agent = Agent("greeter", model=ScriptedModel([[assistant_message("Hi")]]))
    >>> run = nbs.open_store("memory:").create().send("Hello", agent=agent)
    >>> run.agent_name, run.output
    ('greeter', 'Hi')
    """

    codec: ClassVar[str] = "openai-agents"
    progress_codec: ClassVar[str | None] = "openai-agents-run-state"
    is_async = True
    takes_model = True
    goes_on = True

    def __init__(
        self,
        agent: Agent[Any],
        name: str | None = None,
        *,
        context: object = None,
        run_config: RunConfig | None = None,
        max_turns: int | None = DEFAULT_MAX_TURNS,
        hooks: RunHooks[Any] | None = None,
    ) -> None:
        super().__init__(agent.name or name or "agent", _model_name(agent.model))
        self.agent = agent
        self.context, self.max_turns, self.hooks = context, max_turns, hooks
        self.run_config = run_config or RunConfig(tracing_disabled=True)

    def tools(self) -> Sequence[Tool]:
        own = [Tool(tool.name, getattr(tool, "description", "") or "") for tool in self.agent.tools]
        handoffs = [
            Tool(name, f"hands off to {target.name}") for name, target in _targets(self.agent).items()
        ]
        servers = [
            Tool(server.name, "an MCP server: it tells its tools in a run")
            for server in self.agent.mcp_servers
        ]
        return [*own, *handoffs, *servers]

    def output(self, codec_name: str, body: str) -> object:
        said = codec(codec_name).view(body)
        agent = self.agent
        for call in [call for message in said for call in message.calls]:
            agent = _targets(agent).get(call.name, agent)
        schema = agent.output_type
        if agent.tool_use_behavior != "run_llm_again" and said and said[-1].role == "tool":
            raise InvalidInput(OUTPUT_IS_GONE)  # it was what the tool gave, of whatever type
        if schema is None or schema is str:
            return super().output(codec_name, body)
        if not isinstance(schema, AgentOutputSchemaBase):
            schema = AgentOutputSchema(schema)
        try:
            return schema.validate_json(said[-1].text if said[-1].role == "assistant" else "")
        except ModelBehaviorError as error:
            raise InvalidInput(OUTPUT_IS_GONE) from error

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        await _Run(self, request, emit, answer).go()


class _Run:
    """One run: as many runs of the SDK as there are interruptions, each from the state of the one before."""

    def __init__(self, adapter: OpenAIAgentsAdapter, request: Request, emit: Emit, answer: Answer) -> None:
        self._adapter, self._request, self._answer = adapter, request, answer
        self._gates = Gates(request.must_ask)
        self._agent = self._gates.agent(adapter.agent)
        self._asked = self._agent
        self._emit, self._events = emit, Events(emit)
        self._kept = "[]" if request.progress is None else request.progress.body
        self._carried = Usage()
        self._result: RunResultStreaming | None = None
        self._filter = adapter.run_config.call_model_input_filter
        self._config = replace(adapter.run_config, call_model_input_filter=self._before_request)
        if request.model is not None:
            self._config.model = request.model.removeprefix("openai:")

    async def go(self) -> None:
        """Ask until there is an answer."""
        start = await self._start()
        while True:
            result = await self._stream(start)
            if not result.interruptions:
                break
            start = await self._decided(result.to_state())
        output = result.final_output
        self._answer.output = mend(output) if isinstance(output, str) else output
        items = [item.to_input_item() for item in result.new_items if item.type != "tool_approval_item"]
        body = [{"role": "user", "content": self._request.prompt}, *items]
        self._answer.body = encode_json(mend_json(body), "answer")

    async def _start(self) -> list[Any] | RunState[Any, Any]:
        """Return what to begin with: the history and the prompt, or the state of an earlier run."""
        request = self._request
        if request.progress is None:
            return [*_repaired(from_json(request.native)), {"role": "user", "content": request.prompt}]
        plain = from_json(request.progress.body)
        state = await RunState.from_json(self._agent, plain)
        self._carried = _usage(state._context.usage) if state._context is not None else Usage()
        items = [item for item in plain["session_items"] if item["type"] != "tool_approval_item"]
        said = codec("openai-agents").group([item["raw_item"] for item in items])
        announce_waiting([message for item in said for message in item.messages], request, self._emit)
        return await self._decided(state) if state.get_interruptions() else state

    async def _stream(self, start: list[Any] | RunState[Any, Any]) -> RunResultStreaming:
        adapter = self._adapter
        self._result = result = Runner.run_streamed(
            self._agent,
            start,
            context=adapter.context,
            max_turns=adapter.max_turns,
            hooks=adapter.hooks,
            run_config=self._config,
        )
        try:
            async for event in result.stream_events():
                if event.type == "raw_response_event":
                    self._events.of_model(event.data)
                    if event.data.type in ("response.completed", "response.incomplete"):
                        self._count(event.data.response)
                elif event.type == "run_item_stream_event":
                    self._events.of_item(event.item)
                else:
                    self._asked = event.new_agent
        finally:
            if not result.is_complete:
                result.cancel()
            self._add_up()
        self._add_up(to_the_end=True)
        if result.run_loop_exception is not None:
            raise result.run_loop_exception
        return result

    async def _before_request(self, data: CallModelData[Any]) -> ModelInputData:
        """Keep how far it has come, and stop where a limit is reached; called right before each request."""
        result = self._result
        # Agents that are tools of this one are asked by way of here, too.
        if result is not None and result.new_items and data.agent is result.last_agent:
            self._keep(result.to_state())
        self._add_up()
        self._answer.on_request()
        if self._filter is None:
            return data.model_data
        found = self._filter(data)
        return await found if inspect.isawaitable(found) else found

    async def _decided(self, state: RunState[Any, Any]) -> RunState[Any, Any]:
        """Have all that waits approved or rejected."""
        self._keep(state)
        for item in state.get_interruptions():
            name = item.name or ""
            required = self._gates.is_required(name)
            if not self._request.must_ask(name, required):
                state.approve(item)
                continue
            decision = await self._request.approve(self._question(item, required))
            if decision.approved and decision.arguments is not None:
                decision = self._edited(item, decision.arguments)
            if decision.approved:
                state.approve(item)
            else:
                state.reject(item, rejection_message=decision.for_model())
        return state

    def _question(self, item: ToolApprovalItem, required: bool) -> ToolQuestion:
        return ToolQuestion(
            name=mend(item.name or ""),
            arguments=mend(item.arguments or "{}"),
            call_id=item.call_id or "",
            run_id=self._request.run_id,
            agent_name=item.agent.name,
            required=required,
        )

    def _edited(self, item: ToolApprovalItem, arguments: str) -> Decision:
        name = item.name or ""
        if not self._gates.is_editable(name):
            return Decision(False, f"the arguments of {name} cannot be edited")
        self._gates.edits[name, item.call_id or ""] = arguments
        return Decision(True)

    def _keep(self, state: RunState[Any, Any]) -> None:
        """Keep what the run can be gone on from, before it goes any further."""
        try:
            # The context is given anew, by who goes on: it may hold anything, and is nobody else's.
            plain = _without_context(state.to_json(context_serializer=lambda context: {}))
            self._kept = encode_json(mend_json(plain), "progress")
        except (
            UserError
        ):  # agents of one name cannot be told apart in it: then there is nothing to go on from
            self._kept = "[]"
        self._tell()

    def _count(self, response: Any) -> None:
        """Count what one request has spent, as soon as it is known."""
        answer = self._answer
        answer.model = response.model or answer.model
        answer.provider = _provider(self._request.model or self._asked.model)
        spent = response.usage
        usage = Usage(requests=1) if spent is None else _usage(spent, requests=1)
        answer.requests.append(Spent(usage, answer.model, answer.provider, now()))
        self._tell()

    def _tell(self) -> None:
        self._add_up()
        self._answer.on_progress(self._kept, self._answer.usage)

    def _add_up(self, *, to_the_end: bool = False) -> None:
        """Bring what was spent up to date, by what was told of requests, and by what the SDK has counted."""
        answer = self._answer
        told = sum((one.usage for one in answer.requests), Usage())
        whole = (
            Usage() if self._result is None else _usage(self._result.context_wrapper.usage) - self._carried
        )
        if to_the_end and whole.requests > told.requests:
            # Agents that are tools of this one: their requests are not streamed.
            answer.requests.append(Spent(whole - told, at=now()))
        # The SDK counts a request when it is over, which may be later than it is told.
        answer.usage = max(told, whole, key=lambda usage: (usage.requests, usage.total_tokens))


def _repaired(items: list[Any]) -> list[Any]:
    """Return a history in which each call has its result, and each result its call.

    A rewind may have cut between them.
    """
    called = {item.get("call_id") for item in items if _kind(item).endswith("_call")}
    answered = {item.get("call_id") for item in items if _kind(item).endswith("_output")}
    found: list[Any] = []
    for item in items:
        is_output = _kind(item).endswith("_output")
        if not is_output or item.get("call_id") in called:
            found.append(item)
        if _kind(item) == "function_call" and item.get("call_id") not in answered:
            result = {"type": "function_call_output", "call_id": item["call_id"], "output": _NOT_CALLED}
            found.append(result)
    return found


def _kind(item: dict[str, Any]) -> str:
    return str(item.get("type", ""))


def _without_context(value: Any) -> Any:
    """Return a state as JSON without the context of its run, and of those of agents that are its tools."""
    if isinstance(value, dict):
        hidden = {"context": None, "context_meta": None} if "context_meta" in value else {}
        return {**{name: _without_context(one) for name, one in value.items()}, **hidden}
    return [_without_context(one) for one in value] if isinstance(value, list) else value


def _usage(usage: Any, **known: int) -> Usage:
    """Return what the SDK, or the API, says was spent: cached tokens are among the input tokens."""
    given, made = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=getattr(given, "cached_tokens", 0) or 0,
        cache_write_tokens=getattr(given, "cache_write_tokens", 0) or 0,
        reasoning_tokens=getattr(made, "reasoning_tokens", 0) or 0,
        requests=known["requests"] if known else usage.requests,
    )


def _targets(agent: Agent[Any]) -> dict[str, Agent[Any]]:
    """Return the agents that an agent hands off to, by the names of the calls that do so."""
    found: dict[str, Agent[Any]] = {}
    for target in agent.handoffs:
        if isinstance(target, Agent):
            found[Handoff.default_tool_name(target)] = target
        elif target._agent_ref is not None and isinstance(meant := target._agent_ref(), Agent):
            found[target.tool_name] = meant
    return found


def _model_name(model: str | Model | None) -> str:
    if model is None or isinstance(model, str):
        return model or get_default_model()
    name = getattr(model, "model", None)
    return str(name) if name else type(model).__name__


def _provider(model: str | Model | None) -> str | None:
    """Return whose model it is, where that is certain; the name of the others tells it."""
    if model is None or isinstance(model, str):
        is_own = "/" not in (model or "") and not os.environ.get("OPENAI_BASE_URL")
        return "openai" if is_own else None
    host = getattr(getattr(getattr(model, "_client", None), "base_url", None), "host", None)
    return "openai" if host == "api.openai.com" else None
