"""A graph of LangGraph, or a runnable of LangChain (looked at: langgraph 1.2, langchain-core 1.8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot
from pydantic_core import from_json, to_jsonable_python

from nbsessions.adapters._langgraph_events import Events
from nbsessions.adapters._langgraph_gates import Gates
from nbsessions.adapters._langgraph_newest import Newest
from nbsessions.adapters._langgraph_questions import Asked, questions
from nbsessions.adapters._langgraph_requests import Limits, Requests, as_graph, given
from nbsessions.adapters._langgraph_tools import tools_of
from nbsessions.adapters.base import OUTPUT_IS_GONE, Adapter, Answer, Emit, Request, Tool
from nbsessions.exceptions import AgentError, InvalidInput, UnsupportedAgent
from nbsessions.permissions import Decision, ToolQuestion
from nbsessions.values import encode_json, mend, mend_json, new_id

_NOT_CALLED: Final = "The call was not made: it was interrupted."
_STRUCTURED: Final = "structured_response"


class LangGraphAdapter(Adapter):
    """Makes a graph of LangGraph, a chat model of LangChain, or another runnable answer.

    A graph has a list of ``messages`` in its state, as those of `create_agent` have. It gets the whole
    history and the prompt, on a thread of its own for each run: the session is what remembers, and a
    checkpointer that the graph was compiled with is left out, so that nothing is said twice. To keep a
    graph's threads by that checkpointer, call the graph itself, with `nbsessions.bridges.langgraph.Saver`.

    Calls of tools by a ``ToolNode`` can be held back; what a function of a graph calls by itself cannot.
    Where the graph itself asks by `interrupt`, the person is asked.

    Parameters
    ----------
    agent : Pregel, StateGraph or Runnable
    name : str or None
        What to call what has no name of its own.
    config : RunnableConfig or None
        For all its runs: `recursion_limit`, `configurable`, `callbacks`...
    context : object
        What its nodes get as their context. It is never stored.

    Raises
    ------
    UnsupportedAgent
        The graph has no messages in its state, or the prompt of a chain has places for several texts.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from langchain_core.language_models import FakeListChatModel
    >>> model = FakeListChatModel(responses=["Hi"])
    >>> run = nbs.open_store("memory:").create().send("Hello", agent=model)
    >>> run.output
    'Hi'
    """

    codec: ClassVar[str] = "langchain"
    progress_codec: ClassVar[str | None] = "langgraph-checkpoint"
    is_async = True
    goes_on = True

    def __init__(
        self,
        agent: Runnable[Any, Any] | StateGraph[Any, Any, Any, Any],
        name: str | None = None,
        *,
        config: RunnableConfig | None = None,
        context: object = None,
    ) -> None:
        made = agent.compile() if isinstance(agent, StateGraph) else agent
        own = made.name if isinstance(made, Pregel) and made.name != "LangGraph" else None
        super().__init__(own or name or "agent", _model_name(made))
        if isinstance(made, Pregel) and "messages" not in made.channels:
            raise UnsupportedAgent(f"The graph {self.name} has no messages in its state.")
        if not isinstance(made, Pregel):
            given(made, [HumanMessage("")])  # what cannot be asked is told at once
        self.runnable, self.config, self.context = made, config, context

    def tools(self) -> Sequence[Tool] | None:
        return tools_of(self.runnable)

    def output(self, codec_name: str, body: str) -> object:
        if isinstance(self.runnable, Pregel) and _STRUCTURED in self.runnable.channels:
            raise InvalidInput(OUTPUT_IS_GONE)
        return super().output(codec_name, body)

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        # Where a tool of another graph asks this one, it is a run of its own: nothing of that is inherited.
        token = var_child_runnable_config.set(None)
        try:
            await _Run(self, request, emit, answer).go()
        finally:
            var_child_runnable_config.reset(token)


class _Run:
    """One run: the graph is gone on with after each interruption."""

    def __init__(self, adapter: LangGraphAdapter, request: Request, emit: Emit, answer: Answer) -> None:
        self._adapter, self._request, self._answer = adapter, request, answer
        self._saver = Newest(self._keep)
        self._requests = Requests(answer, self._tell)
        self._gates = Gates(request.must_ask, self._ask_about)
        made = adapter.runnable
        graph = made if isinstance(made, Pregel) else as_graph(made, self._requests)
        self._graph = self._gates.graph(graph, checkpointer=self._saver)
        self._events = Events(emit, self._gates.tool_nodes)
        self._is_another_run = request.progress is None or request.progress.run_id != request.run_id
        self._history: set[str] = set()
        self._prompt = HumanMessage(request.prompt, id=new_id())
        self._kept = "[]"
        self._approved: list[tuple[str, str]] = []
        """What the graph itself has asked about, until it is called."""
        watching = [self._requests, Limits(answer)]
        own: RunnableConfig = {"configurable": {"thread_id": request.run_id}, "callbacks": watching}
        self._config = merge_configs(adapter.config, own)

    async def go(self) -> None:
        """Ask until there is an answer."""
        given: Any = self._start()
        while True:
            await self._stream(given)
            state = await self._graph.aget_state(self._config)
            if not state.next:
                break
            given = await self._resumed(state)
        said: list[BaseMessage] = state.values.get("messages", [])
        new = [one for one in said if one.id not in self._history and one.id != self._prompt.id]
        self._answer.body = _written([self._prompt, *new])
        self._answer.output = self._output(state.values, new)

    def _start(self) -> dict[str, Any] | None:
        """Return what to begin with: the history and the prompt, or nothing where an earlier run goes on."""
        progress = self._request.progress
        if progress is not None and progress.body != "[]":
            told = json.loads(progress.body)
            self._kept, self._history = progress.body, {*told["history"]}
            self._prompt.id = told["prompt"]
            self._saver.load(told["saved"], self._request.run_id)
            return None
        history = _repaired(messages_from_dict(from_json(self._request.native)))
        for message in history:
            message.id = message.id or new_id()
        self._history = {str(message.id) for message in history}
        return {"messages": [*history, self._prompt]}

    async def _stream(self, given: Any) -> None:
        # The calls that wait are in the log of the run that began them.
        if given is None and self._is_another_run:
            await self._went_on()
        stream: Any = self._graph.astream(
            given,
            self._config,
            context=self._adapter.context,
            stream_mode=["messages"],
            subgraphs=True,
            # What a step has done is kept before the next one begins.
            durability="sync",
        )
        try:
            async for _, _, (message, metadata) in stream:
                self._events.of(message, metadata)
        finally:
            self._events.close()

    async def _went_on(self) -> None:
        state = await self._graph.aget_state(self._config)
        said = state.values.get("messages", [])
        self._events.went_on([one for one in said if one.id not in self._history])

    def _output(self, values: dict[str, Any], new: Sequence[BaseMessage]) -> object:
        own = None if isinstance(self._adapter.runnable, Pregel) else values.get("output")
        output = values.get(_STRUCTURED, own)
        if output is None or isinstance(output, BaseMessage):
            texts = [one.text for one in new if isinstance(one, AIMessage) and one.text]
            output = texts[-1] if texts else ""
        return mend(str(output)) if isinstance(output, str) else output

    # Approvals

    async def _ask_about(self, call: ToolCall) -> Decision | None:
        """Ask about a call of a tool; None where it may be made freely."""
        arguments = encode_json(mend_json(call["args"]), "arguments")
        if (call["name"], arguments) in self._approved:
            self._approved.remove((call["name"], arguments))
            return None
        if not self._request.must_ask(call["name"], False):
            return None
        return await self._ask(call["name"], arguments, call["id"] or "", required=False)

    async def _ask(self, name: str, arguments: str, call_id: str, *, required: bool) -> Decision:
        self._keep()
        question = ToolQuestion(
            name=mend(name),
            arguments=arguments,
            call_id=call_id,
            run_id=self._request.run_id,
            agent_name=self._adapter.name,
            required=required,
        )
        return await self._request.approve(question)

    async def _resumed(self, state: StateSnapshot) -> Command[Any] | None:
        """Ask what the graph itself asks, and return what it goes on with."""
        if not state.interrupts:
            for name in state.next:
                where = f"{name}/{state.config['configurable']['checkpoint_id']}"
                decision = await self._ask(name, "{}", where, required=True)
                if not decision.approved:
                    raise AgentError(f"the graph stops before {name}: {decision.for_model()}")
            return None
        answers: dict[str, Any] = {}
        for interrupt in state.interrupts:
            asked = questions(interrupt)
            decisions = [await self._decided(one) for one in asked.about]
            answers[interrupt.id] = asked.answer(decisions)
        return Command(resume=answers)

    async def _decided(self, asked: Asked) -> Decision:
        decision = await self._ask(asked.name, asked.arguments, asked.call_id, required=True)
        if decision.approved:
            # Its call comes as the model wrote it, also where the graph makes another of it.
            self._approved.append((asked.name, asked.arguments))
        return decision

    # How far it has come

    def _keep(self) -> None:
        """Keep what the run can be gone on from."""
        told = {"history": sorted(self._history), "prompt": self._prompt.id}
        try:
            self._kept = encode_json({**told, "saved": self._saver.dump()}, "progress")
        except (TypeError, ValueError, OverflowError, RecursionError, InvalidInput):
            # Something in the state cannot be written down: then there is nothing to go on from.
            self._kept = "[]"
        self._tell()

    def _tell(self) -> None:
        self._answer.on_progress(self._kept, self._answer.usage)


def _written(messages: Sequence[BaseMessage]) -> str:
    """Return messages as LangChain writes them; what is no JSON in them becomes text."""
    plain = to_jsonable_python(
        messages_to_dict(messages), serialize_unknown=True, bytes_mode="base64", inf_nan_mode="null"
    )
    return encode_json(mend_json(plain), "answer")


def _repaired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return a history in which each call has its result, and each result its call.

    A rewind may have cut between them.
    """
    answered = {one.tool_call_id for one in messages if isinstance(one, ToolMessage)}
    called: set[str | None] = set()
    found: list[BaseMessage] = []
    for message in messages:
        if not isinstance(message, ToolMessage) or message.tool_call_id in called:
            found.append(message)
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            called.add(call["id"])
            if call["id"] not in answered:
                found.append(ToolMessage(_NOT_CALLED, name=call["name"], tool_call_id=call["id"] or ""))
    return found


def _model_name(runnable: object) -> str | None:
    if not isinstance(runnable, BaseChatModel):
        return None
    name = getattr(runnable, "model_name", None) or getattr(runnable, "model", None)
    return name if isinstance(name, str) else None
