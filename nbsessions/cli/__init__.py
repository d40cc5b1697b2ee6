"""
The command line: ``nbsessions COMMAND ...``, one of the faces of the table of commands.

What a person types becomes a command and its values (`lines`), is run on a store and maybe a session
(`running`), and is shown as `nbsessions.showing` does for every face.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nbsessions.exceptions import NbsessionsError, RunCancelled


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    It is 0, or 1 for a failure, 2 for a mistake in what was typed, 130 for Ctrl-C, and 141 where what was
    shown is read by nobody any more.

    Parameters
    ----------
    arguments : sequence of str or None
        None: those of the process.

    Examples
    --------
    >>> main(["--store", "memory:", "new", "plan"])
    Started 'plan'.
    0
    """
    if "_ARGCOMPLETE" in os.environ:
        from nbsessions.cli.completing import complete

        complete()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stdout is None:  # it was closed: what is said is for nobody
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:  # what is shown goes to a disk that is full
        _drop_output()
        _complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        return 1
    except KeyboardInterrupt:
        _complain("stopped.")
        return 130


def _run(words: Sequence[str]) -> int:
    from nbsessions.arguments import HelpShown
    from nbsessions.cli.lines import Mistake, read

    try:
        line = read(words)
        if isinstance(line, str):
            sys.stdout.write(f"{line}\n")
            return 0
        from nbsessions.cli.running import run

        return run(line)
    except HelpShown:
        return 0
    except Mistake as error:
        _complain(str(error))
        return 2
    except NbsessionsError as error:
        _complain(str(error))
        # What was stopped tells itself what became of it.
        stopped = isinstance(error, RunCancelled) or isinstance(error.__context__, KeyboardInterrupt)
        return 130 if stopped else 1


def _drop_output() -> None:
    # What is still buffered would fail once more when the process ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    from nbsessions.cli.spelling import spell
    from nbsessions.text import one_line

    line = one_line(spell(text), 4_000)
    sys.stderr.write(line + "\n" if line.startswith("nbsessions") else f"nbsessions: {line}\n")
