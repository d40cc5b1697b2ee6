"""The process of the local model: how it is started, asked and stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from nbsessions.exceptions import AgentUnavailable
from nbsessions.text import one_line
from nbsessions.values import encode_json

MAX_TOKENS = 1024
TEMPERATURE = 0.2
TOP_P = 0.9
REPEAT_PENALTY = 1.05
"""Without it, so small a model repeats itself to the end; with more, it makes up words."""

START_SECONDS = 60
ANSWER_SECONDS = 600
"""Reading a full context takes a minute on two cores, and others may be ahead in the queue."""

UNREACHABLE = (OSError, http.client.HTTPException)


class Server:
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
                raise AgentUnavailable(f"The local model cannot start: {one_line(str(error))}") from error
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
    return AgentUnavailable(f"The local model refused: {one_line(reason)}")


def _start(model: Path, key: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # As a script and with -P: no file in the notebook's folder, or in ours, shadows a module.
        [
            sys.executable,
            "-P",
            str(Path(__file__).with_name("_llama_server.py")),
            str(model),
            str(os.getpid()),
        ],
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
    raise AgentUnavailable(f"The local model cannot start from {model}: {one_line(said)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


_lock = threading.Lock()
_server: Server | None = None


def serve(model: Path) -> Server:
    """Return the one server of this process, started where there is none that is alive."""
    global _server
    with _lock:
        if _server is not None and (_server.model != model or not _server.alive):
            _server.stop()
            _server = None
        if _server is None:
            _server = Server(model)
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
