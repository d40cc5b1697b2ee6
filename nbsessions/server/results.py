"""What a command did or found, as it is sent: the line that it says, and the records that are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import CoreSchema

from nbsessions.finding import Hit
from nbsessions.listings import Listing, Told
from nbsessions.records import Checkpoint, Message, Run, SessionRecord
from nbsessions.reprs import Card, Conversation
from nbsessions.server.spelling import spell
from nbsessions.showing.asjson import frame_rows
from nbsessions.text import counted

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 1_000
"""So many rows are sent; more of them come by pages, from what is no command."""
_LAST: Final = 200
"""So many messages are sent; the messages of the session, by pages, are all of them."""


class Result(BaseModel):
    """What a command did or found; what it has nothing to say about is left out.

    Attributes
    ----------
    message : str
        What a person is told.
    session : SessionRecord or None
        The current session, as it is now; of `status`, the one that was asked about.
    sessions, runs, hits, checkpoints, messages, rows : list or None
        What was found.

    Examples
    --------
    >>> Result(message="Started 'plan'.").model_dump()
    {'message': "Started 'plan'."}
    """

    model_config = ConfigDict(extra="allow")

    message: str
    session: SessionRecord | None = None
    sessions: list[SessionRecord] | None = None
    runs: list[Run] | None = None
    hits: list[Hit] | None = None
    checkpoints: list[Checkpoint] | None = None
    messages: list[Message] | None = None
    rows: list[dict[str, Any]] | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # What is left out of an answer changes none of the types.
        own: Any = {**core}
        own.pop("serialization", None)
        return handler(own)


class Done(BaseModel):
    """What a command answers, as webagents' daemon does.

    Examples
    --------
    >>> Done(result=Result(message="Started 'plan'.")).model_dump_json()
    '{"result":{"message":"Started \\'plan\\'."}}'
    """

    result: Result


def result_of(found: object) -> Result:
    """Return what a command's function returned, as it is sent.

    Where the store is, is nobody's business who asks over HTTP.

    Examples
    --------
    >>> result_of("Cleared 2 messages. `undo` brings them back.").message
    'Cleared 2 messages. `session/undo` brings them back.'
    """
    if isinstance(found, Listing):
        return _listed(found)
    if isinstance(found, Card):
        shown = [(label, value) for label, value in found.rows if label != "store"]
        facts = {name: fact for name, fact in (found.facts or {}).items() if name != "store"}
        return Result.model_validate({"message": str(Card(found.title, shown)), **facts})
    if isinstance(found, Conversation):
        return Result(message=found.title, messages=found.messages[-_LAST:])
    summary: str | None = getattr(found, "summary", None)
    if summary is not None:  # a table, whose type would load pandas
        return Result(message=summary, rows=frame_rows(cast("pd.DataFrame", found))[:_MOST])
    data = found.data if isinstance(found, Told) else {}
    return Result.model_validate({"message": spell(str(found)), **data})


def _listed(found: Listing) -> Result:
    rows = list(found.read())
    text = counted(len(rows), "message" if found.kind == "hits" else found.kind[:-1])
    if len(rows) > _MOST:
        # Runs are in the order in which they happened, all else begins with what is meant most likely.
        last = found.kind == "runs"
        rows = rows[-_MOST:] if last else rows[:_MOST]
        text += f", of which these are the {'last' if last else 'first'} {_MOST:,}"
    return Result.model_validate({"message": f"{text}.", found.kind: rows})
