"""The command that says where the tokens went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import Command

if TYPE_CHECKING:
    from nbsessions.charts.table import Shown, UsageTable
    from nbsessions.workspace import Workspace

GROUPS = (
    "day",
    "week",
    "month",
    "model",
    "provider",
    "agent",
    "session",
    "notebook",
    "tag",
    "owner",
    "status",
)
"""What usage is added up by, as people type it."""


def _usage(
    workspace: Workspace,
    by: str,
    since: str | None,
    until: str | None,
    session: str | None,
    agent: str | None,
    model: str | None,
    tag: str | None,
    chart: Shown,
) -> UsageTable:
    from nbsessions.charts.table import usage_table

    return usage_table(
        workspace.store,
        [group.strip() for group in by.split(",")],
        chart=chart,
        since=since,
        until=until,
        session=None if session is None else workspace.resume(session),
        agent_name=agent,
        model=model,
        tag=tag,
    )


COMMANDS = (
    Command(
        "usage",
        "Add up tokens and cost, with a chart.",
        _usage,
        (
            Argument(
                name="--by",
                help="by what: day,model (the default), agent, session, notebook, tag...",
                default="day,model",
                value="WHAT",
                completes="usage",
            ),
            Argument(
                name="--since", help="from this day on, or in the last days: 2026-11-01, 7d", value="WHEN"
            ),
            Argument(name="--until", help="up to this day, which is not counted itself", value="WHEN"),
            Argument(name="--session", help="only of this session", value="REF", completes="session"),
            Argument(name="--agent", help="only of this agent", completes="agent_name"),
            Argument(name="--model", help="only of this model"),
            Argument(name="--tag", help="only of sessions with this tag", completes="tag"),
            Argument(
                name="--chart",
                help="what the chart shows",
                choices=("tokens", "cost", "none"),
                default="tokens",
            ),
        ),
    ),
)
