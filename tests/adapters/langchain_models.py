"""A chat model of LangChain that says what it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

Step = AIMessage | Exception | Callable[[], AIMessage]


class Scripted(BaseChatModel):
    """Streams these answers, one for each request, and remembers what it was asked."""

    steps: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "scripted", "ls_model_name": "scripted-1", "ls_model_type": "chat"}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append(messages)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        made: AIMessage = step() if callable(step) else step
        return made

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in pieces(self._next(messages)):
            made = ChatGenerationChunk(message=chunk)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=made)
            yield made


def pieces(message: AIMessage) -> Iterator[AIMessageChunk]:
    """Return a message in pieces, as providers stream it."""
    content = message.content if isinstance(message.content, list) else [message.content]
    for part in content:
        if isinstance(part, str):
            for word in part.split(" ") if part else ():
                yield AIMessageChunk(content=word if word == part.split(" ")[0] else f" {word}")
        else:
            yield AIMessageChunk(content=[part])
    for index, call in enumerate(message.tool_calls):
        text = json.dumps(call["args"])
        first = tool_call_chunk(name=call["name"], args="", id=call["id"], index=index)
        yield AIMessageChunk(content="", tool_call_chunks=[first])
        yield AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args=text, index=index)])
    yield AIMessageChunk(
        content="", usage_metadata=message.usage_metadata, response_metadata=message.response_metadata
    )


def says(text: str, *calls: tuple[str, str, dict[str, Any]], **more: Any) -> AIMessage:
    """Return an answer that took 10 tokens and made 2; calls are (id, name, arguments)."""
    made = [{"id": call_id, "name": name, "args": arguments} for call_id, name, arguments in calls]
    usage = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12, **more.pop("usage", {})}
    return AIMessage(text, tool_calls=made, usage_metadata=usage, **more)
