"""The prompts of before, for the arrow keys: in a file of the person's own, without keys and passwords."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import platformdirs
from prompt_toolkit.history import History

from nbsessions.values import mend

_LONGEST: Final = 20_000


def history_path() -> Path:
    """Return where prompts are kept.

    Examples
    --------
    >>> history_path().name
    'chat_history'
    """
    return Path(platformdirs.user_state_dir("nbsessions", appauthor=False)) / "chat_history"


class PromptHistory(History):
    """Prompts in a file that nobody else can read.

    In this process a prompt comes back as it was typed. What looks like a key or a password, and the value of
    an environment variable that is named like one, does not reach the file; nor does what is very long.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    problem : str or None
        What is to be told of a file that cannot be read or written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> history = PromptHistory(Path(folder.name) / "chat_history")
    >>> history.store_string("My key is AKIAIOSFODNN7EXAMPLE.\\nKeep it.")
    >>> list(history.load_history_strings())
    ['My key is [secret: aws key id].\\nKeep it.']
    >>> folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.problem: str | None = None

    def load_history_strings(self) -> Iterable[str]:
        """Return the prompts, newest first."""
        try:
            text = self._path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem = f"Earlier prompts cannot be read: {error}."
            return []
        # Each line of a prompt begins with +, and each prompt with an empty line.
        entries = [entry.removesuffix("\n") for entry in f"\n{text}".split("\n\n+")[1:]]
        return [entry.replace("\n+", "\n") for entry in reversed(entries)]

    def store_string(self, string: str) -> None:
        """Append a prompt."""
        from nbsessions.secrets import Secrets

        if len(string) > _LONGEST:
            return
        kept = Secrets().clean(mend(string)).replace("\n", "\n+")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # At once, so that those of two prompts do not mix.
                os.write(file, f"\n+{kept}\n".encode())
            finally:
                os.close(file)
        except OSError as error:
            self.problem = f"This prompt is not kept for the arrow keys: {error}."
