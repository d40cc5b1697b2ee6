"""What Tab offers at the prompt: commands, their options, session names."""

from __future__ import annotations

from collections.abc import Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from nbsessions import commands
from nbsessions.chat.talking import COMMAND
from nbsessions.exceptions import NbsessionsError
from nbsessions.offers import Offers, placed
from nbsessions.text import one_line
from nbsessions.workspace import Workspace


class CommandCompleter(Completer):
    """Completes commands; what is said to an agent it leaves alone.

    Examples
    --------
    >>> from nbsessions.workspace import Settings
    >>> completer = CommandCompleter(Workspace(Settings(store="memory:")))
    >>> found = completer.get_completions(Document("/session/stat"), CompleteEvent())
    >>> [(one.text, one.start_position) for one in found]
    [('status', -4)]
    """

    def __init__(self, workspace: Workspace) -> None:
        self._offers = Offers(workspace, "chat")
        self._helps = {
            name: command.help
            for command in commands.on_face("chat")
            for name in (command.name, *command.aliases)
        }

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield what may follow what was typed before the cursor."""
        text = document.text_before_cursor.lstrip()
        command = COMMAND.match(text)
        if command is None:
            return
        rest = text[command.end() :]
        try:
            found = self._offers.command_line(rest)
        except NbsessionsError:  # Tab is no place to report a store that cannot be read
            return
        for start, offer in placed(rest, found):
            # A name that has control characters in it can be given by its id.
            if offer.isprintable():
                about = self._helps.get(offer, "") if not start else ""
                shown = one_line(offer, 60)
                yield Completion(offer, start - len(rest), display=shown, display_meta=about)
