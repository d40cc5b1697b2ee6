"""
A session as a notebook that runs: a cell for each prompt, with its answer below.

Jupyter's notebook format 4.5 (https://nbformat.readthedocs.io/en/latest/format_description.html, nbformat
5.11). ``Run All`` shows the stored answers again: it asks nobody, spends nothing, and evaluates nothing of
what the cells say. The notebook's own metadata carries the session without any loss::

    "nbsessions": {"format": "nbsessions-notebook", "version": 1, "session_id": ...,
                   "payload": the document that the format `json` writes, as ONE text, "sha256": of it}

as one text, because programs that open and save a notebook change its numbers. A cell that shows messages
says ``{"turn_id": ..., "number": of the first of them, "role": ..., "text_sha": SHA-256 of its text}``. What
is imported is the payload; the cells are only compared with it, and what was edited in them is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats import nbsessions_json
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.notebook.cells import KEY, cells, sha
from nbsessions.formats.notebook.edits import edits
from nbsessions.formats.notebook.foreign import read_cells
from nbsessions.formats.reading import dict_of, read_json, text_of
from nbsessions.stores.arguments import Bundle

NAME: Final = "nbsessions-notebook"
VERSION: Final = 1
_CONTROLS: Final = re.compile("[\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write a session as a notebook.

    Raises
    ------
    InvalidInput
        There are several: a notebook is one conversation.

    Examples
    --------
    >>> from io import BytesIO
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> file = BytesIO()
    >>> write([building.bundle()], file)
    >>> rb"%%agent --raw --rerun replay\\n" in file.getvalue()
    True
    """
    import nbformat

    bundle, *others = bundles
    if others:
        raise InvalidInput("A notebook holds one session. Export each into a file of its own.")
    made: Any = nbformat.from_dict(_document(bundle))
    nbformat.validate(made)
    text: str = nbformat.writes(made)
    # In JSON these can be escaped, and then do nothing in a terminal, or to the order of what is read.
    plain = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    file.write(f"{plain}\n".encode())


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session that a notebook carries, or the one that its cells tell.

    Without what we write into a notebook, cells of ``%%agent`` and of Jupyter AI's ``%%ai`` are read with
    their outputs.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = store.export("plan", Path(folder) / "plan.ipynb")
    ...     [bundle.record.name for bundle in read(path)]
    ['plan']
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise FormatError(path, "it is no notebook")
    own = dict_of(dict_of(data.get("metadata")).get(KEY))
    carried = _payload(own, path)
    if carried is None:
        yield from read_cells(data, path)
        return
    for told in edits(carried, data):
        note(told)
    yield carried


def carries(path: Path, session_id: str) -> bool:
    """Tell whether a notebook was made of this session.

    Examples
    --------
    >>> carries(Path("/nowhere/plan.ipynb"), "chat-7")
    False
    """
    try:
        own = dict_of(dict_of(dict_of(read_json(path)).get("metadata")).get(KEY))
    except FormatError:
        return False
    return own.get("format") == NAME and own.get("session_id") == session_id


def _payload(own: dict[str, Any], path: Path) -> Bundle | None:
    """Return the session that a notebook carries; None where it carries none that is whole."""
    if own.get("format") != NAME:
        return None
    version, payload = own.get("version"), text_of(own.get("payload"))
    if isinstance(version, int) and version > VERSION:
        raise FormatError(path, f"a newer nbsessions wrote it (version {version}). Upgrade to read it")
    if payload is None or sha(payload) != own.get("sha256"):
        note("what it carries is damaged: its messages are read from its cells, as far as they show them")
        return None
    return nbsessions_json.loads(payload, path)


def _document(bundle: Bundle) -> dict[str, Any]:
    payload = nbsessions_json.dumps(bundle)
    own = {
        "format": NAME,
        "version": VERSION,
        "session_id": bundle.record.session_id,
        "payload": payload,
        "sha256": sha(payload),
    }
    return {
        "cells": cells(bundle),
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            KEY: own,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _guess(peek: Peek) -> bool:
    return peek.path.suffix.lower() == ".ipynb" and not peek.keys.isdisjoint(
        {"cells", "nbformat", "metadata"}
    )


FORMAT = Format(
    name="notebook",
    help="A notebook that runs, and carries all of a session. Others with %%agent or %%ai are read, too.",
    suffixes=(".ipynb",),
    read=read,
    write=write,
    guess=_guess,
    many=False,
)
