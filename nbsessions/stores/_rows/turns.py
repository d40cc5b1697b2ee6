"""Turns, and the chains that they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from nbsessions.records import Turn
from nbsessions.stores._rows.checks import crc, crc_of, insert, is_written, marks

_TURN = (
    "turn_id",
    "parent",
    "total_messages",
    "total_turns",
    "depth",
    "message_count",
    "has_system",
    "created_at",
    "cell_id",
    "codec",
    "content_hash",
    "hash",
    "body",
    "crc",
    "system",
    "state",
)
INSERT_TURN = insert("turns", _TURN)
SELECT_TIP = "SELECT id, has_system, system FROM turns WHERE turn_id = ?"
SELECT_KNOWN = "SELECT id, hash, has_system, system FROM turns WHERE turn_id = ?"
_TURN_COLUMNS = ", ".join("t." + column for column in _TURN)
# A turn is stored after its parent: this ends a walk whose links are damaged, without a look at all before.
SELECT_CHAIN = (
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION ALL "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent "
    "WHERE p.id < c.id AND p.total_messages > ?) "
    f"SELECT {_TURN_COLUMNS} FROM chain c JOIN turns t ON t.id = c.id"
)
_WITH_PARENT = f"SELECT {_TURN_COLUMNS}, p.turn_id, p.hash FROM turns t LEFT JOIN turns p ON p.id = t.parent"
SELECT_TURN = f"{_WITH_PARENT} WHERE t.turn_id = ?"
SELECT_TURNS = f"{_WITH_PARENT} WHERE t.turn_id IN "
# The walk goes no further up than the first turn of the cell; where there is none, it does not begin.
SELECT_ASKED_BY = (
    "WITH RECURSIVE chain(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION "
    "SELECT p.id, p.parent FROM chain c JOIN turns p ON p.id = c.parent "
    "WHERE p.depth >= (SELECT min(depth) FROM turns WHERE cell_id = ?)) "
    f"{_WITH_PARENT} JOIN chain c ON c.id = t.id WHERE t.cell_id = ? ORDER BY t.depth DESC LIMIT 1"
)
SELECT_SYSTEM_TURNS = (
    "WITH RECURSIVE above(id) AS (SELECT system FROM turns WHERE turn_id = ? UNION "
    "SELECT t.system FROM above a JOIN turns t ON t.id = a.id WHERE t.system IS NOT NULL) "
    f"{_WITH_PARENT} JOIN above a ON a.id = t.id ORDER BY t.depth"
)
UP = (
    "WITH RECURSIVE up(id, parent) AS (SELECT id, parent FROM turns WHERE turn_id = ? UNION "
    "SELECT p.id, p.parent FROM up u JOIN turns p ON p.id = u.parent) "
)
SELECT_SCAN = f"{_WITH_PARENT.replace(' FROM', ', t.id FROM', 1)} WHERE t.id > ? ORDER BY t.id LIMIT ?"


def select_steps(tips: int) -> str:
    """Return the statement that gives so many turns and all above them, as far as there are more messages."""
    return (
        "WITH RECURSIVE up(id, parent) AS (SELECT id, parent FROM turns "
        f"WHERE turn_id IN ({marks(tips)}) AND total_messages > ? UNION SELECT p.id, p.parent "
        "FROM up u JOIN turns p ON p.id = u.parent WHERE p.total_messages > ?) "
        "SELECT t.turn_id, p.turn_id, t.message_count, t.total_messages, "
        "t.total_turns, t.depth FROM up u JOIN turns t ON t.id = u.id LEFT JOIN turns p ON p.id = t.parent"
    )


class Tip(NamedTuple):
    """A turn that others are put on, as a row of `SELECT_TIP`."""

    number: int | None = None
    has_system: int | None = 0
    above: int | None = None
    """The last turn above it that has a system message."""

    @property
    def system(self) -> int | None:
        """The last turn up to this one that has a system message."""
        return self.number if self.has_system == 1 else self.above


def turn_values(turn: Turn, tip: Tip, state: int) -> tuple[Any, ...]:
    """Return the parameters of `INSERT_TURN`, for a turn on this one."""
    # The order is that of the columns, so that a row can be held against it as it comes.
    counts = (turn.total_messages, turn.total_turns, turn.depth, turn.message_count, int(turn.has_system))
    made = (turn.created_at, turn.cell_id)
    links = (tip.number, tip.system, state)
    said = (turn.codec, turn.content_hash, turn.hash, turn.body)
    own_crc = crc(turn.turn_id, *counts, *made, *links)
    return (turn.turn_id, tip.number, *counts, *made, *said, own_crc, *links[1:])


PARENT_OF = "SELECT turn_id, hash FROM turns WHERE id = ?"


def turn(row: Sequence[Any]) -> Turn:
    """Return the turn of a row that ends with its parent's id and hash."""
    return linked([row[:16]], row[16], row[17])[0]


def linked(chain: Iterable[Sequence[Any]], parent_id: str | None, parent_hash: bytes | None) -> list[Turn]:
    """Return the turns of rows of `SELECT_CHAIN`, oldest first, each with its parent's id and hash."""
    turns = []
    # Of ten thousand of them, nearly all are whole: that is found out with as little as can be.
    for (tid, parent, total, prompts, depth, count, has_system, created, cell, codec, content, digest, body,
         own_crc, system, state) in chain:  # fmt: skip
        held = (tid, total, prompts, depth, count, has_system, created, cell, parent, system, state)
        # What no content has tells a turn that is not what was written from one that is.
        own = digest if own_crc == crc_of(held) or is_written(own_crc, held[:8], held[8:]) else b""
        made = (tid, parent_id, parent_hash, codec, body, count, total, prompts, depth, has_system == 1,
                cell, created, content, own)  # fmt: skip
        turns.append(_new_turn(Turn, made))
        parent_id, parent_hash = tid, digest
    return turns


_new_turn = tuple.__new__
"""Without the call in between that puts the fields in order."""
