"""Commands about places on a session: fork, rewind, undo, checkpoint, redact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import NAME, SESSION, Command
from nbsessions.exceptions import InvalidInput
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.workspace import Workspace


def _fork(workspace: Workspace, name: str | None, at: str | None) -> str:
    session = workspace.need_session()
    fork = session.fork(name, None if at is None else _place(at))
    workspace.switch(fork, "fork")
    return (
        f"Now on {fork.record.label!r}: {counted(fork.message_count, 'message')} of {session.record.label!r}."
    )


def _place(text: str) -> int | str:
    """Return a place as a person types it: a number of messages, or what a checkpoint is called."""
    try:
        return int(text)
    except ValueError:
        return text


def _rewind(workspace: Workspace, to: str) -> str:
    session = workspace.need_session()
    before, head = session.message_count, session.head
    session.rewind(_place(to))
    if session.notice:
        return session.notice
    here = counted(session.message_count, "message")
    if session.head == head:
        return f"Nothing to rewind: {session.record.label!r} has {here}."
    if isinstance(_place(to), str):
        return f"Now at {to!r}: {here}. `undo` leads back to {counted(before, 'message')}."
    return f"Kept the first {here}. `undo` brings {before - session.message_count:,} back."


def _undo(workspace: Workspace) -> str:
    undone = workspace.undo()
    session = workspace.need_session()
    if session.notice:
        return session.notice
    return f"Took back: {undone}. {session.record.label!r} has {counted(session.message_count, 'message')}."


def _checkpoint(workspace: Workspace, name: str | None) -> str:
    made = workspace.need_session().checkpoint(name)
    return f"Checkpoint {made.name!r} after {counted(made.message_count, 'message')}."


def _checkpoints(workspace: Workspace, ref: str | None) -> pd.DataFrame:
    from nbsessions.frames import CHECKPOINTS, frame

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return frame(CHECKPOINTS, session.checkpoints())


def _branches(workspace: Workspace, ref: str | None) -> pd.DataFrame:
    from nbsessions.frames import SESSIONS, frame

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return frame(SESSIONS, session.branches())


def _tree(workspace: Workspace, ref: str | None) -> str:
    from nbsessions.trees import tree

    here = workspace.session
    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return tree(session, None if here is None else here.key)


def _redact(workspace: Workspace, number: int, confirm: bool) -> str:
    session = workspace.need_session()
    if not 1 <= number <= session.message_count:
        count = counted(session.message_count, "message")
        raise InvalidInput(f"There is no message {number}: {session.record.label!r} has {count}.")
    if not confirm:
        message = session.messages[number - 1]
        raise InvalidInput(
            f"This removes what message {number} ({message.role}: {one_line(message.text, 60)!r}) says, for "
            f"good, in all sessions that have it. Say `redact {number} --confirm` to do it."
        )
    session.redact(number - 1)
    return f"Redacted message {number} of {session.record.label!r}."


COMMANDS = (
    Command(
        "fork",
        "Start a new session from here, or from message N.",
        _fork,
        (
            NAME,
            Argument(name="--at", help="a number of messages, or a checkpoint", completes="checkpoint"),
        ),
    ),
    Command(
        "rewind",
        "Keep the first N messages, or go to a checkpoint; nothing is deleted.",
        _rewind,
        (
            Argument(
                name="to",
                help="how many messages to keep, or the name of a checkpoint",
                kind="rest",
                required=True,
                completes="checkpoint",
            ),
        ),
    ),
    Command("undo", "Take back the last turn, rewind, clear or load.", _undo),
    Command("checkpoint", "Name this point, to come back to it.", _checkpoint, (NAME,)),
    Command("checkpoints", "List a session's checkpoints as a DataFrame.", _checkpoints, (SESSION,)),
    Command("branches", "List the forks of a session as a DataFrame.", _branches, (SESSION,)),
    Command("tree", "Draw a session with its forks and checkpoints.", _tree, (SESSION,)),
    Command(
        "redact",
        "Remove what one message says, for good.",
        _redact,
        (
            Argument(name="number", help="which message, as `show` counts", kind="number", required=True),
            Argument(name="--confirm", help="yes, remove it", kind="flag"),
        ),
    ),
)
