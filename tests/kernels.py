"""A real IPython kernel, driven as a front end drives it."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

SECONDS = 120.0


@dataclass
class Shown:
    """What one cell showed, each output in its last state, as a notebook would save it."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    error: str | None = None
    result: dict[str, Any] | None = None
    updates: int = 0

    @property
    def text(self) -> str:
        plain = [str(output["data"].get("text/plain", "")) for output in self.outputs]
        return "\n".join([*plain, *([str(self.result["text/plain"])] if self.result else [])])

    @property
    def html(self) -> str:
        return "\n".join(str(output["data"].get("text/html", "")) for output in self.outputs)


class Kernel:
    """One kernel and its client."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        quiet = ["--IPKernelApp.log_level=ERROR"]
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, **env}, extra_arguments=quiet)
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    @property
    def pid(self) -> int:
        pid = self.manager.provisioner.pid  # type: ignore[union-attr]
        assert isinstance(pid, int)
        return pid

    def send(self, code: str, cell_id: str | None = None, *, keyboard: bool = False) -> str:
        """Execute without waiting; return the message id. Where there is a keyboard, a cell may ask."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": keyboard,
            "stop_on_error": True,
        }
        message = self.client.session.msg("execute_request", content)
        message["metadata"] = {"cellId": cell_id} if cell_id else {}
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def run(self, code: str, cell_id: str | None = None) -> Shown:
        """Execute a cell, and return what it showed."""
        return self.wait(self.send(code, cell_id))

    def answer(self, text: str) -> str:
        """Type an answer to what a cell asks; return the question."""
        asked = self.asked()
        self.client.input(text)
        return asked

    def asked(self) -> str:
        """Wait until a cell asks, and return the question."""
        return str(self.client.get_stdin_msg(timeout=SECONDS)["content"]["prompt"])

    def wait(self, msg_id: str) -> Shown:
        shown = Shown()
        displays: dict[str, dict[str, Any]] = {}
        for message in self.messages(msg_id):
            self._note(shown, displays, message)
        return shown

    def messages(self, msg_id: str) -> Iterator[dict[str, Any]]:
        """Yield a cell's messages until its kernel is idle."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                assert time.monotonic() < deadline, "the cell does not end"
                assert self.manager.is_alive(), "the kernel died"
                continue
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    def _note(self, shown: Shown, displays: dict[str, dict[str, Any]], message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            setattr(shown, content["name"], getattr(shown, content["name"]) + content["text"])
        elif kind == "execute_result":
            shown.result = content["data"]
        elif kind == "error":
            shown.error = "\n".join(content["traceback"])
        elif kind == "display_data":
            shown.outputs.append(content)
            displays[content.get("transient", {}).get("display_id", "")] = content
        elif kind == "update_display_data":
            shown.updates += 1
            # What a caller of `messages` has consumed is not seen here; its display is then new.
            known = displays.setdefault(content["transient"]["display_id"], content)
            known["data"] = content["data"]
            if known is content:
                shown.outputs.append(content)

    def complete(self, line: str) -> list[str]:
        """Return the whole lines that Tab would make."""
        reply = self.client.complete(line, len(line), reply=True, timeout=SECONDS)["content"]
        start = reply["cursor_start"]
        return [line[:start] + match for match in reply["matches"]]

    def inspect(self, code: str) -> str:
        reply = self.client.inspect(code, len(code), reply=True, timeout=SECONDS)["content"]
        return str(reply["data"].get("text/plain", ""))

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while self.manager.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.destroy()


@contextmanager
def kernel(folder: Path, **env: str) -> Iterator[Kernel]:
    """Start a kernel in a folder, with a store of its own there."""
    settings = {"NBSESSIONS_STORE": str(folder / "sessions.db"), "NBSESSIONS_OWNER": "ada", **env}
    started = Kernel(folder, {**settings, "IPYTHONDIR": str(folder / ".ipython"), "PYTHONUNBUFFERED": "1"})
    try:
        yield started
    finally:
        started.stop()
