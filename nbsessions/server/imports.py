"""Sessions that come in as an upload: a file from a stranger, looked at in a folder of its own."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from nbsessions.exceptions import NbsessionsError
from nbsessions.records import SessionRecord
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.text import one_line

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
    ...     [record.name for record in import_(Call(other, query=ImportAsked(), upload=path)).sessions]
    ['plan']
    """
    assert call.upload is not None
    where = str(call.upload)

    def line(text: str) -> str:
        return one_line(text.replace(where, "the file"), 500)

    try:
        report = call.store.import_(call.upload, format=call.query.format, rename=call.query.rename)
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
