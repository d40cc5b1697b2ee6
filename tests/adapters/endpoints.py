"""AG-UI endpoints on this machine: one of pydantic-ai's, and one that sends what a test wants it to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@contextmanager
def served(agent: Agent[Any, Any]) -> Iterator[str]:
    """Serve an agent of pydantic-ai, and return the URL."""

    async def run(request: Request) -> Response:
        return await AGUIAdapter.dispatch_request(
            request, agent=agent, include_usage=True, manage_system_prompt="client"
        )

    app = Starlette(routes=[Route("/", run, methods=["POST"])])
    # Its own signal handlers, and those for web sockets, are not wanted.
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(10)


def sse(*events: dict[str, Any] | str) -> bytes:
    """Events as a stream of them."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


def said(text: str, message_id: str = "m1") -> list[dict[str, Any]]:
    """The events of a message."""
    start = {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
    deltas = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": part} for part in text]
    return [start, *deltas, {"type": "TEXT_MESSAGE_END", "messageId": message_id}]


@dataclass
class Endpoint:
    """An endpoint that sends each of its answers once, in pieces, and remembers what it was asked.

    A piece is some bytes; a number: so many seconds pass; None: it waits until the other end is gone.
    """

    answers: list[Sequence[bytes | float | None]]
    head: str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    requests: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve until the block ends, and return the URL."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/agent"
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join(10)

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        read = connection.makefile("rb")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read.readline()
        self.heads.append(head.decode())
        size = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        self.requests.append(json.loads(read.read(size)))
        try:
            connection.sendall(f"{self.head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode())
            for piece in self.answers[len(self.requests) - 1]:
                if piece is None:
                    read.read()  # until it is closed over there
                    self.gone.set()
                    return
                if isinstance(piece, float):
                    threading.Event().wait(piece)
                elif piece == b"CUT":
                    return
                else:
                    connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            self.gone.set()
