"""Commands that go from one session to another: begin, save, load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import NAME, SEATED, SESSION, Command, Face
from nbsessions.commands.status import local
from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.text import counted

_NOTEBOOK: frozenset[Face] = frozenset({"magic"})

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace


def _new(workspace: Workspace, name: str | None) -> str:
    left = _leave(workspace)
    agent_name = workspace.adapter_name()
    session = workspace.create(name, agent_name)
    return f"Started {session.record.label!r}.{left}"


def _save(workspace: Workspace, name: str | None) -> str:
    left = workspace.save_left()
    if left and workspace.session is None and name is None:
        return "\n".join(left)
    session = workspace.need_session()
    session.save(name)
    turns = counted(session.turn_count, "turn")
    saved = f"Saved {session.record.label!r}: {turns}, {counted(session.message_count, 'message')}."
    return "\n".join([*left, session.notice or saved])


def _load(
    workspace: Workspace,
    ref: str | None,
    draft: bool,
    create: bool,
    conversation: str | None,
    turn: str | None,
    or_import: bool,
) -> str:
    current = workspace.session
    came = ""
    if create:
        if ref is None or ref == "latest":
            raise InvalidInput("--create needs a name: what to load, or to start where there is none.")
        try:
            workspace.resume(ref)
        except SessionNotFound:
            return _new(workspace, ref)
    if turn is not None or or_import:
        workspace.is_missing = True
        came = _bring(workspace, ref, conversation, turn, or_import)
    if draft and ref is None and current is not None:
        session = workspace.resume(current.session_id, conversation_id=current.conversation_id, draft=True)
    else:
        notebook = workspace.notebook()
        session = workspace.resume(
            ref or "latest", conversation_id=conversation, notebook=notebook, draft=draft
        )
    if draft and session.record.draft is None:
        raise InvalidInput(f"{session.record.label!r} has no draft: all of it is saved.")
    left = "" if workspace.session is None or workspace.session.key == session.key else _leave(workspace)
    workspace.switch(session, "load")
    workspace.line, workspace.is_missing = turn, False
    turns = counted(session.turn_count, "turn")
    last = local(session.updated_at)
    messages = counted(session.message_count, "message")
    loaded = f"{came}Loaded {session.record.label!r}: {turns}, {messages}, last at {last}.{left}"
    owner = session.owner
    theirs = (
        []
        if owner == workspace.store.owner
        else [f"It belongs to {owner!r}: read it, or `fork` it to go on."]
    )
    return "\n".join([loaded, *theirs, *workspace.left_over(session)])


def _bring(
    workspace: Workspace, ref: str | None, conversation: str | None, turn: str | None, or_import: bool
) -> str:
    """Import the session of this notebook where the store does not have it, or has less of it."""
    if ref is None:
        raise InvalidInput("--turn and --or-import need the session that is meant.")
    backend, there = workspace.store.backend, True
    try:
        workspace.resume(ref, conversation_id=conversation)
    except SessionNotFound:
        there = False
    if there and (turn is None or backend.turn(turn) is not None):
        return ""
    missing = f"turn {turn} of session {ref!r}" if there else f"session {ref!r}"
    if not or_import:
        raise InvalidInput(f"The store does not have {missing}.")
    notebook = workspace.notebook() or _notebook_here(ref)
    if notebook is None:
        raise InvalidInput(
            f"The store does not have {missing}, and it is not known where this notebook is saved: "
            "`import THIS.ipynb`, with its path, brings it."
        )
    report = workspace.store.import_(notebook, rename=True)
    if not len(report) and not report.present:
        raise InvalidInput(f"The store does not have {missing}, and {notebook} carries no session {ref!r}.")
    brought = ", ".join(repr(record.label) for record in report)
    return f"Imported {brought} from this notebook. " if brought else ""


def _notebook_here(session_id: str) -> str | None:
    """Return the one notebook of this folder that carries a session; where it is run, it mostly lies."""
    from nbsessions.formats.notebook import carries

    found = [path for path in sorted(Path.cwd().glob("*.ipynb")) if carries(path, session_id)]
    return str(found[0]) if len(found) == 1 else None


def _leave(workspace: Workspace) -> str:
    session = workspace.session
    if session is None:
        return ""
    if not session.unsaved and session.backend.get(session.key) is None:
        return f" {session.record.label!r} was deleted, by you or another kernel."
    kept = "stays" if session.saved or session.unsaved else "stays, with its unsaved draft"
    return f" {session.record.label!r} {kept}."


COMMANDS = (
    Command("new", "Start a session; all others stay.", _new, (NAME,)),
    Command("save", "Save the session now, and name it.", _save, (NAME,), on_session=True),
    Command(
        "load",
        "Resume a session by id, part of an id, name, or latest.",
        _load,
        (
            SESSION,
            Argument(name="--draft", help="go on from its unsaved draft", kind="flag"),
            Argument(name="--create", help="start one of this name where there is none", kind="flag"),
            Argument(name="--conversation", help="of this A2A conversation", value="ID"),
            Argument(name="--turn", help="only where this turn is in the store", value="ID", faces=_NOTEBOOK),
            Argument(
                name="--or-import", help="else import it from this notebook", kind="flag", faces=_NOTEBOOK
            ),
        ),
        faces=SEATED,
        aliases=("resume",),
    ),
)
