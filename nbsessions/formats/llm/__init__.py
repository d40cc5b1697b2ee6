"""
The log of simonw's llm: ``logs.db``, of all versions with conversations.

Looked at: llm 0.19, 0.27 and 0.36, https://llm.datasette.io/en/stable/logging.html (its SQL schema). Until
0.35 an answer is a row of ``responses``, with its prompt. Since then messages are rows of ``messages`` and
``parts``, each linked to the one before it, and a row of ``turns`` is one request; what was logged before
stays where it was, and a conversation may go on in the new tables. A conversation is one session, an answer
to a prompt one run: where tools were called in between, that run made several requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.building import Building
from nbsessions.formats.llm.lines import Lines, Step
from nbsessions.formats.llm.parts import Parts
from nbsessions.formats.llm.responses import REQUEST, Responses, spender
from nbsessions.formats.reading import alone, moment, read_database, text_of
from nbsessions.formats.tables import Row, Tables
from nbsessions.stores.arguments import Bundle

NAME: Final = "llm"
_TURNS: Final = (*REQUEST, "tip_message_hash")


def read(path: Path) -> Iterator[Bundle]:
    """Yield the conversations of a log, oldest first. The file is only read, also while llm writes it.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import sqlite3, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "logs.db"
    ...     db = sqlite3.connect(path)
    ...     _ = db.execute("CREATE TABLE conversations(id, name, model)")
    ...     _ = db.execute("CREATE TABLE responses(id, conversation_id, prompt, response)")
    ...     _ = db.execute("INSERT INTO responses VALUES ('r1', 'c1', 'Name a pelican', 'Percy.')")
    ...     db.commit(); db.close()
    ...     [(bundle.record.session_id, bundle.record.message_count) for bundle in read(path)]
    [('c1', 2)]
    """
    with read_database(path) as db:
        tables = Tables(db, path)
        if "responses" not in tables and "threads" not in tables:
            raise FormatError(path, "it is no log of llm: it has neither responses nor threads")
        log = _Log(tables)
        for session_id in _conversations(tables):
            told = f"{path}, conversation {session_id}"
            yield from alone(told, log.bundle, session_id)


def _conversations(tables: Tables) -> list[Any]:
    """Return the ids of all conversations; those of llm begin with the time that they were made."""
    found = [row["id"] for row in tables.rows("conversations", "id")]
    found += [row["id"] for row in tables.rows("threads", "id")]
    # An answer need not belong to one that is told of.
    found += [row["conversation_id"] for row in tables.rows("responses", "conversation_id")]
    return sorted(dict.fromkeys(found), key=lambda found: (found is not None, str(found)))


class _Log:
    """A log that is read, one conversation after the other."""

    def __init__(self, tables: Tables) -> None:
        self._tables, self._responses, self._parts = tables, Responses(tables), Parts(tables)

    def bundle(self, session_id: Any) -> Bundle:
        """Return a conversation: what the old tables have of it, and what the new ones have."""
        if session_id is not None and not isinstance(session_id, str):
            raise InvalidInput("its id is no text.")
        fields = ("name", "tip_message_hash", "forked_from", "datetime_utc")
        old: Row = next(self._tables.rows("conversations", "name", "model", where="id", is_=session_id), {})
        new: Row = next(self._tables.rows("threads", *fields, where="id", is_=session_id), {})
        before = self._responses.line(session_id)
        turns = list(
            self._tables.rows("turns", *_TURNS, where="thread_id", is_=session_id, order="datetime_utc, id")
        )
        building = Building(
            NAME,
            session_id or "answers without a conversation",
            agent_name=NAME,
            title=text_of(old.get("name")) or text_of(new.get("name")),
            parent_session_id=text_of(new.get("forked_from")),
            model=text_of(old.get("model")),
            created_at=None if before or turns else moment(new.get("datetime_utc")),
        )
        lines = Lines(building)
        if before:
            lines.follow(before)
        if new:
            for line in self._thread(new["tip_message_hash"], turns):
                lines.follow(_joined(before, line))
        return building.bundle()

    def _thread(self, tip: Any, turns: list[Row]) -> Iterator[list[Step]]:
        """Yield the lines that a thread left, and then the one that it stands on."""
        tips = [turn["tip_message_hash"] for turn in turns if turn["tip_message_hash"] is not None]
        current = self._parts.chain(tip or (tips[-1] if tips else None))
        spent = {turn["tip_message_hash"]: turn for turn in turns}
        seen = set(current)
        left: list[list[str]] = []
        # From the last one: what it stands on is no line of its own.
        for end in reversed(tips):
            if end not in seen:
                left.append(self._parts.chain(end))
                seen.update(left[-1])
        for chain in reversed(left):
            yield self._line(chain, spent)
        yield self._line(current, spent)

    def _line(self, chain: list[str], spent: dict[Any, Row]) -> list[Step]:
        """Return the messages of a chain, each with the time of the request that it belongs to."""
        line: list[Step] = []
        at: datetime | None = None
        # From its end: a request is told at the end of its answer, and all before that was said by then.
        for hash_ in reversed(chain):
            at = self._parts.time(hash_) or at
            then = spender(spent[hash_], self._tables) if hash_ in spent else None
            said = list(enumerate(self._parts.message(hash_)))
            for number, message in reversed(said):
                line.append(Step((hash_, number), message, at, then))
                then = None
        return line[::-1]


def _joined(before: list[Step], line: list[Step]) -> list[Step]:
    """Return a line that begins with what was logged in the old tables, where it says the same."""
    if len(before) > len(line):
        return line
    same = all(_said(old) == _said(new) for old, new in zip(before, line, strict=False))
    return [*before, *line[len(before) :]] if same else line


def _said(step: Step) -> tuple[Any, ...]:
    calls = [dict(call.get("function") or {}) for call in step.message.get("tool_calls", [])]
    return step.message["role"], step.message["content"], calls


def _guess(peek: Peek) -> bool:
    return {"responses", "conversations"} <= peek.tables or {"threads", "turns", "parts"} <= peek.tables


FORMAT = Format(
    name=NAME,
    help="The log of simonw's llm (logs.db).",
    suffixes=(".db",),
    read=read,
    guess=_guess,
)
