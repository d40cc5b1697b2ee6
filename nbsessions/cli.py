"""The command line: ``nbsessions``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nbsessions import __version__
from nbsessions.exceptions import NbsessionsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 for a failure, 2 for a mistake.

    Parameters
    ----------
    arguments : sequence of str or None
        None: those of the process.

    Examples
    --------
    >>> main(["--nonsense"])
    Traceback (most recent call last):
    SystemExit: 2
    """
    parser = argparse.ArgumentParser(prog="nbsessions", description="git for agent conversations.")
    parser.add_argument("--version", action="version", version=f"nbsessions {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="watch %%%%agent answer in a real kernel, on the built-in model")
    parser.parse_args(arguments)
    from nbsessions import demo

    try:
        return demo.main()
    except NbsessionsError as error:
        sys.stderr.write(f"nbsessions: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
