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
    source : str
        What a store calls the values that it is made of, by ``+`` where there are several.
    description : str
        One sentence for people.
    opentelemetry : str or None
        What the semantic conventions of OpenTelemetry for generative AI call it.
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
    source: str
    description: str
    opentelemetry: str | None = None
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
        return self.source.split(" + ")


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


def _tokens(name: str, description: str, opentelemetry: str | None = None) -> Column:
    return Column(name, "int64", name, description, opentelemetry)


_INPUT = _tokens(
    "input_tokens",
    "Tokens sent, those read from and written to a cache included.",
    "gen_ai.usage.input_tokens",
)
_OUTPUT = _tokens("output_tokens", "Tokens generated, reasoning included.", "gen_ai.usage.output_tokens")
_TOTAL = Column(
    "total_tokens", "int64", "input_tokens + output_tokens", "Tokens sent and generated.", make=making.total
)
_COST = Column(
    "cost",
    "Float64",
    "cost",
    "US dollars, of what has a known price; missing where nothing of it has.",
    make=making.dollars,
)
_PARTS = (
    _tokens(
        "cache_read_tokens",
        "Of the tokens sent, those read from a cache.",
        "gen_ai.usage.cache_read.input_tokens",
    ),
    _tokens(
        "cache_write_tokens",
        "Of the tokens sent, those written to a cache.",
        "gen_ai.usage.cache_creation.input_tokens",
    ),
    _tokens(
        "reasoning_tokens",
        "Of the tokens generated, those spent on reasoning.",
        "gen_ai.usage.reasoning.output_tokens",
    ),
    _tokens("requests", "Requests to a model."),
    _tokens("unpriced_tokens", "Of the tokens sent and generated, those without a known price."),
)
_AGENT = Column("agent_name", "category", "agent_name", "The agent.", "gen_ai.agent.name")
_SESSION_ID = Column("session_id", "string", "session_id", "The session's id.", "gen_ai.conversation.id")
_CONVERSATION = Column(
    "conversation_id",
    "string",
    "conversation_id",
    "The A2A conversation that the session belongs to; missing at top level.",
)
_PROVIDER = Column("provider", "category", "provider", "Who serves the model.", "gen_ai.provider.name")
_RUN_ID = Column("run_id", "string", "run_id", "The run's id.")
_TURN_ID = Column("turn_id", "string", "turn_id", "The turn that it is in.")
_TOOL = Column("tool_name", "category", "tool_name", "The tool.", "gen_ai.tool.name")
_CALL_ID = Column(
    "tool_call_id", "string", "tool_call_id", "The id of the call of a tool.", "gen_ai.tool.call.id"
)
_LABEL = Column(
    "session",
    "string",
    "session_name + session_id",
    "The session's name or, where it has none, the end of its id.",
    make=making.label,
)

# What a person looks for comes first, ids come last: a terminal shows the first and the last columns.
SESSIONS: Final = Sheet(
    "sessions",
    (
        Column("name", "string", "name", "Its name."),
        Column("turn_count", "int64", "turn_count", "Prompts, up to where it stands."),
        Column("message_count", "int64", "message_count", "Messages, up to where it stands."),
        _TOTAL._replace(description="Tokens that its own runs sent and generated."),
        _COST,
        _AGENT,
        Column("model", "category", "model", "The model that answered last.", "gen_ai.response.model"),
        Column("tags", "string", "tags", "Its tags, joined by commas.", make=making.tags),
        Column("owner", "category", "owner", "Whose it is."),
        Column("notebook", "string", "notebook", "The notebook that it was made in."),
        Column("created_at", UTC, "created_at", "When it was made."),
        _INPUT,
        _OUTPUT,
        *_PARTS,
        _CONVERSATION,
        Column(
            "parent_session_id",
            "string",
            "parent_session_id",
            "The session that it was forked from, or called by.",
        ),
        Column("updated_at", UTC, "updated_at", "When it changed last."),
        _SESSION_ID,
    ),
)
RUNS: Final = Sheet(
    "runs",
    (
        Column("status", "category", "status", "How it ended, or that it has not.", categories=STATUSES),
        Column("prompt", "string", "prompt + turn_codec + turn_body", "What was asked.", make=making.prompt),
        _AGENT._replace(description="The agent that was asked."),
        Column("model", "category", "model", "The model that answered.", "gen_ai.response.model"),
        _INPUT,
        _OUTPUT,
        _TOTAL,
        _COST,
        Column("started_at", UTC, "started_at", "When it began."),
        Column(
            "duration",
            "Float64",
            "started_at + finished_at",
            "Seconds from its start to its end; missing while it runs.",
            make=making.seconds,
        ),
        *_PARTS,
        _PROVIDER,
        Column("priced_by", "category", "priced_by", "What its cost was calculated with."),
        Column("finished_at", UTC, "finished_at", "When it ended."),
        Column("event_count", "int64", "event_count", "Events that it has had."),
        _LABEL,
        Column("cell_id", "string", "cell_id", "The notebook cell that asked."),
        Column("retry_of", "string", "retry_of", "The run that it tried again."),
        _TURN_ID._replace(description="The turn that it committed."),
        _CONVERSATION,
        _SESSION_ID._replace(
            description="The session's id; missing where that was deleted.",
        ),
        Column("error", "string", "error", "What went wrong, on one line."),
        _RUN_ID,
    ),
)
MESSAGES: Final = Sheet(
    "messages",
    (
        Column("position", "int64", "position", "Its number in the session, from 1, as `rewind` counts."),
        Column("role", "category", "role", "Who said it.", categories=ROLES),
        Column("content", "string", "content", "Its text; parts that are no text are left out."),
        Column("name", "string", "name", "The name that it was said under."),
        Column("tool_calls", "int64", "tool_calls", "How many tools it calls."),
        Column("characters", "int64", "characters", "The length of its text."),
        Column("timestamp", UTC, "timestamp", "When it was said or, where it does not tell, stored."),
        _CALL_ID._replace(description="Of a tool's result: the call that it answers."),
        Column(
            "inherited",
            "bool",
            "inherited",
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
        Column("seq", "int64", "seq", "Its position in the run, from 0."),
        Column("type", "category", "type", "Its type in the AG-UI protocol."),
        Column("text", "string", "text", "What it adds to a text, or says by itself."),
        _TOOL,
        Column("timestamp", UTC, "timestamp", "When it came."),
        Column("message_id", "string", "message_id", "The message that it is a part of."),
        _CALL_ID._replace(description="The call of a tool that it is a part of."),
        Column("data", "string", "data", "All of it, as JSON."),
        _CONVERSATION,
        _SESSION_ID,
        _RUN_ID,
    ),
)
TOOL_CALLS: Final = Sheet(
    "tool_calls",
    (
        _TOOL,
        Column(
            "status",
            "category",
            "status",
            "Whether it has a result, or one that says it failed.",
            categories=CALL_STATUSES,
        ),
        Column(
            "arguments",
            "string",
            "arguments",
            "What it was called with, as JSON.",
            "gen_ai.tool.call.arguments",
        ),
        Column("result", "string", "result", "What it answered.", "gen_ai.tool.call.result"),
        Column("started_at", UTC, "started_at", "When it was called."),
        Column(
            "duration",
            "Float64",
            "started_at + answered_at",
            "Seconds from the call to the result; missing where only one of them has a time.",
            make=making.seconds,
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
    Column("runs", "int64", "runs", "Runs that began in it."),
    _PARTS[3],
    _INPUT,
    _OUTPUT,
    _TOTAL,
    *_PARTS[:3],
    _COST,
    _PARTS[4],
)
"""The columns of `usage_df` that come after its groups."""
GROUPS: Final[dict[str, tuple[Column, ...]]] = {
    "day": (Column("day", UTC, "day", "The day, in UTC."),),
    "week": (Column("week", UTC, "week", "The Monday that the week begins with, in UTC."),),
    "month": (Column("month", UTC, "month", "The first day of the month, in UTC."),),
    "agent_name": (_AGENT,),
    "model": (Column("model", "category", "model", "The model.", "gen_ai.response.model"),),
    "provider": (_PROVIDER,),
    "session": (
        _LABEL,
        _CONVERSATION,
        _SESSION_ID._replace(description="The session's id; missing for those that were deleted."),
    ),
    "notebook": (Column("notebook", "string", "notebook", "The notebook that the session was made in."),),
    "tag": (Column("tag", "string", "tag", "A tag of the session; with two, it is counted under both."),),
    "owner": (Column("owner", "category", "owner", "Whose the session is."),),
    "status": (Column("status", "category", "status", "How the runs ended.", categories=STATUSES),),
}
"""The columns that each group of `usage_df` has."""
USAGE: Final = Sheet("usage", (*(one for several in GROUPS.values() for one in several), *SPENT))
"""All that `usage_df` may have: of the groups, those that are asked for."""
HITS: Final = Sheet(
    "hits",
    (
        Column("session", "string", "session.label", "The session's name, or the end of its id."),
        Column("message", "Int64", "number", "Its number in the session; missing where it was left behind."),
        Column("role", "string", "role", "Who said it."),
        Column("snippet", "string", "snippet", "The text around the first word that was found."),
        Column("score", "float64", "score", "Higher is better."),
        Column("said_at", UTC, "said_at", "When it was stored."),
        Column("owner", "string", "session.owner", "Whose the session is."),
        Column("conversation_id", "string", "session.conversation_id", "The session's conversation."),
        Column("session_id", "string", "session.session_id", "The session's id."),
        Column("turn_id", "string", "turn_id", "The turn that it is in."),
    ),
)
CHECKPOINTS: Final = Sheet(
    "checkpoints",
    (
        Column("name", "string", "name", "Its name."),
        Column("message_count", "int64", "message_count", "Messages up to there."),
        Column("turn_count", "int64", "turn_count", "Prompts up to there."),
        Column("created_at", UTC, "created_at", "When it was made."),
        Column("session_id", "string", "session_id", "The session that it was made in."),
        Column("checkpoint_id", "string", "checkpoint_id", "Its id."),
    ),
)
