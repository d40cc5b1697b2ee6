"""
One peer put to the test, in the environment of the peers.

``python -m tests.reliability.beside.harness NAME ROW... [--quick] [--server URL]`` prints a line of JSON for each
row as it comes: its name, and its counts or why it failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from importlib import import_module

from nbsessions.recorder import describe, place
from tests.reliability.beside import clock
from tests.reliability.beside.children import warm_up
from tests.reliability.beside.tried import Tried

_PLACE = re.compile(r"[^\s'\"]*/nbsessions-(reliability|pg)-[^\s'\"/]*/?")
"""The folder of a trial, which a note need not name."""
ROWS = ("kills", "writers", "disk", "damage", "restart", "clock")


def main() -> None:
    """Run rows one after the other; one that fails stops no other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("rows", nargs="+")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--server", default="")
    asked = parser.parse_args()
    # What a peer prints is no answer of ours.
    answers = os.dup(1)
    os.dup2(2, 1)
    tried = Tried(asked.name, asked.server)
    warm = False
    for row in asked.rows:
        if row == "clock" and not clock.can_jump():
            options = ["--quick"] * asked.quick + ["--server", asked.server] * bool(asked.server)
            line = clock.again([asked.name, row, *options])
        else:
            if not warm:
                warm_up(tried)
                warm = True
            line = f"{json.dumps({'row': row, **_run(tried, row, asked.quick)})}\n"
        os.write(answers, line.encode())


def _run(tried: Tried, row: str, quick: bool) -> dict[str, object]:
    try:
        module = import_module(f"tests.reliability.beside.{row}")
        counts = [count._replace(note=_PLACE.sub("", count.note)) for count in module.counts(tried, quick)]
        return {"counts": [count._asdict() for count in counts]}
    except Exception as error:  # noqa: BLE001 - it is told in the table
        return {"failed": f"{describe(error)}{place(error)}"}


if __name__ == "__main__":
    main()
