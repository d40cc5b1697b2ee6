"""What a command answered, shown: to a person at a terminal, as lines in a pipe, or as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nbsessions.commands import spelled
from nbsessions.listings import Listing
from nbsessions.text import strip_controls

if TYPE_CHECKING:
    from rich.console import Console

    from nbsessions.workspace import Workspace

_EMPTY = {
    "sessions": "There is no session.",
    "runs": "There is no run.",
    "hits": "Nothing was found.",
    "checkpoints": "There is no checkpoint.",
}


def show(found: object, workspace: Workspace, *, as_json: bool) -> None:
    """Show an answer.

    Parameters
    ----------
    found : object
        What `commands.run` returned; None was shown while it happened.
    workspace : Workspace
    as_json : bool

    Examples
    --------
    >>> from nbsessions.workspace import Workspace
    >>> show("Cleared. `undo` brings it back.", Workspace(), as_json=False)
    Cleared. `nbsessions undo` brings it back.
    """
    if found is None:
        return
    if as_json:
        from nbsessions.cli.asjson import dumped

        _write(dumped(found, workspace, ascii=not _encoding().lower().startswith("utf")))
    elif isinstance(found, Listing):
        _show_rows(found)
    else:
        _show_object(found)


def _show_rows(listing: Listing) -> None:
    from nbsessions.cli.columns import COLUMNS
    from nbsessions.cli.tables import draw, lines

    rows, columns = listing.read(), COLUMNS[listing.kind]
    if not sys.stdout.isatty():
        for line in lines(columns, rows):
            _write(line)
    elif rows:
        draw(_console(), columns, rows)
    else:
        _write(_EMPTY[listing.kind])


def _show_object(found: object) -> None:
    from nbsessions.reprs import Card, Conversation

    if isinstance(found, (Card, Conversation)):
        from nbsessions.cli.pages import card, conversation

        console = _console() if sys.stdout.isatty() else None
        if isinstance(found, Card):
            card(found, console, _write)
        else:
            conversation(found, console, _write)
    elif hasattr(found, "summary"):
        from nbsessions.cli.pages import frame

        frame(found, _console() if sys.stdout.isatty() else None, _write)
    else:
        # What a command tells may name sessions and files: nothing in it acts on a terminal.
        _write(strip_controls(spelled(str(found), "nbsessions ")))


def _console() -> Console:
    from rich.console import Console

    return Console(force_jupyter=False, highlight=False, markup=False, emoji=False)


def _write(text: str) -> None:
    encoding = _encoding()
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"
