"""
Agentry's chats: its ``<id>_chat.toon`` files, which are JSON or TOON, and the SQLite file that came later.

Looked at: all versions of ``session_manager.py`` in https://github.com/RudraModi360/Agentry, from November
2025 to March 2026. In the first ones a ``.toon`` file is JSON; then py-toon-format wrote it, which leaves a
newline in a text as it is, so that its own reader cannot read such a file. TOON is read by the official
library (specification 4.4, https://github.com/toon-format/spec), strictly: what a header says of the number
of messages must be true. TOON has no end mark, so that a file that was cut within its last word looks whole.
In the database, sessions are in ``sessions``, and ``agent_state`` has their messages under the key
``messages``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek, advance, note
from nbsessions.formats.building import Building
from nbsessions.formats.reading import alone, blamed, dict_of, moment, parsed, read_database, text_of
from nbsessions.formats.tables import Tables, is_database
from nbsessions.stores.arguments import Bundle
from nbsessions.text import counted

NAME: Final = "agentry"
_SUFFIX: Final = "_chat"
_MOST: Final = 64 * 1024 * 1024
"""TOON is read in Python alone: a larger file would take minutes."""
_EMPTY: Final = "[0]:"
"""What py-toon-format writes for an empty list, which in TOON is text."""


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a chat file or of a database. What cannot be decoded whole is an error.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "plan_chat.toon"
    ...     _ = path.write_text('session_id: plan\\nmessages[1]{role,content}:\\n  user,Hi')
    ...     [bundle.record.session_id for bundle in read(path)]
    ['plan']
    """
    if is_database(path):
        yield from _sessions(path)
        return
    with blamed(path):
        data = dict_of(_decoded(path))
        if "messages" not in data:
            raise FormatError(path, "it is no chat of Agentry: it has no messages")
        session_id = text_of(data.get("session_id")) or path.stem.removesuffix(_SUFFIX)
        more = {key: data[key] for key in data if key not in ("session_id", "created_at", "messages")}
        building = Building(
            NAME,
            session_id,
            agent_name=NAME,
            metadata=more,
            created_at=moment(data.get("created_at"), local=True),
        )
        _add(building, data["messages"], path)
        yield building.bundle()


# Chat files


def _decoded(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None
    if len(data) > _MOST:
        raise FormatError(path, f"it has more than {_MOST:,} bytes")
    if not data.strip():
        raise FormatError(path, "it is empty")
    advance(len(data))
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return parsed(data, path)
    return _decode_toon(data, path)


class _Figure(str):
    """A number as it is written: where text belongs, it is that text."""


def _decode_toon(data: bytes, path: Path) -> Any:
    from toon_format import ToonDecodeError, loads

    for number, line in enumerate(data.split(b"\n"), 1):
        # TOON takes it for a comment and leaves it out. Agentry writes none: it is the rest of a message.
        if line.lstrip(b" ").startswith(b"#"):
            raise FormatError(path, f"line {number} is the rest of a message that has a newline in it")
    try:
        found = loads(data, parse_int=_Figure, parse_float=_Figure)
    except ToonDecodeError as error:
        raise FormatError(path, f"it cannot be decoded whole: {error}") from None
    return _plain(found)


_TEXTS: Final = frozenset(
    {"role", "content", "name", "tool_call_id", "session_id", "id", "arguments", "text"}
)


def _plain(value: Any, key: str | None = None) -> Any:
    """Return a decoded value with numbers where no text belongs: Agentry does not quote ``42`` in a table."""
    if isinstance(value, dict):
        return {name: _plain(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, key) for item in value]
    if not isinstance(value, _Figure):
        return value
    text = str(value)
    return text if key in _TEXTS or len(text) > 300 else parsed(text, key)


# The database


def _sessions(path: Path) -> Iterator[Bundle]:
    with read_database(path) as db:
        tables, empty = Tables(db, path), 0
        if "agent_state" not in tables:
            raise FormatError(path, "it is no database of Agentry: it has no agent_state")
        known = [
            row["session_id"]
            for row in tables.rows("sessions", "session_id", "last_activity", order="last_activity")
        ]
        stray = [
            row["session_id"]
            for row in tables.rows("agent_state", "session_id", "key")
            if row["key"] == "messages"
        ]
        for session_id in dict.fromkeys([*known, *stray]):
            for made in alone(path, _stored, tables, session_id, path):
                yield from made
                empty += not made
        if empty:
            note(f"left out: {counted(empty, 'session')} without messages, as Agentry keeps what was deleted")


def _stored(tables: Tables, session_id: Any, path: Path) -> list[Bundle]:
    """Return the session of this id; none where it has no messages."""
    if not isinstance(session_id, str):
        raise FormatError(path, "a session's id is no text")
    state: dict[str, Any] = {}
    saved: datetime | None = None
    for row in tables.rows("agent_state", "key", "value", "updated_at", where="session_id", is_=session_id):
        state[str(row["key"])] = _value(row, session_id, path)
        saved = moment(row["updated_at"], local=True) or saved
    messages = state.pop("messages", None) or []
    if not messages:
        return []
    fields = ("created_at", "last_activity", "metadata")
    told = next(tables.rows("sessions", *fields, where="session_id", is_=session_id), {})
    metadata = dict_of(parsed(told["metadata"], path)) if text_of(told.get("metadata")) else {}
    memories = list(
        tables.rows("memories", "type", "content", "timestamp", where="session_id", is_=session_id)
    )
    building = Building(
        NAME,
        session_id,
        agent_name=NAME,
        title=text_of(metadata.get("title")),
        metadata={**metadata, **({"memories": memories} if memories else {})},
        state=state,
        created_at=moment(told.get("created_at"), local=True) or saved,
        updated_at=moment(told.get("last_activity"), local=True),
        model=text_of(metadata.get("model")),
    )
    _add(building, messages, path)
    return [building.bundle()]


def _value(row: Mapping[str, Any], session_id: str, path: Path) -> Any:
    where = f"{path}, session {session_id}, {row['key']}"
    if not isinstance(row["value"], str):
        raise FormatError(where, "it is no text")
    return parsed(row["value"], where)


def _add(building: Building, messages: Any, path: Path) -> None:
    if messages == _EMPTY:
        return
    if not isinstance(messages, list):
        raise FormatError(path, "its messages are no list")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise FormatError(path, f"its message {number} is none")
        building.add(message)


def _guess(peek: Peek) -> bool:
    if {"sessions", "agent_state"} <= peek.tables:
        return True
    if peek.path.name.endswith(f"{_SUFFIX}.toon"):
        return True
    return {"session_id", "created_at", "messages"} == peek.keys


FORMAT = Format(
    name=NAME,
    help="Chats of Agentry: a _chat.toon file, or its database.",
    suffixes=(".toon",),
    read=read,
    guess=_guess,
)
