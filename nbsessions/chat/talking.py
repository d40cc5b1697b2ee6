"""What a person types at the prompt, done: an agent is asked, or a command is run."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from typing import TYPE_CHECKING, Final

from nbsessions import commands
from nbsessions.arguments import HelpShown, split
from nbsessions.chat.helping import overview
from nbsessions.commands import webagents
from nbsessions.commands.chatting import Left
from nbsessions.exceptions import (
    InvalidInput,
    LimitReached,
    NbsessionsError,
    RunCancelled,
    RunFailed,
    SessionConflict,
)
from nbsessions.text import masked, one_line
from nbsessions.values import mend

if TYPE_CHECKING:
    from nbsessions.records import Head
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace

COMMAND: Final = re.compile(r"/(?!/)(?P<webagents>session(?:/|\s+|$))?")
"""How a line begins that is a command: ``/load``, ``/session/load``, ``/session load``."""


_HERE: Final = {
    "`%agent --retry`": "`retry`",
    "`%agent": "`agent",
    "Define the agent first": "Name it by its module, such as my_agents:critic",
}


def spelled(text: str) -> str:
    """Return a message with the commands that it names as they are typed here.

    Examples
    --------
    >>> spelled("`undo` brings it back, `%agent --retry` asks again, `%agent --policy ask` asks about all.")
    '`/undo` brings it back, `/retry` asks again, `/agent --policy ask` asks about all.'
    """
    for elsewhere, here in _HERE.items():
        text = text.replace(elsewhere, here)
    return commands.spelled(text, "/")


class Talk:
    """Does what is typed, and tells what comes of it.

    Parameters
    ----------
    workspace : Workspace
    on_terminal : bool
        A person reads it. Else answers and what commands find go to the standard output, all else beside it.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> talk = Talk(Workspace(Settings(store="memory:")), on_terminal=False)
    >>> talk.take("/new plan")
    Started 'plan'.
    0
    >>> talk.label
    'plan'
    """

    def __init__(self, workspace: Workspace, *, on_terminal: bool) -> None:
        self.workspace = workspace
        self.on_terminal = on_terminal
        self._seen_elsewhere: Head | None = None

    @property
    def label(self) -> str:
        """What the current session is called at the prompt."""
        session = self.workspace.session
        if session is None:
            return "new session"
        return session.name or f"unnamed {session.record.label}"

    def begin(self, ref: str | None) -> None:
        """Go on with a session, or start it where there is none of that name; say which happened.

        Raises
        ------
        NbsessionsError
        """
        if ref is not None:
            values = {"ref": ref, "create": ref != "latest"}
            self._tell_all(str(commands.run(self.workspace, commands.COMMANDS["load"], values)))
        elif self.on_terminal:
            settings = self.workspace.settings
            agent = settings.agent or settings.model or "local"
            self.tell(f"Your first prompt starts a new session with {agent}; `/sessions` lists earlier ones.")
        if self.on_terminal:
            self.tell("`help` explains, `exit` leaves.")

    # What is typed

    def take(self, text: str) -> int:
        """Ask or run what was typed; return 0, or 1 where that failed, 130 where it was stopped.

        Raises
        ------
        Left
            The person leaves.
        """
        try:
            self._do(mend(text).strip("\n"))
        except HelpShown:
            return 0
        except Left:
            raise
        except RunCancelled as error:
            self._complain(f"{error} `%agent --retry` asks again.")
            return 130
        except LimitReached as error:
            self._complain(str(error) if error.run_id is None else f"{error} `%agent --retry` goes on then.")
            return 1
        except RunFailed as error:
            self._complain(f"{str(error).rstrip('.')}. `%agent --retry` asks again.")
            return 1
        except KeyboardInterrupt:
            self._complain("Stopped.")
            return 130
        except NbsessionsError as error:
            self._complain(str(error))
            return 1
        except Exception:  # noqa: BLE001 - a mistake of ours is told in full, and the person can go on
            traceback.print_exc()
            return 1
        return 0

    def _do(self, text: str) -> None:
        line = text.strip()
        command = COMMAND.match(line)
        if command is not None:
            self._run(line[command.end() :], webagents_spelling=command["webagents"] is not None)
        elif line:
            self._ask(line[1:] if line.startswith("//") else text)

    def _ask(self, prompt: str) -> None:
        from nbsessions.asking import Question, ask
        from nbsessions.commands.agents import other_model

        workspace, settings = self.workspace, self.workspace.settings
        adapter = workspace.adapter(model=settings.model)
        session = workspace.current(adapter.name)
        self._tell_of_others(session)
        model = other_model(settings.model, adapter)
        ask(
            workspace,
            session,
            Question(prompt=prompt, adapter=adapter, model=model, limits=settings.limits()),
        )

    def _run(self, line: str, *, webagents_spelling: bool) -> None:
        words = split(line) or ["status"]
        if words in (["help"], ["--help"], ["-h"]):
            self._show(overview())
            return
        command = self._command(words[0])
        pairs = webagents.pairs(command, words[1:]) if webagents_spelling else None
        if pairs is None:
            self._show(commands.run_line(self.workspace, line, face="chat", prefix="/"))
        else:
            name, values = webagents.translated(command, pairs, typed=True)
            self._show(commands.run(self.workspace, commands.COMMANDS[name], values))

    def _command(self, name: str) -> str:
        try:
            return commands.find(name, "chat").name
        except InvalidInput as error:
            raise InvalidInput(f"{error} A line that begins with // is sent to the agent.") from None

    # Between two prompts

    def look_around(self) -> None:
        """Tell what there is to tell before the person types: also that others went on with the session."""
        try:
            self._tell_notes()
            if self.workspace.session is not None:
                self._tell_of_others(self.workspace.session)
        except NbsessionsError as error:
            self._complain(str(error))

    def _tell_of_others(self, session: Session) -> None:
        try:
            session.check_place()
        except SessionConflict:
            present = session.backend.current(session.key, draft=session.on_draft).head
            if present != self._seen_elsewhere:
                self._seen_elsewhere = present
                label = session.record.label
                self.tell(
                    f"Somebody else went on with {label!r} meanwhile: `load {label}` goes on from there. "
                    "What you ask without that is kept on a fork."
                )

    # Leaving

    def leave(self, *, for_good: bool) -> bool:
        """Save what waits and close the store; tell what cannot be saved, and whether all is.

        Parameters
        ----------
        for_good : bool
            False: where something would be lost, stay.
        """
        session = self.workspace.session
        again = self._again(session) if session is not None and self.on_terminal else ""
        try:
            self.workspace.close()
        except NbsessionsError as error:
            lost = (
                "It is lost now." if for_good else "`save` tries again; `exit` once more leaves without it."
            )
            self._complain(f"{error} {lost}")
            return False
        for note in self.workspace.take_notes():
            self.tell(note)
        if session is not None and session.backend.persistent and self.on_terminal:
            kept = "is saved" if session.saved else "keeps its unsaved draft"
            self.tell(f"{session.record.label!r} {kept}. {again} goes on with it.")
        return True

    def _again(self, session: Session) -> str:
        """Return the command that goes on with a session, in the same store and with the same agent."""
        settings, names = self.workspace.settings, self.workspace.names
        options = {"session": session.name or session.session_id, "model": settings.model}
        agent = settings.agent
        if agent is not None and agent in names:
            options["agent"] = agent if ":" in agent else f"{names['__name__']}:{agent}"
        elif agent is not None and agent != "local":
            options["model"] = agent
        if settings.store is not None:
            options["store"] = masked(settings.store)
        given = [word for name, value in options.items() if value for word in (f"--{name}", value)]
        return shlex.join(["nbsessions", "chat", *given])

    # What is told

    def _show(self, found: object) -> None:
        from nbsessions.showing import show

        self._tell_notes()
        show(found, spelled)
        sys.stdout.flush()

    def _tell_notes(self) -> None:
        for note in self.workspace.take_notes():
            self.tell(note)

    def _tell_all(self, text: str) -> None:
        for line in text.splitlines():
            self.tell(line)

    def tell(self, text: str) -> None:
        """Tell the person something, on one line.

        Examples
        --------
        >>> from nbsessions.workspace import Settings, Workspace
        >>> Talk(Workspace(Settings(store="memory:")), on_terminal=True).tell("`exit` leaves.")
        `/exit` leaves.
        """
        self._say(text, "note")

    def _complain(self, text: str) -> None:
        self._say(text, "error")

    def _say(self, text: str, tone: str) -> None:
        if self.on_terminal:
            from nbsessions.screens import open_screen
            from nbsessions.segments import Line

            open_screen(notebook=False).say(Line(spelled(text), tone))
        else:
            sys.stderr.write(f"nbsessions: {one_line(spelled(text), 1_000)}\n")
