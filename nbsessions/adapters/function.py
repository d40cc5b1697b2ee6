"""An agent that is a plain function: sync or async, returning its answer or yielding it bit by bit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from nbsessions.adapters.base import Adapter, Answer, Emit, Request, announce
from nbsessions.exceptions import AgentError
from nbsessions.permissions import ToolQuestion
from nbsessions.records import Message, parse_messages
from nbsessions.values import encode_json, mend, new_id, now


class FunctionAdapter(Adapter):
    """Makes a function answer.

    It is called with the prompt; those of `history` (list of Message), `model`, `session_id` and `approve`
    that it has parameters for are given by name. `approve` asks whether a tool may be called: it takes the
    name of the tool, and its arguments by name, and gives a `Decision`, which is true where the tool may be
    called; an async function awaits it. It returns or yields text, or returns chat messages
    (dicts or `Message`), tool calls and results included.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> def count(prompt, history):
    ...     yield f"{len(history)} messages "
    ...     yield "before this"
    >>> nbs.open_store("memory:").create().send("Hello", agent=count).output
    '0 messages before this'
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        own = getattr(function, "__name__", None)
        kind = "agent" if own == "<lambda>" else type(function).__name__
        super().__init__(own if own not in (None, "<lambda>") else name or kind)
        self._function = function
        plain = inspect.isroutine(function) or isinstance(function, functools.partial)
        call = function if plain else type(function).__call__
        self.is_async = inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
        self._streams = inspect.isasyncgenfunction(call)
        self._options = _options(function)
        self.takes_model = "model" in self._options

    def _call(self, request: Request) -> Any:
        given = {
            "history": list(request.messages),
            "model": request.model,
            "session_id": request.session_id,
            "approve": self._approver(request),
        }
        return self._function(request.prompt, **{key: given[key] for key in self._options})

    def _approver(self, request: Request) -> Callable[..., Any]:
        ask: Callable[[ToolQuestion], Any] = request.approve if self.is_async else request.decide

        def approve(tool_name: str, /, **arguments: Any) -> Any:
            question = ToolQuestion(
                name=tool_name,
                arguments=encode_json(arguments, "arguments"),
                call_id=new_id(),
                run_id=request.run_id,
                agent_name=self.name,
            )
            return ask(question)

        return approve

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        said = _Said(request.prompt, emit, answer)
        result = self._call(request)
        if inspect.isgenerator(result) or (isinstance(result, Iterator) and not isinstance(result, str)):
            try:
                for piece in result:
                    said.add(piece)
            finally:
                if inspect.isgenerator(result):
                    result.close()
            said.close()
        else:
            said.whole(result, self.name)

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        said = _Said(request.prompt, emit, answer)
        result = self._call(request)
        if self._streams:
            stream: AsyncIterator[Any] = result
            async for piece in stream:
                said.add(piece)
            said.close()
        else:
            said.whole(await result, self.name)


def _options(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin may have no signature: it gets the prompt alone
        return []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [name for name in names if name in ("history", "model", "session_id", "approve")]


class _Said:
    """What the function has said so far, as events and as messages."""

    def __init__(self, prompt: str, emit: Emit, answer: Answer) -> None:
        self._emit, self._answer = emit, answer
        self._prompt = {"role": "user", "content": prompt, "timestamp": now().isoformat()}
        self._message_id: str | None = None
        self._text: list[str] = []

    def add(self, piece: object) -> None:
        from ag_ui.core import TextMessageContentEvent, TextMessageStartEvent

        if not isinstance(piece, str):
            raise AgentError(f"it yielded {type(piece).__name__}, not text: yield str")
        if self._message_id is None:
            self._message_id = new_id()
            self._emit(TextMessageStartEvent(message_id=self._message_id, role="assistant"))
        self._text.append(piece)
        if piece:
            self._emit(TextMessageContentEvent(message_id=self._message_id, delta=piece))

    def close(self) -> None:
        from ag_ui.core import TextMessageEndEvent

        text = mend("".join(self._text))
        if self._message_id is not None:
            self._emit(TextMessageEndEvent(message_id=self._message_id))
        self._answer.output = text
        self._store([{"role": "assistant", "content": text, "timestamp": now().isoformat()}])

    def whole(self, result: object, name: str) -> None:
        if inspect.iscoroutine(result):
            result.close()
        if inspect.isawaitable(result) or inspect.isasyncgen(result):
            raise AgentError("it returned something to be awaited: make it `async def`, and await it there")
        if inspect.isgenerator(result):
            raise AgentError("it returned a generator: yield in the `async def` itself, or return text")
        if result is None:
            raise AgentError("it returned None: return the answer as text")
        if isinstance(result, (Message, dict)) or (isinstance(result, list) and _is_chat(result)):
            self._messages(parse_messages(result if isinstance(result, list) else [result]))
        else:
            self.add(result if isinstance(result, str) else str(result))
            self.close()
        if not isinstance(result, (str, Message, dict, list)):
            self._answer.output = result

    def _messages(self, messages: list[Message]) -> None:
        for message in messages:
            announce(message, self._emit)
        texts = [m.text for m in messages if m.role == "assistant" and m.text]
        self._answer.output = texts[-1] if texts else ""
        at = now()
        stamped = [m if m.timestamp else m.model_copy(update={"timestamp": at}) for m in messages]
        self._store([message.to_dict() for message in stamped])

    def _store(self, messages: Iterable[dict[str, Any]]) -> None:
        self._answer.body = encode_json([self._prompt, *messages], "answer")


def _is_chat(result: list[Any]) -> bool:
    return bool(result) and all(
        isinstance(m, Message) or (isinstance(m, dict) and "role" in m) for m in result
    )
