"""Commands about what an agent may do: the call of a tool that a run waits with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import LOCAL, Command
from nbsessions.exceptions import InvalidInput

if TYPE_CHECKING:
    from nbsessions.records import Run
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace


def _approve(
    workspace: Workspace, run: str | None, deny: bool, reason: str | None, always: bool, edit: bool
) -> None:
    from nbsessions.approving import edited
    from nbsessions.asking import decide
    from nbsessions.permissions import Decision

    if deny and (always or edit):
        raise InvalidInput("--deny goes with --reason alone: what is denied is not called.")
    if reason is not None and not deny:
        raise InvalidInput("--reason tells the agent why not: it goes with --deny.")
    session = workspace.need_session()
    waiting = _waiting(workspace, session, run)
    arguments = edited() if edit else None
    decide(workspace, session, waiting, Decision(not deny, reason or "", arguments, always))


def _waiting(workspace: Workspace, session: Session, run: str | None) -> Run:
    if run is not None:
        return workspace.store.run(run, within=session)
    waiting = session.waiting()
    if not waiting:
        raise InvalidInput(f"No run of {session.record.label!r} waits for a decision.")
    return waiting[-1]


COMMANDS = (
    Command(
        "approve",
        "Allow the tool call that a run waits for, and go on with that run.",
        _approve,
        (
            Argument(
                name="run", help="its id, or the end of it; none: the last one that waits", completes="run"
            ),
            Argument(name="--deny", help="do not allow it", kind="flag"),
            Argument(name="--reason", help="what the agent is told: why not"),
            Argument(name="--always", help="and do not ask about this tool again", kind="flag"),
            Argument(name="--edit", help="call it with other arguments, which you write", kind="flag"),
        ),
        faces=LOCAL,
        on_session=True,
        is_live=True,
    ),
)
