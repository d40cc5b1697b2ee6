"""What logs of other tools say was spent, counted straight from their files: nothing of nbsessions is used here."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import genai_prices


class Request(NamedTuple):
    """One request, as its log tells it; the tokens sent are all of them, those of a cache included."""

    at: datetime
    model: str | None
    sent: int
    generated: int
    read: int = 0
    written: int = 0
    written_for_an_hour: int = 0
    requests: int = 1
    provider: str | None = None
    known_as: str | None = None
    cost: Decimal | None = None


Counted = dict[tuple[str, str | None], tuple[int, int, int, int, int, Decimal | None, int]]
"""By day and model: requests, tokens sent, generated, read, written, the cost, tokens without a price."""


def counted(requests: Iterator[Request]) -> Counted:
    """Return requests added up by day and model."""
    groups: dict[tuple[str, str | None], list[Request]] = defaultdict(list)
    for one in requests:
        groups[one.at.astimezone(UTC).date().isoformat(), one.model].append(one)
    return {key: _sum(group) for key, group in groups.items()}


def _sum(group: list[Request]) -> tuple[int, int, int, int, int, Decimal | None, int]:
    costs = [_cost(one) for one in group]
    known = [cost for cost in costs if cost is not None]
    unpriced = [one.sent + one.generated for one, cost in zip(group, costs, strict=True) if cost is None]
    return (
        sum(one.requests for one in group),
        sum(one.sent for one in group),
        sum(one.generated for one in group),
        sum(one.read for one in group),
        sum(one.written for one in group),
        sum(known, Decimal(0)) if known else None,
        sum(unpriced),
    )


def _cost(one: Request) -> Decimal | None:
    if one.cost is not None:
        return one.cost
    usage = genai_prices.Usage(
        input_tokens=one.sent,
        output_tokens=one.generated,
        cache_read_tokens=one.read,
        cache_write_tokens=one.written,
        cache_write_1h_tokens=one.written_for_an_hour,
    )
    try:
        price = genai_prices.calc_price(
            usage, one.known_as or one.model or "", provider_id=one.provider, genai_request_timestamp=one.at
        )
    except LookupError:
        return None
    return round(price.total_price, 9)


def claude_code(folder: Path) -> Iterator[Request]:
    """Count one request for each message and request id, by its last line, in whichever files it stands."""
    last: dict[tuple[str, str | None], dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for text in path.read_text().splitlines():
            line = json.loads(text)
            message = line.get("message")
            if line.get("type") == "assistant" and message.get("model") != "<synthetic>":
                last[message["id"], line.get("requestId")] = line
    for line in last.values():
        message, usage = line["message"], line["message"]["usage"]
        read, written = usage.get("cache_read_input_tokens", 0), usage.get("cache_creation_input_tokens", 0)
        told = line.get("costUSD")
        yield Request(
            at=datetime.fromisoformat(line["timestamp"]),
            model=message["model"],
            sent=usage["input_tokens"] + read + written,
            generated=usage["output_tokens"],
            read=read,
            written=written,
            written_for_an_hour=usage.get("cache_creation", {}).get("ephemeral_1h_input_tokens", 0),
            cost=None if told is None else Decimal(str(told)),
        )


def codex(folder: Path) -> Iterator[Request]:
    """Count what the last response used whenever there is a new total; a fork begins with those of another one."""
    totals: list[dict[str, int]] = []
    for path in sorted(folder.rglob("*.jsonl")):
        model = provider = None
        for text in path.read_text().splitlines():
            line = json.loads(text)
            told = line.get("payload", {})
            if line.get("type") == "session_meta":
                provider = told.get("model_provider")
            elif line.get("type") == "turn_context":
                model = told["model"]
            elif told.get("type") == "token_count" and told["info"] is not None:
                total, usage = told["info"]["total_token_usage"], told["info"]["last_token_usage"]
                if total in totals:
                    continue
                totals.append(total)
                yield Request(
                    at=datetime.fromisoformat(line["timestamp"]),
                    model=model,
                    provider=provider,
                    sent=usage["input_tokens"],
                    generated=usage["output_tokens"],
                    read=usage["cached_input_tokens"],
                )


def llm(folder: Path) -> Iterator[Request]:
    """Count the rows of the log."""
    for path in folder.rglob("*.db"):
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute(
                "SELECT datetime_utc, coalesce(resolved_model, model), input_tokens, output_tokens, "
                "coalesce(token_details ->> '$.prompt_tokens_details.cached_tokens', 0), "
                "coalesce(token_details ->> '$.cache_read_input_tokens', 0), "
                "coalesce(token_details ->> '$.cache_creation_input_tokens', 0) FROM responses"
            ).fetchall()
        for at, model, sent, generated, cached, read, written in rows:
            prefix, _, name = model.rpartition("/")
            yield Request(
                at=datetime.fromisoformat(at),
                model=model,
                provider=prefix or None,
                known_as=name,
                sent=sent + read + written,
                generated=generated,
                read=cached + read,
                written=written,
            )


def pydantic_ai(folder: Path) -> Iterator[Request]:
    """Count the responses."""
    for path in folder.rglob("*.json"):
        for message in json.loads(path.read_text()):
            if message["kind"] == "response":
                usage = message["usage"]
                yield Request(
                    at=datetime.fromisoformat(message["timestamp"]),
                    model=message["model_name"],
                    provider={"google-gla": "google"}.get(message["provider_name"], message["provider_name"]),
                    sent=usage["input_tokens"],
                    generated=usage["output_tokens"],
                    read=usage["cache_read_tokens"],
                    written=usage["cache_write_tokens"],
                    written_for_an_hour=usage.get("cache_write_1h_tokens", 0),
                    cost=None if usage["cost"] is None else Decimal(usage["cost"]),
                )


def a3s(folder: Path) -> Iterator[Request]:
    """Count the ends of turns, which are requests, and what the whole session spent besides.

    A cost is told of the whole session alone. Anthropic's tokens of a cache are counted apart there.
    """
    for path in folder.rglob("*.json"):
        data = json.loads(path.read_text())
        session = data["session"]
        told = Decimal(str(session["total_cost"])) or None
        whole = _a3s(session, session["created_at"], session["total_usage"])._replace(requests=0, cost=told)
        for record in data["run_records"]:
            for event in record["events"]:
                if event["event"]["type"] == "turn_end":
                    one = _a3s(session, event["timestamp_ms"] / 1000, event["event"]["usage"])
                    yield one if told is None else one._replace(cost=Decimal(0))
                    whole = whole._replace(
                        sent=whole.sent - one.sent,
                        generated=whole.generated - one.generated,
                        read=whole.read - one.read,
                        written=whole.written - one.written,
                    )
        if whole.sent or whole.generated or told:
            yield whole


def _a3s(session: dict[str, Any], at: float, usage: dict[str, Any]) -> Request:
    about = session["llm_config"]
    read, written = usage.get("cache_read_tokens") or 0, usage.get("cache_write_tokens") or 0
    return Request(
        at=datetime.fromtimestamp(at, UTC),
        model=about["model"],
        provider=about["provider"],
        sent=usage["prompt_tokens"] + (read + written if about["provider"] == "anthropic" else 0),
        generated=usage["completion_tokens"],
        read=read,
        written=written,
    )


def openai_agents(folder: Path) -> Iterator[Request]:
    """Count turns, of which no model is told."""
    for path in folder.rglob("advanced*.db"):
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute(
                "SELECT created_at, requests, input_tokens, output_tokens, "
                "input_tokens_details ->> '$.cached_tokens' FROM turn_usage"
            ).fetchall()
        for at, requests, sent, generated, cached in rows:
            when = datetime.fromisoformat(at).replace(tzinfo=UTC)
            yield Request(when, None, sent, generated, read=cached, requests=requests)


def synwire(folder: Path) -> Iterator[Request]:
    """Count a session, of which nothing but a total is told."""
    for path in folder.rglob("*.json"):
        told = json.loads(path.read_text())["metadata"]
        at = datetime.fromtimestamp(told["created_at"] / 1000, UTC)
        yield Request(at, None, told["total_tokens"], 0, requests=0)


COUNTS: dict[str, Callable[[Path], Iterator[Request]]] = {
    "a3s": a3s,
    "claude-code": claude_code,
    "codex": codex,
    "llm": llm,
    "openai-agents": openai_agents,
    "pydantic-ai": pydantic_ai,
    "synwire": synwire,
}
