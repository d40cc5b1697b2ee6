"""What was edited in an exported notebook, told by its cells and by the session that it carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from nbsessions.formats.notebook.cells import KEY, as_saved, cells, sha
from nbsessions.formats.reading import dict_of, list_of, text_of
from nbsessions.stores.arguments import Bundle


def edits(bundle: Bundle, data: dict[str, Any]) -> Iterator[str]:
    """Yield what the cells of a notebook tell otherwise than the session that it carries.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> list(edits(building.bundle(), {"cells": []}))
    ['1 cell is gone in it: what was exported is taken']
    """
    present = {_place(cell): cell for cell in map(dict_of, list_of(data.get("cells")))}
    found: Counter[str] = Counter()
    for cell in cells(bundle):
        place = _place(cell)
        if place is not None:
            found[_edit(cell, present[place]) if place in present else "gone"] += 1
    for what, one, several in (
        ("gone", "cell is gone", "cells are gone"),
        ("edited", "cell was edited", "cells were edited"),
        ("cleared", "answer was cleared", "answers were cleared"),
        ("answered", "answer was edited", "answers were edited"),
    ):
        if found[what]:
            yield f"{found[what]:,} {one if found[what] == 1 else several} in it: what was exported is taken"


def _place(cell: dict[str, Any]) -> tuple[object, object] | None:
    about = dict_of(dict_of(cell.get("metadata")).get(KEY))
    place = (text_of(about.get("turn_id")), about.get("number"))
    # A program that saves a notebook may make 3 of 3.0.
    return (place[0], int(place[1])) if isinstance(place[1], (int, float)) and place[0] else None


def _edit(made: dict[str, Any], found: dict[str, Any]) -> str:
    about, text = found["metadata"][KEY], as_saved(found.get("source"))
    if made["cell_type"] == "code":
        text = as_saved(text.partition("\n")[2])
    # The hash of what it said, and not what would be written today: that may have changed.
    if sha(text) != about.get("text_sha"):
        return "edited"
    if made["cell_type"] != "code":
        return ""
    wanted = [out["data"]["text/plain"] for out in made["outputs"] if "text/markdown" in out["data"]]
    outputs = map(dict_of, list_of(found.get("outputs")))
    shown = [as_saved(dict_of(output.get("data")).get("text/plain")) for output in outputs]
    if wanted and not shown:
        return "cleared"
    # Between the answers may stand what a run showed beside them.
    rest = iter(shown)
    return "" if all(as_saved(text) in rest for text in wanted) else "answered"
