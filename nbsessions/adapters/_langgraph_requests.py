"""What the requests of a LangChain run spend, and graphs made of what is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypedDict
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSequence
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.pregel import Pregel
from pydantic_core import to_json

from nbsessions.adapters.base import Answer
from nbsessions.exceptions import UnsupportedAgent
from nbsessions.records import Spent, Usage
from nbsessions.values import now


class Requests(BaseCallbackHandler):
    """Counts what each request to a model spends, as soon as it is known.

    Parameters
    ----------
    answer : Answer
    on_spent : callable
    """

    run_inline = True
    raise_error = True

    def __init__(self, answer: Answer, on_spent: Callable[[], None]) -> None:
        self._answer, self._on_spent = answer, on_spent
        self._asked: dict[UUID, dict[str, Any]] = {}
        self.last: AIMessage | None = None

    def on_chat_model_start(
        self, serialized: object, messages: object, *, run_id: UUID, metadata: Any = None, **_: Any
    ) -> None:
        """Note who is asked."""
        self._begin(run_id, metadata)

    def on_llm_start(
        self, serialized: object, prompts: object, *, run_id: UUID, metadata: Any = None, **_: Any
    ) -> None:
        """Note who is asked, also where that is no model for chats."""
        self._begin(run_id, metadata)

    def _begin(self, run_id: UUID, metadata: Any) -> None:
        self._asked[run_id] = metadata or {}
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # on a thread of its own, where LangChain lets nobody else raise
            self._answer.on_request()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Count what a request has spent."""
        first = response.generations[0][0] if response.generations and response.generations[0] else None
        message = getattr(first, "message", None)
        asked, answer = self._asked.pop(run_id, {}), self._answer
        told = message.response_metadata if isinstance(message, AIMessage) else {}
        model = told.get("model_name") or told.get("model") or asked.get("ls_model_name")
        provider = told.get("model_provider") or asked.get("ls_provider")
        answer.model, answer.provider = model or answer.model, provider or answer.provider
        usage = _usage(message.usage_metadata if isinstance(message, AIMessage) else None)
        answer.requests.append(Spent(usage, answer.model, answer.provider, now()))
        answer.usage = sum((one.usage for one in answer.requests), Usage())
        if isinstance(message, AIMessage):
            self.last = message
        self._on_spent()


class Limits(AsyncCallbackHandler):
    """Ends a run where a limit is reached, right before the next request to a model.

    It is no part of `Requests`: whoever raises in line with others leaves some of them half done.

    Parameters
    ----------
    answer : Answer
    """

    raise_error = True

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def on_chat_model_start(self, serialized: object, messages: object, **_: Any) -> None:
        """Raise where a limit is reached."""
        self._answer.on_request()

    async def on_llm_start(self, serialized: object, prompts: object, **_: Any) -> None:
        """Raise where a limit is reached."""
        self._answer.on_request()


def _usage(told: Any) -> Usage:
    """Return what LangChain says was spent: cached tokens are among the input tokens."""
    told = told or {}
    given, made = told.get("input_token_details") or {}, told.get("output_token_details") or {}
    return Usage(
        input_tokens=told.get("input_tokens") or 0,
        output_tokens=told.get("output_tokens") or 0,
        cache_read_tokens=given.get("cache_read") or 0,
        cache_write_tokens=given.get("cache_creation") or 0,
        reasoning_tokens=made.get("reasoning") or 0,
        requests=1,
    )


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    output: Any


def as_graph(runnable: Runnable[Any, Any], requests: Requests) -> Pregel[Any, Any, Any, Any]:
    """Return a graph of one node that asks a model, or any other runnable."""

    async def answer(state: _State, config: RunnableConfig) -> dict[str, Any]:
        output = await runnable.ainvoke(given(runnable, state["messages"]), config)
        return {"messages": [_said(output, requests.last)], "output": output}

    graph = StateGraph(_State)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile()


def _said(output: object, last: AIMessage | None) -> BaseMessage:
    if isinstance(output, BaseMessage):
        return output
    # What a parser made of an answer is that answer: it was shown already.
    if last is not None and isinstance(output, str) and last.text == output:
        return last
    text = output if isinstance(output, str) else to_json(output, serialize_unknown=True).decode()
    return AIMessage(text)


def given(runnable: Runnable[Any, Any], messages: Sequence[BaseMessage]) -> Any:
    """Return what a runnable is called with: messages, or what its prompt has places for.

    Raises
    ------
    UnsupportedAgent
        Its prompt asks for more than a text.

    Examples
    --------
    >>> from langchain_core.messages import HumanMessage
    >>> prompt = ChatPromptTemplate([("placeholder", "{history}"), ("human", "In short: {question}")])
    >>> sorted(given(prompt, [HumanMessage("Why?")]).items())
    [('history', []), ('question', 'Why?')]
    """
    first = runnable.first if isinstance(runnable, RunnableSequence) else runnable
    if not isinstance(first, BasePromptTemplate):
        return list(messages)
    parts = first.messages if isinstance(first, ChatPromptTemplate) else []
    places = [part.variable_name for part in parts if isinstance(part, MessagesPlaceholder)]
    texts = [name for name in first.input_variables if name not in places]
    if len(texts) > 1:
        raise UnsupportedAgent(
            f"The prompt has places for {', '.join(sorted(texts))}: fill all but one of them with partial()."
        )
    history = list(messages[:-1]) if texts else list(messages)
    return {**dict.fromkeys(places, history), **dict.fromkeys(texts, messages[-1].text)}
