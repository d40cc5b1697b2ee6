"""What llm logged in ``responses`` and the tables around it: its prompts, answers, tools, and what they cost."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from nbsessions.exceptions import InvalidInput
from nbsessions.formats.building import Building
from nbsessions.formats.lines import Step
from nbsessions.formats.reading import count_of, dict_of, moment, parsed, text_of
from nbsessions.formats.tables import Row, Tables
from nbsessions.records import Usage

_RESPONSES: Final = (
    "id",
    "model",
    "resolved_model",
    "prompt",
    "system",
    "response",
    "reasoning",
    "response_json",
    "options_json",
    "schema_id",
    "input_tokens",
    "output_tokens",
    "token_details",
    "duration_ms",
    "datetime_utc",
)


class Responses:
    """The answers of a log, by their conversation.

    Examples
    --------
    >>> import sqlite3
    >>> db = sqlite3.connect(":memory:")
    >>> _ = db.execute("CREATE TABLE responses(id, conversation_id, prompt, response)")
    >>> _ = db.execute("INSERT INTO responses VALUES ('r1', 'c1', 'Hi', 'Hello!')")
    >>> [step.message["content"] for step in Responses(Tables(db)).line("c1")]
    ['Hi', 'Hello!']
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def line(self, conversation_id: str | None) -> list[Step]:
        """Return what was said in a conversation, in order."""
        steps: list[Step] = []
        system: str | None = None
        asked = {"where": "conversation_id", "is_": conversation_id, "order": "datetime_utc, id"}
        for row in self._tables.rows("responses", *_RESPONSES, **asked):
            at = moment(row["datetime_utc"])
            told = self._system(row)
            messages = [{"role": "system", "content": told}] if told and told != system else []
            system = told or system
            messages += self._results(row)
            prompt = self._prompt(row)
            # After tools were called, llm asks again without a prompt.
            if prompt or not messages or messages[-1]["role"] != "tool":
                messages.append({"role": "user", "content": prompt})
            steps += [Step((row["id"], n), message, at) for n, message in enumerate(messages)]
            answer, done = self._answer(row), _after(row)
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

    def _results(self, row: Row) -> list[dict[str, Any]]:
        """Return the results of tools that this request began with."""
        fields = ("id", "name", "output", "tool_call_id", "exception")
        found = []
        for result in self._tables.rows("tool_results", *fields, where="response_id", is_=row["id"]):
            message = {"role": "tool", "content": result["output"], "name": text_of(result["name"])}
            message["tool_call_id"] = text_of(result["tool_call_id"])
            if result["exception"]:
                message["exception"] = result["exception"]
            linked = self._tables.rows(
                "tool_results_attachments",
                "attachment_id",
                where="tool_result_id",
                is_=result["id"],
                order="order",
            )
            if attached := [attachment(self._tables, one["attachment_id"]) for one in linked]:
                message["content"] = [{"type": "text", "text": str(result["output"] or "")}, *attached]
            found.append(
                {key: value for key, value in message.items() if value is not None or key == "content"}
            )
        return found

    def _answer(self, row: Row) -> dict[str, Any]:
        fields = ("name", "arguments", "tool_call_id")
        calls = [
            tool_call(call["name"], call["arguments"], call["tool_call_id"])
            for call in self._tables.rows("tool_calls", *fields, where="response_id", is_=row["id"])
        ]
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


def _after(row: Row) -> Any:
    """Return the time when an answer was there."""
    at = moment(row["datetime_utc"])
    return None if at is None else at + timedelta(milliseconds=min(count_of(row["duration_ms"]), 10**9))


def spender(row: Row, tables: Tables) -> Callable[[Building], None]:
    """Return what counts a request that a row tells of: tokens, model, options, and the provider's own answer.

    Examples
    --------
    >>> import sqlite3
    >>> columns = ("token_details", "options_json", "schema_id", "response_json", "resolved_model", "model")
    >>> row = {**dict.fromkeys((*columns, "datetime_utc", "duration_ms")), "input_tokens": 3, "output_tokens": 2}
    >>> building = Building("llm", "c1", agent_name="llm")
    >>> spender(row, Tables(sqlite3.connect(":memory:")))(building)
    >>> building.bundle().record.total_tokens
    5
    """
    details = dict_of(_json(row["token_details"]))
    usage = usage_of(count_of(row["input_tokens"]), count_of(row["output_tokens"]), details)
    events = []
    options = _json(row["options_json"])
    schema = next(tables.rows("schemas", "content", where="id", is_=row["schema_id"]), None)
    asked = {"options": options or None, "schema": _json(schema["content"]) if schema else None}
    if any(asked.values()):
        told = {key: value for key, value in asked.items() if value}
        events.append({"type": "CUSTOM", "name": "llm.prompt", "value": told})
    if (answer := _json(row["response_json"])) is not None:
        events.append({"type": "RAW", "event": answer, "source": "llm"})
    done = _after(row)

    def spend(building: Building) -> None:
        building.spend(usage, model=text_of(row["resolved_model"]) or text_of(row["model"]), at=done)
        for event in events:
            building.event(event["type"], event)

    return spend


def _json(text: Any) -> Any:
    """Return what a column of JSON says: none where there is none."""
    return parsed(text, "a column of JSON") if text_of(text) else None


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
