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
    moving = commands.add_parser("migrate", help="put all that a store has into another one")
    moving.add_argument("source", metavar="FROM", help="a path or URL, such as file:sessions")
    moving.add_argument("target", metavar="TO", help="another one, such as postgresql://ada@host/agents")
    given = parser.parse_args(arguments)
    try:
        return _demo() if given.command == "demo" else _migrate(given.source, given.target)
    except NbsessionsError as error:
        sys.stderr.write(f"nbsessions: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            "nbsessions: stopped. What was done is whole; the same command goes on from there.\n"
        )
        return 130


def _demo() -> int:
    from nbsessions import demo

    return demo.main()


def _migrate(source: str, target: str) -> int:
    from tqdm.auto import tqdm

    from nbsessions.store import open_store
    from nbsessions.stores import check_exists

    check_exists(source)
    with open_store(source) as store, tqdm(unit="session", leave=False, delay=1.0) as bar:

        def step(done: int, all: int) -> None:
            bar.total = all
            bar.update(done - bar.n)

        result = store.migrate_to(target, on_step=step)
    sys.stdout.write(f"{result}\n")
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
