"""
The main job, to be watched: ``%%agent`` in a real kernel, and its session resumed by another process.

Everything happens in a temporary folder; your own sessions are not touched.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbsessions.exceptions import AgentError

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

CELLS: Final = (
    "%load_ext nbsessions",
    "%session new demo",
    "%%agent\nIn one sentence: what is a notebook?",
    "%%agent\nIn one sentence: what is a conversation?",
    "%session status",
)
RESUME: Final = """\
import nbsessions as nbs

with nbs.open_store() as store:
    session = store.resume("demo")
    print(session)
    for message in session.messages:
        print(f"  {message.role}: {message.text}")
"""
_SECONDS: Final = 180.0


def main() -> None:
    """Run the demo.

    Raises
    ------
    AgentError
        There is no kernel here, or a cell or the other process failed.
    """
    if find_spec("ipykernel") is None:
        raise AgentError("The demo needs a kernel to run in: pip install ipykernel")
    from jupyter_client.manager import start_new_kernel

    with tempfile.TemporaryDirectory(prefix="nbsessions-demo-") as folder:
        env = {**os.environ, "NBSESSIONS_STORE": str(Path(folder) / "sessions.db")}
        _say(f"A kernel starts; its sessions are in {env['NBSESSIONS_STORE']}\n")
        quiet = ["--IPKernelApp.log_level=ERROR"]
        manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=folder, extra_arguments=quiet)
        try:
            for number, cell in enumerate(CELLS, 1):
                _say(f"\nIn [{number}]: " + cell.replace("\n", "\n        ") + "\n")
                _run(client, cell)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        _say("\nThe kernel is gone. Another process resumes the session:\n\n")
        _say("".join(f"    {line}".rstrip() + "\n" for line in RESUME.splitlines()) + "\n")
        if subprocess.run([sys.executable, "-c", RESUME], env=env, check=False).returncode:
            raise AgentError("The other process did not find the session, see above.")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _run(client: BlockingKernelClient, cell: str) -> None:
    """Run a cell, and print what it shows as it comes."""
    sent = client.execute(cell)
    screen = _Screen()
    while True:
        try:
            message = client.get_iopub_msg(timeout=_SECONDS)
        except queue.Empty:
            raise AgentError(f"The kernel said nothing for {_SECONDS:.0f} seconds.") from None
        if message["parent_header"].get("msg_id") != sent:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            _say(content["text"])
        elif kind in ("display_data", "update_display_data", "execute_result"):
            screen.show(content)
        elif kind == "error":
            raise AgentError(f"The cell failed: {content['ename']}: {content['evalue']}")
        elif kind == "status" and content["execution_state"] == "idle":
            screen.end()
            return


class _Screen:
    """Prints displays that grow, each from where it had come to."""

    def __init__(self) -> None:
        self._display: str | None = None
        self._printed = ""

    def show(self, content: dict[str, Any]) -> None:
        display = content.get("transient", {}).get("display_id")
        text = str(content["data"].get("text/plain", ""))
        if display is None or display != self._display:
            self.end()
            self._display, self._printed = display, ""
        if text.startswith(self._printed):
            _say(text[len(self._printed) :])
            self._printed = text

    def end(self) -> None:
        if self._printed and not self._printed.endswith("\n"):
            _say("\n")
        self._printed = ""
