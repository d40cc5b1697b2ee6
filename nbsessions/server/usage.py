"""What was spent, added up."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, Field

from nbsessions.exceptions import InvalidInput
from nbsessions.records import Usage
from nbsessions.server.routes import Call, Route, Strict
from nbsessions.server.sessions import ID
from nbsessions.stores.base import Key, Spending

_Group = Literal["day", "model", "provider", "agent_name", "session", "notebook", "tag", "status"]


class UsageAsked(Strict):
    """Which usage is asked for, added up by what. All that is given must hold.

    Examples
    --------
    >>> UsageAsked().by
    'day,model'
    """

    by: str = Field("day,model", max_length=200, description=f"Of: {', '.join(get_args(_Group))}.")
    since: date | None = Field(None, description="A day in UTC.")
    until: date | None = Field(None, description="The first day, in UTC, that is not counted.")
    agent_name: str | None = Field(None, max_length=ID)
    model: str | None = Field(None, max_length=ID)
    tag: str | None = Field(None, max_length=ID)
    session_id: str | None = Field(None, max_length=ID)
    conversation_id: str | None = Field(None, max_length=ID, description="Of that session.")


class Spent(BaseModel):
    """What was spent, for one group: those fields of it are set by which it was asked for.

    Examples
    --------
    >>> Spent(runs=1, usage=Usage(input_tokens=3)).day is None
    True
    """

    day: date | None = None
    model: str | None = None
    provider: str | None = None
    agent_name: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    notebook: str | None = None
    tag: str | None = None
    status: str | None = None
    runs: int
    usage: Usage


class UsageRows(BaseModel):
    """What was spent, by day, the first one first, and in there what spent most.

    Examples
    --------
    >>> UsageRows(rows=[]).rows
    []
    """

    rows: list[Spent]


def usage(call: Call) -> UsageRows:
    """Return what was spent in sessions that there are: whose the deleted ones were is not kept.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    >>> [row.runs for row in usage(Call(store, query=UsageAsked(by="status"))).rows]
    [1]
    """
    asked: UsageAsked = call.query
    by = list(dict.fromkeys(asked.by.split(",")))
    for name in by:
        if name not in get_args(_Group):
            raise InvalidInput(f"by: choose from {', '.join(get_args(_Group))}, with commas between.")
    key = None
    if asked.session_id is not None:
        key = Key.of(call.record(asked.session_id, asked.conversation_id))
    elif asked.conversation_id is not None:
        raise InvalidInput("conversation_id: give the session_id, too.")
    totals = call.store.backend.usage(
        Spending(
            by=by,  # type: ignore[arg-type]
            since=asked.since,
            until=asked.until,
            agent_name=asked.agent_name,
            model=asked.model,
            tag=asked.tag,
            owner=call.store.owner,
            key=key,
        )
    )
    rows = [Spent(**_fields(by, total.group), runs=total.runs, usage=total.usage) for total in totals]
    return UsageRows(rows=sorted(rows, key=lambda row: (row.day or date.max, -row.usage.total_tokens)))


def _fields(by: list[str], group: tuple[object, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(by, group, strict=True))
    key = fields.pop("session", None)
    if isinstance(key, Key):
        fields |= {"session_id": key.session_id, "conversation_id": key.conversation_id or None}
    return fields


ROUTES: Final = (Route("GET", "/usage", "Tokens and cost, added up.", usage, UsageRows, query=UsageAsked),)
