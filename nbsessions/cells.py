"""Which turn a notebook's cell has asked for, and what the answer was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.codecs import codec, is_prompt

if TYPE_CHECKING:
    from nbsessions.records import Message, Turn
    from nbsessions.session import Session


def own_turn(session: Session, cell_id: str | None) -> Turn | None:
    """Return the last turn that a cell asked for, or that it shows: an exported cell has its turn's id.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi", cell_id="cell-1")
    >>> own_turn(session, "cell-1").turn_id == run.turn_id
    True
    """
    head = session.head.turn_id
    if cell_id is None or head is None:
        return None
    found = session.backend.asked_by(cell_id, head)
    if found is None and (shown := session.backend.turn(cell_id)) is not None:
        found = shown if cell_id in session.backend.ancestors([head]) else None
    return found


def answered(session: Session, cell_id: str | None, prompt: str) -> Turn | None:
    """Return the turn that a cell asked for with this very prompt, where all of it is there.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi", cell_id="cell-1")
    >>> answered(session, "cell-1", "Hello") is None, answered(session, "cell-1", "Bye") is None
    (False, True)
    """
    own = own_turn(session, cell_id)
    if own is None or (session.head.keep is not None and session.head.turn_id == own.turn_id):
        return None
    return own if _asks(own, session.backend.clean(prompt)) else None


def like(
    session: Session, cell_id: str | None, prompt: str, *, line: str | None, after: str | None
) -> Turn | None:
    """Return a turn with this prompt: the cell's own, else the next one after a turn, else any.

    Parameters
    ----------
    session : Session
    cell_id : str or None
    prompt : str
    line : str or None
        The last turn of a line that is looked at, too.
    after : str or None
        The turn that was shown last: of several that asked the same, the next one is meant.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run = session.send("Hello", agent=lambda prompt: "Hi")
    >>> like(session, None, "Hello", line=None, after=None).turn_id == run.turn_id
    True
    """
    own, prompt = own_turn(session, cell_id), session.backend.clean(prompt)
    if own is None and cell_id is not None:  # it may be on a line that was left
        own = session.backend.turn(cell_id)
    if own is not None:
        return own if _asks(own, prompt) else None
    for end in dict.fromkeys((session.head.turn_id, line)):
        turns = [] if end is None else session.backend.chain(end)
        before = next((n for n, turn in enumerate(turns, 1) if turn.turn_id == after), 0)
        found = next((turn for turn in turns[before:] + turns[:before] if _asks(turn, prompt)), None)
        if found is not None:
            return found
    return None


def whole_answer(session: Session, turn: Turn) -> list[Message]:
    """Return the messages of a turn, and those that were added after it up to the next prompt.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> [message.text for message in whole_answer(session, session.turns[0])]
    ['Hello', 'Hi']
    """
    head, keep = session.head
    steps = {} if head is None else session.backend.ancestors([head])
    last, messages = turn.turn_id, _view(turn)
    if last not in steps:
        return messages
    later = [step for step in steps.values() if step.total_turns == turn.total_turns]
    for step in sorted(later, key=lambda step: step.depth):
        added = session.backend.turn(step.turn_id) if step.depth > turn.depth else None
        if added is not None:
            messages, last = messages + _view(added), added.turn_id
    if last == head and keep is not None:
        del messages[len(messages) - steps[last].message_count + keep :]
    return messages


def _view(turn: Turn) -> list[Message]:
    return codec(turn.codec).view(turn.body)


def _asks(turn: Turn, prompt: str) -> bool:
    found = next((message.text for message in _view(turn) if is_prompt(message)), None)
    return found is not None and _as_in_a_cell(found) == _as_in_a_cell(prompt)


def _as_in_a_cell(prompt: str) -> str:
    """Return a prompt as a cell can hold it, whose ends are cut and whose line ends are all alike."""
    return prompt.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
