"""The prompt in a real terminal: tmux draws it, and says what a person sees."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import STUCK_SECONDS
from tests.installing import installed

AGENTS = """
import nbsessions as nbs
from nbsessions.testing import ScriptedAgent

def echo(prompt):
    return f"You said: {prompt}"

def cleaner(prompt, approve):
    return "It is removed." if approve("remove", path="notes.txt") else "It is still there."

TEXT = "The quick brown fox jumps over the lazy dog, and comes back. " * 12
WORDS = [piece for word in f"# Plan\\n\\nFirst **list** the files.\\n\\n{TEXT}Done.".split(" ")
         for piece in (word + " ", 0.05)]
slow = ScriptedAgent([WORDS] * 9, name="slow")
stuck = ScriptedAgent([["It begins", 600.0]] * 9, name="stuck")
"""
"""What the module `my_agents` of a test's working folder has."""


class Terminal:
    """`nbsessions chat` in a window of so many columns and rows.

    Parameters
    ----------
    folder : Path
        Where it runs: its module `my_agents` has the agents above.
    *arguments : str
        What stands behind `nbsessions chat`.
    """

    def __init__(self, folder: Path, *arguments: str, columns: int = 80, rows: int = 30) -> None:
        (folder / "my_agents.py").write_text(AGENTS)
        self._tmux = installed("tmux", "tmux")
        self._folder = tempfile.TemporaryDirectory(prefix="nbs-")
        # Nothing of the person's own settings of tmux, and a name that is short enough for a socket.
        self._socket = str(Path(self._folder.name) / "s")
        command = shlex.join([sys.executable, "-m", "nbsessions.cli", "chat", *arguments])
        prompt = shlex.join(["sh", "-c", f"echo $$ > pid; exec {command}"])
        shell = f"{prompt}; echo $? > ended; sleep {STUCK_SECONDS * 5}"
        self._cwd = folder
        size = ("-x", str(columns), "-y", str(rows))
        self._run("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), shell)

    def _run(self, *arguments: str) -> str:
        # Not what readline has told the C library of the window of the tests.
        done = subprocess.run(
            [self._tmux, "-S", self._socket, *arguments],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=STUCK_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        subprocess.run(
            [self._tmux, "-S", self._socket, "kill-server"], capture_output=True, timeout=STUCK_SECONDS
        )
        self._folder.cleanup()

    def keys(self, *keys: str) -> None:
        """Press keys, as tmux calls them: `Enter`, `C-c`, `Tab`."""
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text and press Enter."""
        self._run("send-keys", "-l", text)
        self._run("send-keys", "Enter")

    def paste(self, text: str) -> None:
        """Paste a text, as terminals do for who knows how to take it."""
        self._run("set-buffer", text)
        self._run("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """What is to be seen, without the empty lines at the end."""
        return self._run("capture-pane", "-p").rstrip()

    def everything(self) -> str:
        """What is to be seen, and what has scrolled away, where lines that were wrapped are one."""
        return self._run("capture-pane", "-p", "-J", "-S", "-").rstrip()

    def wait(self, seen: str | Callable[[str], bool]) -> str:
        """Wait until a text is to be seen, wrapped or not, or what is to be seen is as told; return that."""
        return self._wait(lambda: self.screen(), seen)

    def wait_for_prompt(self, label: str) -> str:
        """Wait until a prompt of this session waits for the person."""
        return self.wait(lambda screen: screen.splitlines()[-1:] == [f"[{label}] You:"])

    def ended(self) -> int:
        """Wait until the prompt is left, and return its exit code."""
        ended = self._cwd / "ended"
        return int(self._wait(lambda: ended.read_text() if ended.exists() else "", lambda text: text != ""))

    @property
    def process(self) -> int:
        """The process of the prompt."""
        return int((self._cwd / "pid").read_text())

    def _wait(self, look: Callable[[], str], seen: str | Callable[[str], bool]) -> str:
        until = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < until:
            screen = look()
            if " ".join(seen.split()) in " ".join(screen.split()) if isinstance(seen, str) else seen(screen):
                return screen
            time.sleep(0.05)
        raise AssertionError(f"It was not seen: {seen}\n{look()}")
