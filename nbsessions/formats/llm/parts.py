"""What llm keeps in ``messages`` and ``parts``: each message linked to the one before it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from nbsessions.exceptions import InvalidInput
from nbsessions.formats.llm.responses import attachment, fragment, tool_call
from nbsessions.formats.reading import dict_of, list_of, moment, parsed, text_of
from nbsessions.formats.tables import Row, Tables


class Parts:
    """The messages of a log, by their hash.

    Examples
    --------
    >>> import sqlite3
    >>> db = sqlite3.connect(":memory:")
    >>> _ = db.execute("CREATE TABLE messages(hash, parent_hash, role)")
    >>> _ = db.execute("CREATE TABLE parts(message_hash, position, type, text)")
    >>> _ = db.execute("INSERT INTO messages VALUES ('b2:1', NULL, 'user')")
    >>> _ = db.execute("INSERT INTO parts VALUES ('b2:1', 0, 'text', 'Hi')")
    >>> Parts(Tables(db, "logs.db")).message("b2:1")
    [{'role': 'user', 'content': 'Hi'}]
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        # Of all turns: a conversation that was forked stands on messages of another.
        self._times = {
            row["tip_message_hash"]: moment(row["datetime_utc"])
            for row in tables.rows("turns", "tip_message_hash", "datetime_utc", order="datetime_utc")
        }

    def time(self, hash_: str) -> datetime | None:
        """Return when an answer came that ends with this message.

        Examples
        --------
        >>> import sqlite3
        >>> Parts(Tables(sqlite3.connect(":memory:"), "logs.db")).time("b2:1")
        """
        return self._times.get(hash_)

    def chain(self, tip: Any) -> list[str]:
        """Return the hashes of a message and of all before it, oldest first.

        Raises
        ------
        InvalidInput
            One is not there, or they go in a circle.

        Examples
        --------
        >>> import sqlite3
        >>> Parts(Tables(sqlite3.connect(":memory:"), "logs.db")).chain(None)
        []
        """
        found: dict[str, None] = {}
        at = tip
        while at is not None:
            row = next(self.tables.rows("messages", "parent_hash", where="hash", is_=at), None)
            if row is None:
                raise InvalidInput(f"its message {at} is missing.")
            if at in found:
                raise InvalidInput("its messages go in a circle.")
            found[at] = None
            at = row["parent_hash"]
        return list(found)[::-1]

    def message(self, hash_: str) -> list[dict[str, Any]]:
        """Return a message as chat messages: each result of a tool is one of its own.

        Examples
        --------
        >>> import sqlite3
        >>> Parts(Tables(sqlite3.connect(":memory:"), "logs.db")).message("b2:1")
        [{'role': None, 'content': ''}]
        """
        row = next(self.tables.rows("messages", "role", "provider_metadata", where="hash", is_=hash_), {})
        texts: list[str] = []
        content: list[dict[str, Any]] = []
        thought: list[str] = []
        calls: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for kind, part in self._parts(hash_):
            if kind == "tool_call":
                arguments = json.dumps(part.get("arguments") or {}, ensure_ascii=False)
                calls.append(tool_call(part.get("name"), arguments, part.get("tool_call_id")))
            elif kind == "tool_result":
                results.append(self._result(part))
            elif kind == "reasoning":
                thought.append(text_of(part.get("text")) or "")
            elif kind == "text":
                texts.append(self._text(part))
                content.append({"type": "text", "text": texts[-1]})
            elif kind == "attachment":
                content.append(attachment(self.tables, dict_of(part.get("attachment")).get("id")))
            else:
                content.append({**part, "type": kind})
        said: Any = content if len(content) > len(texts) else "".join(texts)
        if results and not (content or calls or thought):
            return results
        message: dict[str, Any] = {"role": row.get("role"), "content": said or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        if any(thought):
            message["reasoning_content"] = "\n".join(thought)
        if text_of(row.get("provider_metadata")):
            message["provider_metadata"] = self._json(row["provider_metadata"])
        # What a provider's own tools gave stands with the call: it is no message that was sent.
        if results and message["role"] == "assistant":
            message["results"] = results
            return [message]
        return [*results, message]

    def _parts(self, hash_: str) -> list[tuple[str, dict[str, Any]]]:
        fields = ("type", "text", "payload")
        return [
            (str(row["type"]), self._part(row))
            for row in self.tables.rows("parts", *fields, where="message_hash", is_=hash_, order="position")
        ]

    def _part(self, row: Row) -> dict[str, Any]:
        part = dict_of(self._json(row["payload"])) if text_of(row["payload"]) else {}
        return {**part, **({"text": row["text"]} if isinstance(row["text"], str) else {})}

    def _json(self, text: str) -> Any:
        return parsed(text, f"{self.tables.where}, parts")

    def _text(self, part: dict[str, Any]) -> str:
        """Return a text; what it borrows of fragments is put in again."""
        if isinstance(part.get("text"), str):
            return str(part["text"])
        pieces = [dict_of(piece) for piece in list_of(part.get("text_ref"))]
        return "".join(
            fragment(self.tables, piece["fragment"])
            if "fragment" in piece
            else str(piece.get("literal") or "")
            for piece in pieces
        )

    def _result(self, part: dict[str, Any]) -> dict[str, Any]:
        ids = [dict_of(one).get("id") for one in list_of(part.get("attachments"))]
        output: Any = part.get("output")
        if ids:
            output = [{"type": "text", "text": str(output or "")}, *(attachment(self.tables, i) for i in ids)]
        more = {key: part[key] for key in ("name", "tool_call_id", "exception") if part.get(key)}
        return {"role": "tool", "content": output, **more}
