"""A cell that is run again and shows the answer that is stored: nobody is asked, and nothing is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.adapters.base import announce
from nbsessions.cells import answered, like, whole_answer
from nbsessions.display import AnswerView

if TYPE_CHECKING:
    from nbsessions.adapters.base import Adapter
    from nbsessions.records import Turn
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace


def replay(
    workspace: Workspace,
    session: Session,
    prompt: str,
    *,
    cell_id: str | None = None,
    execution: int | None = None,
    by_prompt: bool = False,
) -> bool:
    """Show the stored answer to a prompt, where there is one, and tell whether there was; ask nobody.

    Parameters
    ----------
    workspace, session
    prompt : str
    cell_id : str or None
        The cell that asks: its own turn is meant, as long as the prompt is the same.
    execution : int or None
        Which execution it is: what it has just been answered itself is not shown again.
    by_prompt : bool
        Where this cell asked for nothing: the next answer to the same prompt.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> session = workspace.current("local")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> replay(workspace, session, "Hello", cell_id=None, by_prompt=True)
    Hi...
    True
    """
    save_waiting(workspace, session)
    found = stored(workspace, session, prompt, cell_id, by_prompt=by_prompt)
    if found is None or workspace.made.get(found.turn_id, -1) == execution:
        return False
    show_stored(workspace, session, found)
    workspace.follow()
    return True


def save_waiting(workspace: Workspace, session: Session) -> None:
    """Save the answers that wait, before the cell's own turn is looked for: it may be among them.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> save_waiting(workspace, workspace.current("local"))
    """
    if session.unsaved:
        session.save_waiting()
        workspace.notes += [] if session.notice is None else [session.notice]


def stored(
    workspace: Workspace, session: Session, prompt: str, cell_id: str | None, *, by_prompt: bool
) -> Turn | None:
    """Return the turn whose answer is shown again for this prompt of this cell; None: somebody is asked.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> session = workspace.current("local")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> stored(workspace, session, "Hello", None, by_prompt=True).turn_id == run.turn_id
    True
    """
    if not by_prompt:
        return answered(session, cell_id, prompt)
    return like(session, cell_id, prompt, line=workspace.line, after=workspace.replayed)


def show_stored(workspace: Workspace, session: Session, turn: Turn) -> None:
    """Show the answer of a turn, and say that it cost nothing.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> session = workspace.current("local")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> show_stored(workspace, session, session.turns[0])
    Hi
    ... · turn 1 · replayed: no tokens spent
    """
    prompts = 0
    with AnswerView(screen=workspace.screen()) as view:
        tell(workspace, view)
        for message in whole_answer(session, turn):
            prompts += message.role == "user"
            if message.role == "user" and prompts > 1:
                view.note(f"user: {message.text}")
            announce(message, view.event)
        view.finish(f"{session.record.label} · turn {turn.total_turns} · replayed: no tokens spent")
    workspace.replayed = turn.turn_id


def tell(workspace: Workspace, view: AnswerView, adapter: Adapter | None = None) -> None:
    """Tell the person what there is to tell, each thing once; of an agent, what it says of itself.

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> workspace.note_once("The local model is small.")
    >>> tell(workspace, AnswerView(notebook=False))
    The local model is small.
    """
    if adapter is not None and adapter.note is not None:
        workspace.note_once(adapter.note)
    for note in workspace.take_notes():
        view.note(note)
