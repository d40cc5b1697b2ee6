"""The columns of each frame: one table says how each is called, typed, filled and explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from nbsessions.frames import making

Make = Callable[..., Any]

UTC: Final = "datetime64[us, UTC]"
ROLES: Final = ("system", "user", "assistant", "tool")
STATUSES: Final = ("running", "completed", "failed", "cancelled", "suspended", "interrupted")
CALL_STATUSES: Final = ("completed", "failed", "unanswered")


class Column(NamedTuple):
    """One column of a frame.

    Attributes
    ----------
    name : str
    dtype : str
        As pandas writes it.
    description : str
        One sentence for people.
    opentelemetry : str or None
        What the semantic conventions of OpenTelemetry for generative AI call it.
    source : str
        What a store calls the values that it is made of, by ``+`` where there are several. Empty: the name.
    make : callable or None
        Makes it of its values, one NumPy array each. None: it is its one source.
    categories : tuple of str
        Of a category that has always the same ones.

    Examples
    --------
    >>> SESSIONS["name"].dtype, SESSIONS["total_tokens"].source
    ('string', 'input_tokens + output_tokens')
    """

    name: str
    dtype: str
    description: str
    opentelemetry: str | None = None
    source: str = ""
    make: Make | None = None
    categories: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """Each of its sources.

        Examples
        --------
        >>> SESSIONS["total_tokens"].sources
        ['input_tokens', 'output_tokens']
        """
        return (self.source or self.name).split(" + ")


@dataclass(frozen=True)
class Sheet:
    """The columns of one kind of frame, in order.

    Attributes
    ----------
    kind : str
    columns : tuple of Column

    Examples
    --------
    >>> [column.name for column in SESSIONS][:3]
    ['name', 'turn_count', 'message_count']
    """

    kind: str
    columns: tuple[Column, ...]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _text(name: str, description: str, opentelemetry: str | None = None) -> Column:
    return Column(name, "string", description, opentelemetry)


def _category(name: str, description: str, opentelemetry: str | None = None) -> Column:
    return Column(name, "category", description, opentelemetry)


def _count(name: str, description: str, opentelemetry: str | None = None) -> Column:
    return Column(name, "int64", description, opentelemetry)


def _time(name: str, description: str) -> Column:
    return Column(name, UTC, description)


def _seconds(description: str, source: str) -> Column:
    return Column("duration", "Float64", description, source=source, make=making.seconds)


_INPUT = _count(
    "input_tokens",
    "Tokens sent, those read from and written to a cache included.",
    "gen_ai.usage.input_tokens",
)
_OUTPUT = _count("output_tokens", "Tokens generated, reasoning included.", "gen_ai.usage.output_tokens")
_TOTAL = _count("total_tokens", "Tokens sent and generated.")._replace(
    source="input_tokens + output_tokens", make=making.total
)
_COST = Column(
    "cost",
    "Float64",
    "US dollars, of what has a known price; missing where nothing of it has.",
    make=making.dollars,
)
_CACHED = (
    _count(
        "cache_read_tokens",
        "Of the tokens sent, those read from a cache.",
        "gen_ai.usage.cache_read.input_tokens",
    ),
    _count(
        "cache_write_tokens",
        "Of the tokens sent, those written to a cache.",
        "gen_ai.usage.cache_creation.input_tokens",
    ),
    _count(
        "reasoning_tokens",
        "Of the tokens generated, those spent on reasoning.",
        "gen_ai.usage.reasoning.output_tokens",
    ),
)
_REQUESTS = _count("requests", "Requests to a model.")
_UNPRICED = _count("unpriced_tokens", "Of the tokens sent and generated, those without a known price.")
_AGENT = _category("agent_name", "The agent.", "gen_ai.agent.name")
_MODEL = _category("model", "The model that answered.", "gen_ai.response.model")
_PROVIDER = _category("provider", "Who serves the model.", "gen_ai.provider.name")
_LABEL = Column(
    "session",
    "string",
    "The session's name or, where it has none, the end of its id.",
    source="session_name + session_id",
    make=making.label,
)
_SESSION_ID = _text("session_id", "The session's id.", "gen_ai.conversation.id")
_CONVERSATION = _text(
    "conversation_id", "The A2A conversation that the session belongs to; missing at top level."
)
_TURN_ID = _text("turn_id", "The turn that it is in.")
_RUN_ID = _text("run_id", "The run's id.")
_TOOL = _category("tool_name", "The tool.", "gen_ai.tool.name")
_CALL_ID = _text("tool_call_id", "The id of the call of a tool.", "gen_ai.tool.call.id")

# What a person looks for comes first, ids come last: a terminal shows the first and the last columns.
SESSIONS: Final = Sheet(
    "sessions",
    (
        _text("name", "Its name."),
        _count("turn_count", "Prompts, up to where it stands."),
        _count("message_count", "Messages, up to where it stands."),
        _TOTAL._replace(description="Tokens that its own runs sent and generated."),
        _COST,
        _AGENT,
        _MODEL._replace(description="The model that answered last."),
        Column("tags", "string", "Its tags, joined by commas.", make=making.tags),
        _category("owner", "Whose it is."),
        _text("notebook", "The notebook that it was made in."),
        _time("created_at", "When it was made."),
        _INPUT,
        _OUTPUT,
        *_CACHED,
        _REQUESTS,
        _UNPRICED,
        _CONVERSATION,
        _text("parent_session_id", "The session that it was forked from, or called by."),
        _time("updated_at", "When it changed last."),
        _SESSION_ID,
    ),
)
RUNS: Final = Sheet(
    "runs",
    (
        _category("status", "How it ended, or that it has not.")._replace(categories=STATUSES),
        _text("prompt", "What was asked.")._replace(
            source="prompt + turn_codec + turn_body", make=making.prompt
        ),
        _AGENT._replace(description="The agent that was asked."),
        _MODEL,
        _INPUT,
        _OUTPUT,
        _TOTAL,
        _COST,
        _time("started_at", "When it began."),
        _seconds("Seconds from its start to its end; missing while it runs.", "started_at + finished_at"),
        *_CACHED,
        _REQUESTS,
        _UNPRICED,
        _PROVIDER,
        _category("priced_by", "What its cost was calculated with."),
        _time("finished_at", "When it ended."),
        _count("event_count", "Events that it has had."),
        _LABEL,
        _text("cell_id", "The notebook cell that asked."),
        _text("retry_of", "The run that it tried again."),
        _TURN_ID._replace(description="The turn that it committed."),
        _CONVERSATION,
        _SESSION_ID._replace(description="The session's id; missing where that was deleted."),
        _text("error", "What went wrong, on one line."),
        _RUN_ID,
    ),
)
MESSAGES: Final = Sheet(
    "messages",
    (
        _count("position", "Its number in the session, from 1, as `rewind` counts."),
        _category("role", "Who said it.")._replace(categories=ROLES),
        _text("content", "Its text; parts that are no text are left out."),
        _text("name", "The name that it was said under."),
        _count("tool_calls", "How many tools it calls."),
        _count("characters", "The length of its text."),
        _time("timestamp", "When it was said or, where it does not tell, stored."),
        _CALL_ID._replace(description="Of a tool's result: the call that it answers."),
        Column(
            "inherited",
            "bool",
            "Whether it was said before the session was forked off: its parent has it, too.",
        ),
        _TURN_ID,
        _LABEL,
        _CONVERSATION,
        _SESSION_ID,
    ),
)
EVENTS: Final = Sheet(
    "events",
    (
        _count("seq", "Its position in the run, from 0."),
        _category("type", "Its type in the AG-UI protocol."),
        _text("text", "What it adds to a text, or says by itself."),
        _TOOL,
        _time("timestamp", "When it came."),
        _text("message_id", "The message that it is a part of."),
        _CALL_ID._replace(description="The call of a tool that it is a part of."),
        _text("data", "All of it, as JSON."),
        _CONVERSATION,
        _SESSION_ID,
        _RUN_ID,
    ),
)
TOOL_CALLS: Final = Sheet(
    "tool_calls",
    (
        _TOOL,
        _category("status", "Whether it has a result, or one that says it failed.")._replace(
            categories=CALL_STATUSES
        ),
        _text("arguments", "What it was called with, as JSON.", "gen_ai.tool.call.arguments"),
        _text("result", "What it answered.", "gen_ai.tool.call.result"),
        _time("started_at", "When it was called."),
        _seconds(
            "Seconds from the call to the result; missing where one of them does not tell its time.",
            "called_at + answered_at",
        ),
        _AGENT,
        _LABEL,
        _CALL_ID,
        _TURN_ID._replace(description="The turn that it is in; missing where its run committed none."),
        _CONVERSATION,
        _SESSION_ID,
        _RUN_ID._replace(description="The run that called it; missing where no run tells of it."),
    ),
)
SPENT: Final = (
    _count("runs", "Runs that began in it."),
    _REQUESTS,
    _INPUT,
    _OUTPUT,
    _TOTAL,
    *_CACHED,
    _COST,
    _UNPRICED,
)
"""The columns of `usage_df` that come after its groups."""
GROUPS: Final[dict[str, tuple[Column, ...]]] = {
    "day": (_time("day", "The day, in UTC."),),
    "week": (_time("week", "The Monday that the week begins with, in UTC."),),
    "month": (_time("month", "The first day of the month, in UTC."),),
    "agent_name": (_AGENT,),
    "model": (_MODEL,),
    "provider": (_PROVIDER,),
    "session": (
        _LABEL,
        _CONVERSATION,
        _SESSION_ID._replace(description="The session's id; missing for those that were deleted."),
    ),
    "notebook": (_text("notebook", "The notebook that the session was made in."),),
    "tag": (_text("tag", "A tag of the session; with two, it is counted under both."),),
    "owner": (_category("owner", "Whose the session is."),),
    "status": (_category("status", "How the runs ended.")._replace(categories=STATUSES),),
}
"""The columns that each group of `usage_df` has."""
USAGE: Final = Sheet("usage", (*(one for several in GROUPS.values() for one in several), *SPENT))
"""All that `usage_df` may have: of the groups, those that are asked for."""
HITS: Final = Sheet(
    "hits",
    (
        _text("session", "The session's name, or the end of its id.")._replace(source="session.label"),
        Column(
            "message",
            "Int64",
            "Its number in the session; missing where it was left behind.",
            source="number",
        ),
        _text("role", "Who said it."),
        _text("snippet", "The text around the first word that was found."),
        Column("score", "float64", "Higher is better."),
        _time("said_at", "When it was stored."),
        _text("owner", "Whose the session is.")._replace(source="session.owner"),
        _CONVERSATION._replace(source="session.conversation_id"),
        _SESSION_ID._replace(source="session.session_id"),
        _TURN_ID,
    ),
)
CHECKPOINTS: Final = Sheet(
    "checkpoints",
    (
        _text("name", "Its name."),
        _count("message_count", "Messages up to there."),
        _count("turn_count", "Prompts up to there."),
        _time("created_at", "When it was made."),
        _SESSION_ID._replace(description="The session that it was made in."),
        _text("checkpoint_id", "Its id."),
    ),
)
CONTEXT: Final = Sheet(
    "context",
    (
        _count("position", "Its number in the session, from 1, as `rewind` counts."),
        _text("role", "Who said it; ``summary`` of what sums up the messages before it."),
        _text("content", "Its text; parts that are no text are left out.")._replace(source="message.text"),
        _count("tokens", "How many tokens it has.")._replace(source="size.tokens"),
        _text("counted", "Whether the ``provider`` has counted them, or they are ``estimated``."),
    ),
)
SHEETS: Final = {sheet.kind: sheet for sheet in (SESSIONS, RUNS, MESSAGES, EVENTS, TOOL_CALLS, USAGE)}
"""Those of the frames that people ask for."""
