"""Statements that keep a store tidy: the index of words, redaction, and what nothing reaches."""

from __future__ import annotations

# What a deletion has to find when it asks who stands on a turn; no other time is it worth its upkeep.
INDEX_PARENTS = "CREATE INDEX turns_parent ON turns(parent)"
DROP_PARENTS = "DROP INDEX turns_parent"
SELECT_UNREACHED = (
    "WITH RECURSIVE live(id) AS (SELECT turn FROM heads WHERE turn IS NOT NULL UNION "
    "SELECT turn FROM checkpoints WHERE session IS NOT NULL AND turn IS NOT NULL UNION "
    "SELECT base_turn FROM runs WHERE status IN ('running', 'suspended') AND base_turn IS NOT NULL UNION "
    "SELECT t.parent FROM live l JOIN turns t ON t.id = l.id WHERE t.parent IS NOT NULL) "
    "SELECT id FROM turns WHERE id NOT IN (SELECT id FROM live) ORDER BY id DESC"
)
# Of states, a turn's, a session's, a log's and a checkpoint's are kept.
COLLECT = (
    "DELETE FROM checkpoints WHERE session IS NULL AND (turn IS NULL OR turn NOT IN (SELECT id FROM turns))",
    "DELETE FROM states WHERE id NOT IN (SELECT state FROM heads UNION SELECT state FROM sessions UNION "
    "SELECT state FROM turns UNION SELECT state FROM checkpoints)",
    "DELETE FROM search_links WHERE turn NOT IN (SELECT id FROM turns)",
)
# The runs that tell what a turn said: the one that committed it, and those that it was tried again for.
_TELLING = (
    "(WITH RECURSIVE telling(id, retry_of) AS (SELECT r.id, r.retry_of FROM runs r "
    "WHERE r.turn = (SELECT t.id FROM turns t WHERE t.turn_id = ?) UNION "
    "SELECT r.id, r.retry_of FROM telling l JOIN runs r ON r.run_id = l.retry_of) SELECT id FROM telling)"
)
# Those that asked the same in vain, in one session.
ASKING = (
    "SELECT run_id FROM runs WHERE prompt = ? AND status <> 'running' AND session = "
    "(SELECT s.id FROM sessions s WHERE s.conversation_id = ? AND s.session_id = ?)"
)
TELLING = f"SELECT run_id FROM runs WHERE id IN {_TELLING}"
FORGET_RUN = ("DELETE FROM events WHERE run = ?", "DELETE FROM progress WHERE run = ?")
REDACT_TURN = "UPDATE turns SET body = ?, content_hash = ? WHERE turn_id = ?"
SEARCH_STATE = "SELECT turn, head, stale, version FROM search_state"
LATEST = "SELECT (SELECT max(id) FROM turns), (SELECT max(id) FROM heads)"
NEXT_HEADS = "SELECT id, turn, session FROM heads WHERE id > ? ORDER BY id LIMIT ?"
LINK = "INSERT INTO search_links(turn, session) VALUES (?, ?) ON CONFLICT (turn) DO NOTHING"
# What was said in a session that is gone is found in a fork of it.
FORKS = (
    "SELECT DISTINCT h.session, h.turn FROM heads h JOIN sessions s ON s.id = h.session "
    "WHERE s.parent_session_id IS NOT NULL AND h.turn IS NOT NULL"
)
ABOVE = (
    "SELECT t.parent, (SELECT count(*) FROM search_links l WHERE l.turn = t.id) FROM turns t WHERE t.id = ?"
)
# The number of a row that was deleted may be given again.
SET_BACK = (
    "UPDATE search_state SET stale = 1, "
    "turn = CASE WHEN turn > COALESCE((SELECT max(id) FROM turns), 0) "
    "THEN COALESCE((SELECT max(id) FROM turns), 0) ELSE turn END, "
    "head = CASE WHEN head > COALESCE((SELECT max(id) FROM heads), 0) "
    "THEN COALESCE((SELECT max(id) FROM heads), 0) ELSE head END"
)
