"""The command that says how a session stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.commands.base import SESSION, Command, meant
from nbsessions.text import counted

_CALLED = 5

if TYPE_CHECKING:
    from datetime import datetime

    from nbsessions.records import Usage
    from nbsessions.reprs import Card
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace


def _status(workspace: Workspace, ref: str | None) -> Card:
    from nbsessions.reprs import Card

    session = meant(workspace, ref)
    session.refresh()
    usage = session.usage
    rows = [
        ("id", session.session_id),
        *_agents(session),
        ("turns", f"{session.turn_count:,}"),
        ("messages", f"{session.message_count:,}"),
        ("created", local(session.created_at)),
        ("last activity", local(session.updated_at)),
        ("saved", _saved(session)),
        ("tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"),
        ("cost", _cost(session.usage)),
    ]
    rows += _called(session)
    rows += [("tags", ", ".join(session.tags))] if session.tags else []
    pending = workspace.unanswered(session)
    if pending:
        again = f"`%agent --retry` asks again{workspace.once_loaded(session)}"
        rows.append(("not answered", f"the last prompt, {pending.status}: {again}"))
    rows += [("waits", text) for text in workspace.waits(session)]
    rows.append(("store", workspace.store.url))
    facts = {
        "session": session.record,
        "saved": session.saved and not session.unsaved,
        "unanswered": None if pending is None else pending.run_id,
        "waiting": [run.run_id for run in session.waiting()],
        "store": workspace.store.url,
    }
    told = [(label, workspace.spell(text)) for label, text in rows]
    return Card(session.name or "unnamed session", told, facts)


def _agents(session: Session) -> list[tuple[str, str]]:
    last = next(iter(session.backend.runs(session.key, last=1)), None)
    model = f" ({last.model})" if last is not None and last.model else ""
    if last is None or last.agent_name == session.agent_name:
        return [("agent", session.agent_name + model)]
    return [("agent", session.agent_name), ("last asked", last.agent_name + model)]


def _called(session: Session) -> list[tuple[str, str]]:
    """Return what the agents spent that this session's agent asked."""
    from nbsessions.families import called

    children = called(session.backend, session.record)
    rows = [
        (
            "asked" if not number else "",
            f"{child.label}: {counted(child.turn_count, 'turn')}, {child.total_tokens:,} tokens, "
            f"cost {_cost(child.usage)}",
        )
        for number, child in enumerate(children[:_CALLED])
    ]
    if len(children) > _CALLED:
        rows.append(("", f"and {len(children) - _CALLED:,} more: `history --a2a`"))
    if children:
        spent = sum((child.usage for child in children), session.usage)
        rows.append(("with all of them", f"{spent.total_tokens:,} tokens, cost {_cost(spent)}"))
    return rows


def _saved(session: Session) -> str:
    if session.unsaved:
        return "no: an answer waits in this process, `save` tries again"
    if not session.saved:
        return "no: a draft, `save` keeps it"
    return "yes" if session.backend.persistent else "in memory only, until this process ends"


def _cost(usage: Usage) -> str:
    from nbsessions.amounts import money

    if usage.cost is None:
        return "unknown" if usage.total_tokens else "none"
    unpriced = usage.unpriced_tokens
    return money(usage.cost) + (f", and {unpriced:,} tokens without a known price" if unpriced else "")


def local(moment: datetime) -> str:
    """Return a time for people: on their clock, to the second.

    Examples
    --------
    >>> from datetime import datetime
    >>> local(datetime(2026, 3, 1, 12, 30))
    '2026-03-01 12:30:00'
    """
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


COMMANDS = (
    Command(
        "status",
        "Show a session: id, turns, tokens, cost, saved or not.",
        _status,
        (SESSION,),
    ),
)
