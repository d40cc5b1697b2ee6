"""Sessions that come in as an upload: a file from a stranger, looked at in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field
from pydantic_core import from_json

from nbsessions.exceptions import NbsessionsError
from nbsessions.formats.base import Peek
from nbsessions.records import SessionRecord
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.text import one_line
from nbsessions.transfers.sources import import_path

_MOST: Final = 256 * 1024 * 1024
"""So many bytes a file may have."""
_LINES: Final = 100
"""So many of what was refused are told."""


class ImportAsked(Strict):
    """How a file is taken in.

    Examples
    --------
    >>> ImportAsked().rename
    False
    """

    format: str | None = Field(None, max_length=40, description="None: told from what the file holds.")
    rename: bool = Field(False, description="Where a name is taken, the session gets one like it.")


class Imported(BaseModel):
    """What came of an import.

    Examples
    --------
    >>> sorted(Imported.model_fields)[:3]
    ['forked', 'format', 'grown']
    """

    format: str | None
    sessions: list[SessionRecord] = Field(description="Those that came, or went on.")
    new: int
    grown: int = Field(description="How many of them were there, and went on.")
    forked: int = Field(description="How many of them went another way here, and are kept on forks.")
    present: int = Field(description="How many were there already, with all that they have.")
    refused: list[str] = Field(description="What was not taken, and why.")
    notes: list[str]


def import_(call: Call) -> Imported:
    """Take in the sessions of the file that is the body of the request.

    Raises
    ------
    NbsessionsError
        Nothing of it could be taken.

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> from pathlib import Path
    >>> store, other = nbs.open_store("memory:"), nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = store.export("plan", Path(folder) / "plan.json")
    ...     [one.name for one in import_(Call(other, query=ImportAsked(), upload=path)).sessions]
    ['plan']
    """
    assert call.upload is not None
    path = _named(call.upload)

    def line(text: str) -> str:
        text = text.replace(str(path), "the file")
        for folder in path.parents[:-2]:
            text = text.replace(f"{folder}/", "")
        return one_line(text, 500)

    try:
        report = import_path(
            call.store.backend,
            call.store.owner,
            path,
            format=call.query.format,
            rename=call.query.rename,
            bar=False,  # it would stand in the log of the server
        )
    except NbsessionsError as error:
        error.args = (line(str(error)),)
        raise
    file = report.files[0]
    return Imported(
        format=file.format,
        sessions=file.sessions,
        new=file.new,
        grown=file.grown,
        forked=file.forked,
        present=file.present,
        refused=[line(text) for text in file.refused[:_LINES]],
        notes=[line(text) for text in file.notes[:_LINES]],
    )


def _named(path: Path) -> Path:
    """Give a file the suffix that files of its kind have: some formats are told by that, too."""
    peek = Peek(path)
    lines = peek.text.lstrip().split("\n", 1)
    if peek.head.startswith(b"SQLite format 3\0"):
        suffix = ".db"
    elif peek.head.startswith(b"PK"):
        suffix = ".zip"
    elif not peek.text.lstrip().startswith(("{", "[")):
        suffix = ".txt"
    elif {"cells", "nbformat"} <= peek.keys:
        suffix = ".ipynb"
    else:
        suffix = ".jsonl" if lines[1:] and lines[1].strip() and _is_json(lines[0]) else ".json"
    return path.rename(path.with_suffix(suffix))


def _is_json(line: str) -> bool:
    try:
        from_json(line)
    except ValueError:
        return False
    return True


ROUTES = (
    Route(
        "POST",
        "/import",
        "Take in the sessions of a file, which is the body, in any format that is known.",
        import_,
        Imported,
        query=ImportAsked,
        most=_MOST,
        uploads=True,
    ),
)
