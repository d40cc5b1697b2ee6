"""Commands about places on a session: fork, rewind, undo, checkpoint, redact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions import listings
from nbsessions.arguments import Argument
from nbsessions.commands.base import NAME, SESSION, Command, meant
from nbsessions.exceptions import InvalidInput
from nbsessions.listings import Told
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from nbsessions.listings import Listing
    from nbsessions.session import Session
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
    # As a checkpoint may be called anything else: int() takes 1_0 for a number, too.
    if not text.strip().lstrip("+-").isdecimal():
        return text
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


def _redact_run(workspace: Workspace, session: Session, ref: str, confirm: bool) -> str:
    run = workspace.store.run(ref, within=session)
    if not confirm:
        raise InvalidInput(
            f"This removes what the run {run.run_id[-8:]} ({run.status}) was asked and told, for good. "
            f"Say `redact --run {ref} --confirm` to do it."
        )
    session.redact_run(run.run_id)
    return f"Redacted the run {run.run_id[-8:]}."


def _undo(workspace: Workspace) -> str:
    undone = workspace.undo()
    session = workspace.need_session()
    if session.notice:
        return session.notice
    return f"Took back: {undone}. {session.record.label!r} has {counted(session.message_count, 'message')}."


def _checkpoint(workspace: Workspace, name: str | None) -> str:
    session = workspace.need_session()
    earlier = [one for one in session.checkpoints() if one.name == name]
    made = session.checkpoint(name)
    told = f"Checkpoint {made.name!r} after {counted(made.message_count, 'message')}."
    if earlier and earlier[0] != made:
        place = counted(earlier[0].message_count, "message")
        told += f" The one after {place} keeps its id: {earlier[0].checkpoint_id[-8:]}."
    return Told(told, checkpoint=made)


def _checkpoints(workspace: Workspace, ref: str | None) -> Listing:
    return listings.items("checkpoints", meant(workspace, ref).checkpoints)


def _branches(workspace: Workspace, ref: str | None) -> Listing:
    return listings.sessions(workspace.store, meant(workspace, ref).branches)


def _tree(workspace: Workspace, ref: str | None) -> str:
    from nbsessions.trees import tree

    here = workspace.session
    session = meant(workspace, ref)
    return tree(session, None if here is None else here.key)


def _redact(workspace: Workspace, number: int | None, run: str | None, confirm: bool) -> str:
    session = workspace.need_session()
    if (number is None) == (run is None):
        raise InvalidInput("Say which message: `redact 3`, as `show` counts; or --run and a run's id.")
    if run is not None:
        return _redact_run(workspace, session, run, confirm)
    assert number is not None
    if not 1 <= number <= session.message_count:
        count = counted(session.message_count, "message")
        raise InvalidInput(f"There is no message {number}: {session.record.label!r} has {count}.")
    from nbsessions.codecs import REDACTED

    message = session.messages[number - 1]
    if message.text == REDACTED:
        return f"Message {number} of {session.record.label!r} is redacted already."
    if not confirm:
        raise InvalidInput(
            f"This removes what message {number} ({message.role}: {one_line(message.text, 60)!r}) says, for "
            f"good, in all sessions that have it. Say `redact {number} --confirm` to do it."
        )
    session.redact(number - 1)
    return f"Redacted message {number} of {session.record.label!r}."


_POINT = Argument(name="name", help="what to call it; without one it is numbered", kind="rest")

COMMANDS = (
    Command(
        "fork",
        "Start a new session from where this one is, or from an earlier place.",
        _fork,
        (
            NAME,
            Argument(
                name="--at",
                help="a number of messages, a checkpoint, or a turn",
                value="PLACE",
                completes="checkpoint",
            ),
        ),
        on_session=True,
    ),
    Command(
        "rewind",
        "Keep the first N messages, or go to a checkpoint or turn; nothing is deleted.",
        _rewind,
        (
            Argument(
                name="to",
                help="how many messages to keep, a checkpoint, or the end of a turn's id",
                value="PLACE",
                kind="rest",
                required=True,
                completes="checkpoint",
            ),
        ),
        on_session=True,
    ),
    Command("undo", "Take back the last turn, rewind, clear or load.", _undo, on_session=True),
    Command("checkpoint", "Name this point, to come back to it.", _checkpoint, (_POINT,), on_session=True),
    Command("checkpoints", "List a session's checkpoints.", _checkpoints, (SESSION,)),
    Command("branches", "List the forks of a session.", _branches, (SESSION,)),
    Command("tree", "Draw a session with its forks and checkpoints.", _tree, (SESSION,)),
    Command(
        "redact",
        "Remove what one message says, or what a failed run said, for good.",
        _redact,
        (
            Argument(name="number", help="which message, as `show` counts", kind="number"),
            Argument(
                name="--run", help="a run that gave no answer: its id, or the end of it", completes="run"
            ),
            Argument(name="--confirm", help="yes, remove it", kind="flag"),
        ),
        on_session=True,
    ),
)
