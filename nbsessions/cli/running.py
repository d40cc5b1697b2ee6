"""Run one command: on the store and the session that the line names, and show what comes of it."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Final

from nbsessions import commands
from nbsessions.cli.lines import Line, Mistake, takes_session
from nbsessions.cli.spelling import spell
from nbsessions.stores import check_exists
from nbsessions.text import one_line
from nbsessions.workspace import Settings, Workspace

if TYPE_CHECKING:
    from nbsessions.records import SessionRecord

_BEGIN: Final = ("new", "import", "chat", "doctor", "demo")
"""What may be done first of all in a store that is not there."""


def run(line: Line) -> int:
    """Run a command and show its answer; return the exit code.

    Raises
    ------
    Mistake
        It is about a session, and none is named.
    NbsessionsError

    Examples
    --------
    >>> from nbsessions.cli.lines import read
    >>> run(read(["--store", "memory:", "gc"]))
    Removed 0 turns that nothing reached.
    0
    """
    from nbsessions.showing import show, write

    _check_named(line)
    if line.store is not None and line.command.name not in _BEGIN:
        # A store that was misspelled is not made.
        check_exists(line.store)
    settings = Settings(store=line.store, agent=line.agent, auto_resume=False)
    workspace = Workspace(settings, spell=spell, is_seated=False)
    with warnings.catch_warnings():
        # What a store finds damaged is told by warnings.
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = _tell_warning
        try:
            if line.asked is not None:
                from nbsessions.chat.loading import load_agent

                settings.agent, workspace.names = load_agent(line.asked)
            found = commands.run(workspace, line.command, _resolved(workspace, line))
            _tell(workspace)
            if line.json and found is not None:
                from nbsessions.showing.asjson import dumped

                write(dumped(found, workspace.session, spell))
            else:
                show(found, spell)
        finally:
            workspace.close()
    return 1 if getattr(found, "ok", True) is False else 0


def _check_named(line: Line) -> None:
    """Refuse a command about a session where none is named: which one is meant is not guessed."""
    command, values = line.command, line.values
    if values.get("ref") is not None and line.session is not None:
        raise Mistake(f"nbsessions {command.name}: name one session, by REF or by --session.")
    if command.name == "clear" and values.get("all") and line.agent is None:
        raise Mistake("nbsessions clear --all: say whose sessions, by --agent NAME.")
    needs = command.on_session or takes_session(command)
    if not needs or values.get("all") or values.get("ref") is not None or line.session is not None:
        return
    how = "REF" if takes_session(command) else "--session REF"
    raise Mistake(
        f"nbsessions {command.name}: say which session by {how}: an id, a name, a part of an id, or latest. "
        "`history` lists them."
    )


def _resolved(workspace: Workspace, line: Line) -> dict[str, object]:
    """Make the session that the line names the current one, and return the command's values."""
    values = dict(line.values)
    ref = line.session if values.get("ref") is None else values.pop("ref")
    if ref is not None:
        record = _record(workspace, line, str(ref))
        workspace.session = workspace.resume(
            record.session_id, conversation_id=record.conversation_id, draft=line.draft
        )
    for argument in line.command.on("cli"):
        if argument.completes == "session" and argument.kind == "words":
            refs = values[argument.key]
            conversation = values.get("conversation")
            assert isinstance(refs, list)
            exact = [
                workspace.store.record(each, conversation_id=conversation, agent_name=line.agent, exact=True)
                for each in refs
            ]
            values[argument.key] = [record.session_id for record in exact]
        # What an option names need not be there: `chat --session` starts it.
        elif (
            argument.completes == "session"
            and not argument.name.startswith("-")
            and values.get(argument.key) is not None
        ):
            values[argument.key] = _record(workspace, line, str(values[argument.key])).session_id
    return values


def _record(workspace: Workspace, line: Line, ref: str) -> SessionRecord:
    # Of several agents' sessions of one name, that of the current agent is meant elsewhere: here is none.
    return workspace.store.record(ref, conversation_id=line.conversation, agent_name=line.agent)


def _tell(workspace: Workspace) -> None:
    for note in workspace.take_notes():
        sys.stderr.write(f"nbsessions: {one_line(note, 1_000)}\n")


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(f"nbsessions: {one_line(spell(str(message)), 1_000)}\n")
