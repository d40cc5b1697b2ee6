"""What a command answered, shown: to a person at a terminal, as lines in a pipe, or as JSON (`asjson`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from nbsessions.listings import Listing
from nbsessions.text import strip_controls

if TYPE_CHECKING:
    from rich.console import Console

_EMPTY = {
    "sessions": "There is no session.",
    "runs": "There is no run.",
    "hits": "Nothing was found.",
    "checkpoints": "There is no checkpoint.",
}


def show(found: object, spell: Callable[[str], str]) -> None:
    """Show an answer.

    Parameters
    ----------
    found : object
        What `commands.run` returned; None was shown while it happened.
    spell : callable
        Spells the commands that a text names as the face does.

    Examples
    --------
    >>> show("Cleared. `undo` brings it back.", lambda text: text.replace("`", ""))
    Cleared. undo brings it back.
    """
    if isinstance(found, Listing):
        _show_rows(found)
    elif found is not None:
        _show_object(found, spell)


def _show_rows(listing: Listing) -> None:
    from nbsessions.showing.columns import COLUMNS
    from nbsessions.showing.tables import draw, lines

    rows, columns = listing.read(), COLUMNS[listing.kind]
    if not sys.stdout.isatty():
        for line in lines(columns, rows):
            write(line)
    elif rows:
        draw(_console(), columns, rows)
    else:
        write(_EMPTY[listing.kind])


def _show_object(found: object, spell: Callable[[str], str]) -> None:
    from nbsessions.reprs import Card, Conversation

    if isinstance(found, (Card, Conversation)):
        from nbsessions.showing.pages import card, conversation

        console = _console() if sys.stdout.isatty() else None
        if isinstance(found, Card):
            card(found, console, write)
        else:
            conversation(found, console, write)
    elif hasattr(found, "summary"):
        from nbsessions.showing.pages import frame

        frame(found, _console() if sys.stdout.isatty() else None, write)
    else:
        # What a command tells may name sessions and files: nothing in it acts on a terminal.
        write(strip_controls(spell(str(found))))


def _console() -> Console:
    from rich.console import Console

    return Console(force_jupyter=False, highlight=False, markup=False, emoji=False)


def write(text: str) -> None:
    """Write a line to the standard output; what its encoding does not know is replaced.

    Examples
    --------
    >>> write("Grüße")
    Grüße
    """
    given = encoding()
    sys.stdout.write(text.encode(given, "replace").decode(given) + "\n")


def encoding() -> str:
    """Return the encoding of the standard output.

    Examples
    --------
    >>> encoding().lower()
    'utf-8'
    """
    return getattr(sys.stdout, "encoding", None) or "utf-8"
