"""Commands about what an agent is sent: to look at it, and to have the older part summed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import LOCAL, SESSION, Command, meant
from nbsessions.exceptions import InvalidInput

if TYPE_CHECKING:
    from nbsessions.charts.sent import ContextTable
    from nbsessions.workspace import Workspace


def _context(
    workspace: Workspace, ref: str | None, max_messages: int | None, max_tokens: int | None
) -> ContextTable:
    from nbsessions.charts.sent import context_table

    return context_table(meant(workspace, ref).context(max_messages, max_tokens))


def _compact(workspace: Workspace, model: str | None, keep: int | None) -> str:
    session, settings = workspace.need_session(), workspace.settings
    chosen = model or settings.compact_with
    adapter = workspace.adapter(model=settings.model) if chosen is None else workspace.adapter(chosen)
    if keep is not None and keep < 0:
        raise InvalidInput(f"keep must be at least 0, not {keep}.")
    before = session.context().tokens
    run = session.compact(adapter, keep=keep, limits=settings.limits())
    after = session.context().tokens
    told = (
        f"{run.agent_name} summed up what came before: about {after:,} tokens are sent now, not {before:,}."
    )
    return session.notice or f"{told} `undo` takes that back."


COMMANDS = (
    Command(
        "context",
        "Show what an agent would be sent, with the tokens of each message.",
        _context,
        (
            SESSION,
            Argument(name="--max-messages", help="if only the last N messages were sent", kind="number"),
            Argument(name="--max-tokens", help="if only the last N tokens were sent", kind="number"),
        ),
    ),
    Command(
        "compact",
        "Have the older messages summed up: the summary is sent in their place, all stays stored.",
        _compact,
        (
            Argument(name="--model", help="who sums up: a model or an agent", completes="agent"),
            Argument(name="--keep", help="send the last N messages as they are", kind="number"),
        ),
        faces=LOCAL,
        on_session=True,
    ),
)
