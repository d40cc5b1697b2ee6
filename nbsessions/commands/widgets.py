"""Commands that give a widget, and what they say where none runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nbsessions.commands.base import Command
from nbsessions.exceptions import InvalidInput
from nbsessions.screens import in_kernel

if TYPE_CHECKING:
    from nbsessions.widgets.picker import SessionPicker
    from nbsessions.widgets.table import HistoryTable
    from nbsessions.workspace import Workspace

_MOST: Final = 200


def _pick(workspace: Workspace) -> SessionPicker:
    _check_notebook("The picker needs a notebook. Here `history` lists sessions, and `load` resumes one.")
    from nbsessions.widgets.picker import SessionPicker

    return SessionPicker(workspace.store, workspace=workspace)


def table(
    workspace: Workspace,
    rows: int,
    *,
    tag: str | None = None,
    agent_name: str | None = None,
    conversation_id: str | None = None,
) -> HistoryTable:
    """Return the table of sessions, `rows` of them on a page.

    Raises
    ------
    InvalidInput
        There is no notebook here.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> table(Workspace(Settings(store="memory:")), 20)
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: The table needs a notebook. Here `history` without --widget lists ...
    """
    _check_notebook("The table needs a notebook. Here `history` without --widget lists sessions.")
    if not 1 <= rows <= _MOST:
        raise InvalidInput(f"A page of the table has 1 to {_MOST} sessions, not {rows}.")
    from nbsessions.widgets.table import HistoryTable

    return HistoryTable(
        workspace.store, page_size=rows, tag=tag, agent_name=agent_name, conversation_id=conversation_id
    )


def _check_notebook(text: str) -> None:
    if not in_kernel():
        raise InvalidInput(text)


COMMANDS = (
    Command("pick", "Pick a session in a widget, and go on with it.", _pick, faces=frozenset({"magic"})),
)
