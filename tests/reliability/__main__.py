"""
Put a store to the test, and print one table: `python -m tests.reliability [--quick] [SUBJECT...]`.
`python -m tests.reliability peers` puts ours and its peers to the same tests, by what all of them can do.

Processes are killed, disks fill up, clocks jump, bytes flip. Each figure counts what must not happen.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from tests.postgres import Server
from tests.reliability.beside import command
from tests.reliability.places import SERVER, Place
from tests.reliability.table import Figure

PEERS = "peers"
ANY, FILE, OWN = "any store", "a file", "a server of its own"
SUBJECTS = {
    "kills": ANY,
    "writers": ANY,
    "threads": ANY,
    "clock": ANY,
    "disk": FILE,
    "readonly": FILE,
    "flips": FILE,
    "postgres": OWN,
}
"""What is tested, each by the module of its name, and where."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run subjects, print their figures as they come, and return 1 where one is over its limit."""
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == [PEERS]:
        return command.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it hold at all?")
    parser.add_argument(
        "--store",
        action="append",
        metavar="URL",
        help="sqlite (the default), file, postgresql (a server is started), or the URL of a store; "
        "can be repeated",
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    asked = parser.parse_args(arguments)
    unknown = {*asked.subjects} - {*SUBJECTS}
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}. There are: {', '.join(SUBJECTS)}")
    over = 0
    # Children that run as another user of the system are still the same owner.
    os.environ.setdefault("NBSESSIONS_OWNER", "ada")
    _print("", "", "", "got", "limit", "", "")
    with ExitStack() as stack:
        stores = asked.store or ["sqlite"]
        places = [
            Place(stack.enter_context(closing(Server())).url() if name == SERVER else name) for name in stores
        ]
        for subject in asked.subjects or SUBJECTS:
            for place in _where(subject, places):
                over += sum(
                    [_told(subject, place, figure) for figure in _figures(subject, place, asked.quick)]
                )
    return min(over, 1)


def _where(subject: str, places: Sequence[Place]) -> Sequence[Place]:
    if SUBJECTS[subject] == OWN:
        return [Place(SERVER)]
    return [place for place in places if place.is_file or SUBJECTS[subject] == ANY]


def _figures(subject: str, place: Place, quick: bool) -> Iterator[Figure]:
    # Imported here: one that needs what is not installed keeps no other from its work.
    figures: Iterator[Figure] = importlib.import_module(f"tests.reliability.{subject}").figures(place, quick)
    return figures


def _told(subject: str, place: Place, figure: Figure) -> bool:
    limit = "" if figure.limit is None else f"{figure.limit:,}"
    _print(subject, place.name, figure.what, f"{figure.got:,}", limit, figure.verdict, figure.note)
    return figure.verdict == "OVER"


def _print(*cells: str) -> None:
    widths = (9, 11, 66, 7, 6, 5, 0)
    print(" ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
