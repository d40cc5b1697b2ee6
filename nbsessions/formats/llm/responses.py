"""What llm logged in ``responses`` and the tables around it: prompts, answers, tools, and what they cost."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.building import Building
from nbsessions.formats.llm.lines import Step
from nbsessions.formats.reading import count_of, dict_of, moment, parsed, text_of
from nbsessions.formats.tables import Row, Tables
from nbsessions.records import Usage

REQUEST: Final = (
    "id",
    "model",
    "resolved_model",
    "response_json",
    "options_json",
    "schema_id",
    "input_tokens",
    "output_tokens",
    "token_details",
    "duration_ms",
    "datetime_utc",
)
"""What the old and the new tables tell alike of a request."""
_LAST_YEAR: Final = 9998
_RESPONSES: Final = (*REQUEST, "prompt", "system", "response", "reasoning")


class Responses:
    """The answers of a log, by their conversation.

    Examples
    --------
    >>> import sqlite3
    >>> db = sqlite3.connect(":memory:")
    >>> _ = db.execute("CREATE TABLE responses(id, conversation_id, prompt, response)")
    >>> _ = db.execute("INSERT INTO responses VALUES ('r1', 'c1', 'Hi', 'Hello!')")
    >>> [step.message["content"] for step in Responses(Tables(db, "logs.db")).line("c1")]
    ['Hi', 'Hello!']
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        # llm has no index on these, and a log may hold many: they are looked through once.
        self._ids = tables.grouped("responses", "conversation_id", "id", order="datetime_utc, id")
        fields = ("id", "name", "output", "tool_call_id", "exception")
        self._results = tables.grouped("tool_results", "response_id", *fields)
        self._calls = tables.grouped("tool_calls", "response_id", "name", "arguments", "tool_call_id")

    def line(self, conversation_id: str | None) -> list[Step]:
        """Return what was said in a conversation, in order.

        Examples
        --------
        >>> import sqlite3
        >>> Responses(Tables(sqlite3.connect(":memory:"), "logs.db")).line("c1")
        []
        """
        steps: list[Step] = []
        system: str | None = None
        for found in self._ids.get(conversation_id, []):
            row = next(self._tables.rows("responses", *_RESPONSES, where="id", is_=found["id"]), None)
            if row is None:
                raise InvalidInput(f"its answer {found['id']} is missing.")
            at = moment(row["datetime_utc"])
            told = self._system(row)
            messages: list[dict[str, Any]] = []
            if told and told != system:
                messages.append({"role": "system", "content": told})
            system = told or system
            messages += [self._result(result) for result in self._results.get(row["id"], [])]
            prompt = self._prompt(row)
            # After tools were called, llm asks again without a prompt.
            if prompt or not messages or messages[-1]["role"] != "tool":
                messages.append({"role": "user", "content": prompt})
            steps += [Step((row["id"], n), message, at) for n, message in enumerate(messages)]
            answer, done = self._answer(row), after(row)
            steps.append(Step((row["id"], "answer"), answer, done, spender(row, self._tables)))
        return steps

    def _system(self, row: Row) -> str | None:
        texts = [*self._fragments("system_fragments", row["id"]), text_of(row["system"]) or ""]
        return "\n\n".join(text.strip() for text in texts if text.strip()) or None

    def _prompt(self, row: Row) -> str | list[dict[str, Any]]:
        texts = [*self._fragments("prompt_fragments", row["id"]), text_of(row["prompt"]) or ""]
        text = "\n".join(text for text in texts if text)
        linked = self._tables.rows(
            "prompt_attachments", "attachment_id", where="response_id", is_=row["id"], order="order"
        )
        attached = [attachment(self._tables, found["attachment_id"]) for found in linked]
        return [{"type": "text", "text": text}, *attached] if attached else text

    def _fragments(self, table: str, response_id: Any) -> list[str]:
        linked = self._tables.rows(table, "fragment_id", where="response_id", is_=response_id, order="order")
        return [fragment(self._tables, found["fragment_id"]) for found in linked]

    def _result(self, result: Row) -> dict[str, Any]:
        """Return what a tool gave that was called by the request before."""
        linked = self._tables.rows(
            "tool_results_attachments",
            "attachment_id",
            where="tool_result_id",
            is_=result["id"],
            order="order",
        )
        content: Any = result["output"]
        if attached := [attachment(self._tables, one["attachment_id"]) for one in linked]:
            content = [{"type": "text", "text": str(content or "")}, *attached]
        more = {name: result[name] for name in ("name", "tool_call_id", "exception") if result[name]}
        return {"role": "tool", "content": content, **more}

    def _answer(self, row: Row) -> dict[str, Any]:
        calls = [tool_call(*call.values()) for call in self._calls.get(row["id"], [])]
        message: dict[str, Any] = {"role": "assistant", "content": row["response"] or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        if text_of(row["reasoning"]):
            message["reasoning_content"] = row["reasoning"]
        return message


def tool_call(name: object, arguments: object, call_id: object) -> dict[str, Any]:
    """Return a call as chat messages have it.

    Examples
    --------
    >>> tool_call("add", '{"a": 1}', "c1")["function"]
    {'name': 'add', 'arguments': '{"a": 1}'}
    """
    function = {"name": text_of(name) or "tool", "arguments": text_of(arguments) or "{}"}
    return {"id": text_of(call_id) or "", "type": "function", "function": function}


def fragment(tables: Tables, fragment_id: object) -> str:
    """Return a text that many prompts may share.

    Raises
    ------
    InvalidInput
        It is not there: what was said would not be whole.

    Examples
    --------
    >>> import sqlite3
    >>> fragment(Tables(sqlite3.connect(":memory:"), "logs.db"), 3)
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: its fragment 3 is missing.
    """
    row = next(tables.rows("fragments", "content", where="id", is_=fragment_id), {})
    if not isinstance(row.get("content"), str):
        raise InvalidInput(f"its fragment {fragment_id} is missing.")
    text: str = row["content"]
    return text


def attachment(tables: Tables, attachment_id: object) -> dict[str, Any]:
    """Return what was attached as a content part: an image with its data or address, else what is told of it.

    Raises
    ------
    InvalidInput
        It is not there.

    Examples
    --------
    >>> import sqlite3
    >>> db = sqlite3.connect(":memory:")
    >>> _ = db.execute("CREATE TABLE attachments(id, type, path, url, content)")
    >>> _ = db.execute("INSERT INTO attachments VALUES ('a', 'image/png', NULL, 'https://x.org/a', NULL)")
    >>> attachment(Tables(db, "logs.db"), "a")
    {'type': 'image_url', 'image_url': {'url': 'https://x.org/a'}}
    """
    fields = ("type", "path", "url", "content")
    row = next(tables.rows("attachments", *fields, where="id", is_=attachment_id), None)
    if row is None:
        raise InvalidInput(f"its attachment {attachment_id} is missing.")
    kind, url = text_of(row["type"]) or "application/octet-stream", text_of(row["url"])
    if isinstance(row["content"], bytes):
        url = f"data:{kind};base64,{b64encode(row['content']).decode()}"
    if kind.startswith("image/") and url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    told = {"media_type": kind, "url": url, "path": text_of(row["path"])}
    return {"type": "attachment", **{key: value for key, value in told.items() if value is not None}}


def after(row: Row) -> datetime | None:
    """Return the time when an answer was there.

    Examples
    --------
    >>> after({"datetime_utc": "2026-01-02T03:04:05Z", "duration_ms": 2000}).second
    7
    """
    at = moment(row["datetime_utc"])
    if at is None or at.year > _LAST_YEAR:
        return at
    return at + timedelta(milliseconds=min(count_of(row["duration_ms"]), 10**9))


def spender(row: Row, tables: Tables) -> Callable[[Building], None]:
    """Return what counts the request that a row tells of, and keeps its options and the provider's answer.

    Examples
    --------
    >>> import sqlite3
    >>> row = dict.fromkeys(REQUEST) | {"input_tokens": 3, "output_tokens": 2}
    >>> building = Building("llm", "c1", agent_name="llm")
    >>> spender(row, Tables(sqlite3.connect(":memory:"), "logs.db"))(building)
    >>> building.bundle().record.total_tokens
    5
    """
    details = dict_of(_json(row["token_details"]))
    usage = usage_of(count_of(row["input_tokens"]), count_of(row["output_tokens"]), details)
    schema = next(tables.rows("schemas", "content", where="id", is_=row["schema_id"]), {"content": None})
    asked = {"options": _json(row["options_json"]), "schema": _json(schema["content"])}
    events: list[tuple[str, dict[str, Any]]] = []
    if told := {key: value for key, value in asked.items() if value}:
        events.append(("CUSTOM", {"type": "CUSTOM", "name": "llm.prompt", "value": told}))
    if (answer := _json(row["response_json"])) is not None:
        events.append(("RAW", {"type": "RAW", "event": answer, "source": "llm"}))

    def spend(building: Building) -> None:
        model = text_of(row["resolved_model"]) or text_of(row["model"])
        building.spend(usage, model=model, at=moment(row["datetime_utc"]))
        for kind, data in events:
            building.event(kind, data)

    return spend


def _json(text: Any) -> Any:
    """Return what a column of JSON says; what is none is text, and nothing is None."""
    try:
        return parsed(text, "") if text_of(text) else None
    except FormatError:
        return text


def usage_of(sent: int, generated: int, details: dict[str, Any]) -> Usage:
    """Return what a request spent; the details are as the provider tells them, and Anthropic counts apart.

    Examples
    --------
    >>> usage_of(5, 2, {"prompt_tokens_details": {"cached_tokens": 4}}).input_tokens
    5
    >>> usage_of(5, 2, {"cache_read_input_tokens": 100}).input_tokens
    105
    """
    prompt = dict_of(details.get("prompt_tokens_details") or details.get("input_tokens_details"))
    answer = dict_of(details.get("completion_tokens_details") or details.get("output_tokens_details"))
    read = count_of(details.get("cache_read_input_tokens"))
    written = count_of(details.get("cache_creation_input_tokens"))
    cached = count_of(prompt.get("cached_tokens") or details.get("cachedContentTokenCount"))
    return Usage(
        input_tokens=sent + read + written,
        output_tokens=generated,
        cache_read_tokens=read or cached,
        cache_write_tokens=written,
        reasoning_tokens=count_of(answer.get("reasoning_tokens") or details.get("thoughtsTokenCount")),
        requests=1,
    )
