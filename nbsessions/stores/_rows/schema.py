"""The tables of the SQL stores: one statement after the other, as `MIGRATIONS` runs them."""

from __future__ import annotations

from collections.abc import Iterable

USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "requests",
)
"""What is counted; its cost and what has no price come apart."""
_USAGE_DDL = "".join(f"{column} BIGINT NOT NULL DEFAULT 0, " for column in USAGE) + "cost BIGINT"
SCHEMA = (
    """CREATE TABLE states (id {pk}, body TEXT NOT NULL)""",
    # The body comes last: what walks the chain then reads no further than it needs.
    """CREATE TABLE turns (
        id {pk}, turn_id TEXT NOT NULL UNIQUE, parent BIGINT REFERENCES turns(id),
        total_messages BIGINT NOT NULL, total_turns BIGINT NOT NULL, depth BIGINT NOT NULL,
        message_count BIGINT NOT NULL, has_system SMALLINT NOT NULL, system BIGINT,
        created_at BIGINT NOT NULL, cell_id TEXT, codec TEXT NOT NULL,
        state BIGINT NOT NULL, content_hash {blob}, hash {blob} NOT NULL, body TEXT NOT NULL)""",
    """CREATE INDEX turns_cell ON turns(cell_id) WHERE cell_id IS NOT NULL""",
    f"""CREATE TABLE sessions (
        id {{pk}}, session_id TEXT NOT NULL, conversation_id TEXT NOT NULL DEFAULT '', name TEXT,
        agent_name TEXT NOT NULL, owner TEXT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, entry BIGINT, draft_entry BIGINT, state BIGINT NOT NULL DEFAULT 0,
        head_turn TEXT, head_keep BIGINT, message_count BIGINT NOT NULL, turn_count BIGINT NOT NULL,
        {_USAGE_DDL}, model TEXT, notebook TEXT, parent_session_id TEXT, metadata TEXT NOT NULL,
        UNIQUE (session_id, conversation_id))""",
    """CREATE UNIQUE INDEX sessions_name ON sessions(owner, agent_name, conversation_id, name)
        WHERE name IS NOT NULL""",
    """CREATE INDEX sessions_newest ON sessions(conversation_id, updated_at)""",
    """CREATE TABLE heads (
        id {pk}, session BIGINT NOT NULL REFERENCES sessions(id), action TEXT NOT NULL, done TEXT NOT NULL,
        draft SMALLINT NOT NULL, turn BIGINT, keep BIGINT, message_count BIGINT NOT NULL,
        turn_count BIGINT NOT NULL, state BIGINT NOT NULL, at BIGINT NOT NULL, before BIGINT)""",
    """CREATE INDEX heads_session ON heads(session)""",
    f"""CREATE TABLE runs (
        id {{pk}}, run_id TEXT NOT NULL UNIQUE, session BIGINT, turn BIGINT, base_turn BIGINT,
        base_keep BIGINT, status TEXT NOT NULL, started_at BIGINT NOT NULL, finished_at BIGINT,
        agent_name TEXT NOT NULL, model TEXT, provider TEXT, {_USAGE_DDL},
        event_count BIGINT NOT NULL DEFAULT 0, cell_id TEXT, retry_of TEXT, worker TEXT,
        lease_until BIGINT, error TEXT, prompt TEXT)""",
    """CREATE INDEX runs_session ON runs(session)""",
    """CREATE INDEX runs_open ON runs(session) WHERE status = 'running'""",
    """CREATE TABLE events (
        id {pk}, run BIGINT NOT NULL, seq BIGINT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
        UNIQUE (run, seq))""",
    """CREATE TABLE visits (
        id {pk}, owner TEXT NOT NULL, notebook TEXT NOT NULL, session BIGINT NOT NULL, at BIGINT NOT NULL)""",
    """CREATE INDEX visits_notebook ON visits(owner, notebook)""",
)


SCHEMA_2 = (
    # What is read back is held against these: no page of a database carries a checksum of its own.
    """ALTER TABLE states ADD COLUMN crc BIGINT""",
    """ALTER TABLE sessions ADD COLUMN crc BIGINT""",
    """ALTER TABLE turns ADD COLUMN crc BIGINT""",
    """ALTER TABLE heads ADD COLUMN base BIGINT""",
    """ALTER TABLE heads ADD COLUMN crc BIGINT""",
    """ALTER TABLE events ADD COLUMN crc BIGINT""",
    # Of a run: what it began with, what was asked, and how it ended.
    """ALTER TABLE runs ADD COLUMN crc BIGINT""",
    """ALTER TABLE runs ADD COLUMN prompt_crc BIGINT""",
    """ALTER TABLE runs ADD COLUMN end_crc BIGINT""",
    """ALTER TABLE visits ADD COLUMN action TEXT NOT NULL DEFAULT 'load'""",
    """ALTER TABLE visits ADD COLUMN entry BIGINT""",
    """ALTER TABLE visits ADD COLUMN before BIGINT""",
    """CREATE INDEX sessions_parent ON sessions(parent_session_id) WHERE parent_session_id IS NOT NULL""",
    """CREATE TABLE checkpoints (
        id {pk}, checkpoint_id TEXT NOT NULL UNIQUE, session BIGINT, name TEXT NOT NULL, turn BIGINT,
        keep BIGINT, message_count BIGINT NOT NULL, turn_count BIGINT NOT NULL, state BIGINT NOT NULL,
        at BIGINT NOT NULL, parent TEXT, crc BIGINT NOT NULL)""",
    """CREATE INDEX checkpoints_session ON checkpoints(session)""",
    """CREATE TABLE key_values (
        id {pk}, session BIGINT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, at BIGINT NOT NULL,
        expires_at BIGINT, crc BIGINT NOT NULL, UNIQUE (session, name))""",
    """CREATE TABLE progress (
        id {pk}, run BIGINT NOT NULL UNIQUE, codec TEXT NOT NULL, body TEXT NOT NULL, usage TEXT NOT NULL,
        crc BIGINT NOT NULL)""",
    # Whose a turn that can be found is, and up to which one they can be.
    """CREATE TABLE search_links (turn {pk}, session BIGINT NOT NULL)""",
    """CREATE TABLE search_state (
        id {pk}, turn BIGINT NOT NULL, head BIGINT NOT NULL, stale SMALLINT NOT NULL,
        version BIGINT NOT NULL)""",
    """INSERT INTO search_state(turn, head, stale, version) VALUES (0, 0, 0, 0)""",
)


COUNTS = ("entry_count", "ended_run_count", "checkpoint_count", "value_count")
"""How many of each a session has, so that one that is not found is missed."""
_COUNTED = {
    "entry_count": "heads x WHERE",
    "ended_run_count": "runs x WHERE x.status <> 'running' AND",
    "checkpoint_count": "checkpoints x WHERE",
    "value_count": "key_values x WHERE",
}
SCHEMA_3 = (
    *(f"ALTER TABLE sessions ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0" for column in COUNTS),
    # Of what moves and runs change; `crc` is of what stays.
    """ALTER TABLE sessions ADD COLUMN moved_crc BIGINT""",
    # One checksum for the whole of a run, which those of old runs are no part of.
    """ALTER TABLE runs DROP COLUMN prompt_crc""",
    """ALTER TABLE runs DROP COLUMN end_crc""",
    """ALTER TABLE runs ADD COLUMN progressed SMALLINT NOT NULL DEFAULT 0""",
    """UPDATE runs SET crc = NULL, progressed = (SELECT count(*) FROM progress p WHERE p.run = runs.id)""",
    """ALTER TABLE visits ADD COLUMN crc BIGINT""",
    # One index for both questions: which runs a session has, and which of them are under way.
    """DROP INDEX runs_session""",
    """DROP INDEX runs_open""",
    """CREATE INDEX runs_of_session ON runs(session, (CASE status WHEN 'running' THEN 1 END))""",
    "UPDATE sessions SET "
    + ", ".join(
        f"{column} = (SELECT count(*) FROM {table} x.session = sessions.id)"
        for column, table in _COUNTED.items()
    ),
)


DAILY = ("runs", *USAGE, "cost", "unpriced_tokens", "costs")
"""What is added up for each day, agent, model and provider; `costs` is how often there was a cost."""
SCHEMA_4 = (
    """ALTER TABLE sessions ADD COLUMN unpriced_tokens BIGINT NOT NULL DEFAULT 0""",
    """ALTER TABLE runs ADD COLUMN unpriced_tokens BIGINT NOT NULL DEFAULT 0""",
    """ALTER TABLE runs ADD COLUMN priced_by TEXT""",
    # Only of a run that spent on several days, or with several models.
    """ALTER TABLE runs ADD COLUMN shares TEXT""",
    """CREATE INDEX runs_shared ON runs(started_at) WHERE shares IS NOT NULL""",
    """UPDATE runs SET unpriced_tokens = input_tokens + output_tokens WHERE cost IS NULL""",
    """UPDATE sessions SET unpriced_tokens =
        (SELECT COALESCE(sum(r.unpriced_tokens), 0) FROM runs r WHERE r.session = sessions.id)""",
    # A row is found by a digest of what it is about: names may be longer than what an index takes.
    "CREATE TABLE usage_daily (id {pk}, digest {blob} NOT NULL UNIQUE, day BIGINT NOT NULL, "
    "agent_name TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, "
    + "".join(f"{column} BIGINT NOT NULL, " for column in DAILY)
    + "seal BIGINT NOT NULL)",
)


DOCUMENT_COUNT = "document_count"
"""How many documents a session has, so that one that is not found is missed."""
SCHEMA_5 = (
    f"ALTER TABLE sessions ADD COLUMN {DOCUMENT_COUNT} BIGINT NOT NULL DEFAULT 0",
    # Their names are in the order of their characters, whatever language the database is told to sort in.
    """CREATE TABLE documents (
        id {pk}, session BIGINT NOT NULL, collection {name} NOT NULL, name {name} NOT NULL,
        body TEXT NOT NULL, crc BIGINT NOT NULL, UNIQUE (session, collection, name))""",
)


def made(statements: Iterable[str], *, pk: str, blob: str, name: str) -> tuple[str, ...]:
    """Return statements as a database wants them, with its words for a number of a row, for bytes, and for
    text that is in the order of its characters.
    """
    return tuple(statement.format(pk=pk, blob=blob, name=name) for statement in statements)
