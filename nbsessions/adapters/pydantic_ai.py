"""An agent of pydantic-ai, https://ai.pydantic.dev (looked at: 2.68)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json

from nbsessions.adapters._pydantic_ai_steps import Asking, Steps, joined, open_calls, written
from nbsessions.adapters.base import OUTPUT_IS_GONE, Adapter, Answer, Emit, Request, Tool, announce_waiting
from nbsessions.codecs import codec
from nbsessions.exceptions import AgentUnavailable, InvalidInput, MissingExtra
from nbsessions.records import Spent, Usage
from nbsessions.values import mend

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.agent import AgentRunEvents
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.toolsets import AbstractToolset
    from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits


OLLAMA_URL = "http://localhost:11434/v1"


class PydanticAIAdapter(Adapter):
    """Makes a pydantic-ai ``Agent`` answer, or the model that a string names.

    Parameters
    ----------
    agent : pydantic_ai.Agent, pydantic_ai.models.Model or str
        A string is a model as pydantic-ai writes it: ``openai:gpt-5.2``, ``ollama:llama3.2``.
    name : str or None
        What to call an agent that has no name.
    deps : object
        What its tools, its instructions and its output get as their dependencies. They are never stored.
    toolsets, model_settings, usage_limits, instructions
        For all its runs, beside the agent's own: see ``Agent.run``.

    Raises
    ------
    MissingExtra
        pydantic-ai, or what it needs for this model, is not installed.
    AgentUnavailable
        The model is not known, or its key is not set.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from pydantic_ai import Agent
    >>> from pydantic_ai.models.test import TestModel
    >>> agent = Agent(TestModel(custom_output_text="Hi"), name="greeter")
    >>> run = nbs.open_store("memory:").create().send("Hello", agent=agent)
    >>> run.agent_name, run.output
    ('greeter', 'Hi')
    """

    codec: ClassVar[str] = "pydantic-ai"
    is_async = True
    takes_model = True
    goes_on = True

    def __init__(
        self,
        agent: Agent[Any, Any] | Model | str | Any,
        name: str | None = None,
        *,
        deps: object = None,
        toolsets: Sequence[AbstractToolset[Any]] | None = None,
        model_settings: ModelSettings | None = None,
        usage_limits: UsageLimits | None = None,
        instructions: str | Sequence[str] | None = None,
    ) -> None:
        options = {
            "deps": deps,
            "toolsets": toolsets,
            "model_settings": model_settings,
            "usage_limits": usage_limits,
            "instructions": instructions,
        }
        self._options: dict[str, Any] = {name: one for name, one in options.items() if one is not None}
        model = _model(agent) if isinstance(agent, str) else agent
        from pydantic_ai import Agent
        from pydantic_ai.models import Model

        if isinstance(model, Model):
            text = agent if isinstance(agent, str) else model.model_name
            super().__init__(name or text, text)
            self._agent: Agent[Any, Any] = Agent(model)
        else:
            super().__init__(model.name or name or "agent", _model_name(model.model))
            self._agent = model
        found = self._agent.model
        self.provider = found.system if isinstance(found, Model) else None

    def tools(self) -> Sequence[Tool]:
        from nbsessions.adapters._pydantic_ai_tools import tools_of

        given = self._options.get("toolsets") or ()
        return [tool for toolset in (*self._agent.toolsets, *given) for tool in tools_of(toolset)]

    def output(self, codec_name: str, body: str) -> object:
        kinds = _kinds(self._agent.output_type)
        said = [message for message in codec(codec_name).view(body) if message.role == "assistant"]
        if kinds == [str] or (str in kinds and said and not said[-1].calls):
            return super().output(codec_name, body)
        calls = [call for m in said for call in m.calls if call.name.startswith(_OUTPUT_TOOL)]
        # Of several types each has an output tool of its own: https://ai.pydantic.dev/output/
        own = calls[0].name.removeprefix(_OUTPUT_TOOL).removeprefix("_") if calls else ""
        meant = [
            kind for kind in kinds if kind is not str and (not own or getattr(kind, "__name__", "") == own)
        ]
        try:
            if len(meant) == 1 and calls:
                return _output(TypeAdapter[object](meant[0]), calls[0].arguments)
        except (PydanticUserError, ValueError, LookupError, TypeError) as error:
            raise InvalidInput(OUTPUT_IS_GONE) from error
        raise InvalidInput(OUTPUT_IS_GONE)

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        from pydantic_ai.messages import ModelMessagesTypeAdapter, repair_messages
        from pydantic_ai.ui.ag_ui import AGUIEventStream

        from nbsessions.adapters._pydantic_ai_events import Told

        # A rewind may have left a call without its result, or a result without its call.
        history = repair_messages(ModelMessagesTypeAdapter.validate_json(request.native))
        model = None if request.model is None or request.model == self.model else _model(request.model)
        stream: AGUIEventStream[Any, Any] = AGUIEventStream(
            None, thread_id=request.session_id, run_id=request.run_id
        )
        earlier = None if request.progress is None else request.progress.body
        carried = Usage() if request.progress is None else request.progress.usage
        begun = [] if earlier is None else ModelMessagesTypeAdapter.validate_json(earlier)
        asking, results = Asking(request, self.name), None
        if earlier is not None and (waiting := open_calls(begun)):
            announce_waiting(codec(self.codec).view(earlier), request, emit)
            # It goes on by what is decided about the calls that it has come to.
            answer.on_progress(earlier, Usage())
            results = await asking.results(waiting)
        began: list[AgentRunEvents[Any]] = []

        def count() -> None:
            for events in began:
                answer.usage = _usage(events.usage) - carried
                answer.requests = requests_of(events.new_messages())
            answer.on_request()

        running = self._agent.run_stream_events(
            request.prompt if earlier is None else None,
            message_history=[*history, *begun] or None,
            deferred_tool_results=results,
            model=model,
            infer_name=False,
            # What was spent before counts for the agent's limits.
            usage=run_usage(carried),
            capabilities=[asking.capability(), _before_requests(count)],
            **self._options,
        )
        async with running as events:
            began.append(events)

            def keep(new: list[ModelMessage]) -> None:
                answer.requests = requests_of(events.new_messages())
                answer.on_progress(joined(earlier, written(new)), _usage(events.usage) - carried)

            steps = Steps(events, begun, keep)
            asking.on_question = steps.keep_waiting
            told = Told(emit)
            try:
                async for event in stream.transform_stream(steps.stream()):
                    told(event)
                # What its events cannot tell, such as a tool's bytes, ends their stream, not the answer.
                async for _ in steps.stream():
                    pass
            finally:
                if steps.started:
                    answer.usage = _usage(events.usage) - carried
                    answer.requests = requests_of(events.new_messages())
                    _describe(events, answer)
            # The stream tells errors as events; the runner wants them raised.
            if steps.error is not None:
                raise steps.error
            result = events.result
            assert result is not None
            output = result.output
            answer.output = mend(output) if isinstance(output, str) else output
            answer.body = joined(earlier, written(result.new_messages()))


def _before_requests(count: Callable[[], None]) -> AbstractCapability[Any]:
    """Return what calls `count` before each request to a model: what it raises ends the run."""
    from pydantic_ai.capabilities import AbstractCapability

    class Counting(AbstractCapability[Any]):
        async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
            count()
            return request_context

    return Counting()


_OUTPUT_TOOL = "final_result"


def _kinds(output_type: Any) -> list[Any]:
    """Return the types of an agent's output; none where it is made by functions or other means."""
    united = get_origin(output_type) in (Union, UnionType)
    kinds = get_args(output_type) if united else output_type
    kinds = list(kinds) if isinstance(kinds, (list, tuple)) else [kinds]
    plain = all(isinstance(kind, type) or get_origin(kind) is not None for kind in kinds)
    return kinds if plain else []


def _output(reader: TypeAdapter[object], arguments: str) -> object:
    try:
        return reader.validate_json(arguments)
    except ValidationError:  # what is no JSON object was wrapped in one
        return reader.validate_python(from_json(arguments)["response"])


def _describe(events: AgentRunEvents[Any], answer: Answer) -> None:
    for message in reversed(events.new_messages()):
        if message.kind == "response":
            answer.model = message.model_name or answer.model
            answer.provider = message.provider_name
            return


def run_usage(usage: Usage) -> RunUsage:
    """Return what was spent as pydantic-ai counts it."""
    from pydantic_ai.usage import RunUsage

    return RunUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        requests=usage.requests,
        cost=usage.cost,
    )


def _usage(usage: RunUsage | RequestUsage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.output_reasoning_tokens,
        requests=usage.requests,
        cost=usage.cost,
    )


def requests_of(messages: list[ModelMessage]) -> list[Spent]:
    """Return what each answer of a model spent; its cost may be what the provider itself said."""
    return [
        Spent(_usage(message.usage), message.model_name, message.provider_name, message.timestamp)
        for message in messages
        if message.kind == "response"
    ]


def _model_name(model: Any) -> str | None:
    return model if model is None or isinstance(model, str) else str(model.model_name)


def _model(text: str) -> Model:
    """Return the model that a string names, reachable or not, or say in one line what is missing."""
    try:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model
    except ImportError as error:
        raise MissingExtra(f"The model {text!r}", "agents") from error
    try:
        if text.startswith("ollama:") and not os.environ.get("OLLAMA_BASE_URL"):
            return _ollama(text.removeprefix("ollama:"))
        return infer_model(text)
    except ImportError as error:
        provider = text.partition(":")[0]
        raise AgentUnavailable(
            f'The model {text!r} needs a package: pip install "pydantic-ai-slim[{provider}]"'
        ) from error
    except UserError as error:
        first = str(error).partition(". ")[0].partition("\n")[0].rstrip(".")
        raise AgentUnavailable(f"The model {text!r} cannot be used: {first}.") from error


def _ollama(name: str) -> Model:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.providers.ollama import OllamaProvider

    return OllamaModel(name, provider=OllamaProvider(base_url=OLLAMA_URL))
