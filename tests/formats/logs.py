"""Long logs, as other tools write them: over midnight, of several models, with caches, and with what is said twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.formats.told import GOLDEN

Line = dict[str, Any]
ANSWERS = 60
CLAUDE = [
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-5-20251101",
    "glm-of-mine",
]
A3S = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens")
GPT = ["gpt-5.1-codex", "gpt-5-mini", "gpt-of-mine"]


class Clock:
    """Goes on by up to nine minutes at a time, from an evening on."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.now = datetime(2026, 2, 27, 20, 17, 3, 250_000, tzinfo=UTC)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=self._random.randrange(1, 540))
        return self.now

    def text(self) -> str:
        return self.tick().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sizes(random: Random) -> tuple[int, int, int, int]:
    """Return fresh, read and written tokens, and generated ones; some requests are long enough for a tier."""
    long = random.random() < 0.15
    read = random.choice([0, random.randrange(1, 300_000 if long else 50_000)])
    return (
        random.randrange(1, 9000),
        read,
        random.choice([0, random.randrange(1, 20_000)]),
        random.randrange(1, 4000),
    )


def claude_code(folder: Path, random: Random) -> None:
    """Write a session, another one that resumed it and has all of it once more, and one of a sub-agent."""
    clock = Clock(random)
    first = _claude_lines("a", random, clock)
    again = [{**line, "sessionId": "b"} for line in first]
    _write_lines(folder / "a.jsonl", first)
    _write_lines(folder / "b.jsonl", again + _claude_lines("b", random, clock, after=again[-1]["uuid"]))
    aside = [
        {**line, "sessionId": "a", "isSidechain": True, "agentId": "c1"}
        for line in _claude_lines("c", random, clock)
    ]
    _write_lines(folder / "a" / "subagents" / "agent-c1.jsonl", aside)


def _claude_lines(name: str, random: Random, clock: Clock, after: str | None = None) -> list[Line]:
    lines: list[Line] = []

    def add(kind: str, message: Line, **more: Any) -> None:
        uuid = f"{name}{len(lines)}"
        parent = lines[-1]["uuid"] if lines else after
        told = {"type": kind, "uuid": uuid, "parentUuid": parent, "sessionId": name, "isSidechain": False}
        lines.append({**told, "timestamp": clock.text(), "version": "2.1.20", "message": message, **more})

    for number in range(ANSWERS):
        if number % 4 == 0:
            add("user", {"role": "user", "content": f"Question {number} of {name}"})
        fresh, read, written, generated = _sizes(random)
        hour = random.choice([0, written // 2])
        usage = {
            "input_tokens": fresh,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written - hour,
                "ephemeral_1h_input_tokens": hour,
            },
        }
        tool = {"type": "tool_use", "id": f"toolu_{name}{number}", "name": "Bash", "input": {"command": "ls"}}
        blocks: list[Line] = [{"type": "text", "text": f"Answer {number}"}]
        blocks += [tool] if number % 4 < 3 else []
        model = random.choice(CLAUDE)
        for place, block in enumerate(blocks):
            # Until the last line of an answer, what it generates is not known.
            output = generated if place == len(blocks) - 1 else 1
            message: Line = {
                "id": f"msg_{name}{number}",
                "type": "message",
                "role": "assistant",
                "model": model,
            }
            message |= {"content": [block], "usage": {**usage, "output_tokens": output}}
            told = {"costUSD": 0.0123} if random.random() < 0.1 and len(blocks) == 1 else {}
            add("assistant", message, requestId=f"req_{name}{number}", **told)
        if tool in blocks:
            result = {"type": "tool_result", "tool_use_id": tool["id"], "content": "a.py"}
            add("user", {"role": "user", "content": [result]})
    failed = {
        "id": "x",
        "role": "assistant",
        "model": "<synthetic>",
        "content": [{"type": "text", "text": "Down"}],
    }
    add("assistant", failed | {"usage": {"input_tokens": 0, "output_tokens": 0}}, isApiErrorMessage=True)
    return lines


def codex(folder: Path, random: Random) -> None:
    """Write a rollout; what was counted is told again, as when a limit changes."""
    clock = Clock(random)
    lines: list[Line] = []

    def add(kind: str, payload: Line) -> None:
        lines.append({"timestamp": clock.text(), "type": kind, "payload": payload})

    name = "019c22ba-e680-7000-8000-00000000000a"
    add("session_meta", {"id": name, "timestamp": clock.text(), "cwd": "/x", "model_provider": "openai"})
    total = dict.fromkeys(
        ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens"), 0
    )
    for number in range(ANSWERS):
        if number % 4 == 0:
            add("turn_context", {"model": random.choice(GPT)})
            said = [{"type": "input_text", "text": f"Question {number}"}]
            add("response_item", {"type": "message", "role": "user", "content": said})
        add("event_msg", {"type": "token_count", "info": None})
        said = [{"type": "output_text", "text": f"Answer {number}"}]
        add("response_item", {"type": "message", "role": "assistant", "content": said})
        fresh, read, _, generated = _sizes(random)
        last = {"input_tokens": fresh + read, "cached_input_tokens": read, "output_tokens": generated}
        last["reasoning_output_tokens"] = generated // 2
        total = {key: count + last[key] for key, count in total.items()}
        for _ in range(random.choice([1, 1, 2])):
            add(
                "event_msg",
                {"type": "token_count", "info": {"total_token_usage": total, "last_token_usage": last}},
            )
    _write_lines(folder / f"rollout-2026-02-27T20-17-03-{name}.jsonl", lines)


def llm(folder: Path, random: Random) -> None:
    """Write a database of conversations with models of several plug-ins, which tell their caches each its own way."""
    clock = Clock(random)
    made = [
        line
        for line in (GOLDEN / "llm" / "llm-0.27.1.sql").read_text().splitlines()
        if line.startswith("CREATE")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "logs.db")) as db, db:
        db.executescript("\n".join(made))
        for number in range(ANSWERS):
            fresh, read, written, generated = _sizes(random)
            model, resolved = random.choice(
                [
                    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
                    ("anthropic/claude-sonnet-4-5", None),
                    ("mine", None),
                ]
            )
            details: Line = {"prompt_tokens_details": {"cached_tokens": read}}
            sent = fresh + read
            if model.startswith("anthropic"):
                details = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
                sent = fresh
            conversation = f"conversation-{number // 20}"
            db.execute(
                "INSERT OR IGNORE INTO conversations VALUES (?, ?, ?)", (conversation, conversation, model)
            )
            row = {
                "id": f"response-{number:03}",
                "model": model,
                "prompt": f"Question {number}",
                "response": f"Answer {number}",
                "conversation_id": conversation,
                "duration_ms": random.randrange(60_000),
                "datetime_utc": clock.tick().isoformat(),
                "input_tokens": sent,
                "output_tokens": generated,
                "token_details": json.dumps(details),
                "resolved_model": resolved,
            }
            names = ", ".join(row)
            db.execute(
                f"INSERT INTO responses({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
            )


def pydantic_ai(folder: Path, random: Random) -> None:
    """Write a history whose responses come of three providers; some tell what they cost."""
    clock = Clock(random)
    messages: list[Line] = []
    for number in range(ANSWERS):
        asked = {"part_kind": "user-prompt", "content": f"Question {number}", "timestamp": clock.text()}
        messages.append({"kind": "request", "parts": [asked]})
        fresh, read, written, generated = _sizes(random)
        model, provider = random.choice(
            [
                ("gpt-5.1", "openai"),
                ("claude-opus-4-5", "anthropic"),
                ("gemini-2.5-pro", "google-gla"),
                ("m", "ollama"),
            ]
        )
        written = written if provider == "anthropic" else 0
        usage = {
            "input_tokens": fresh + read + written,
            "cache_read_tokens": read,
            "cache_write_tokens": written,
            "cache_write_1h_tokens": written // 3,
            "output_tokens": generated,
            "cost": "0.0371" if random.random() < 0.1 else None,
        }
        messages.append(
            {
                "kind": "response",
                "parts": [{"part_kind": "text", "content": f"Answer {number}"}],
                "usage": usage,
                "model_name": model,
                "provider_name": provider,
                "timestamp": clock.text(),
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(messages))


def a3s(folder: Path, random: Random) -> None:
    """Write a session of a model of Anthropic, and one of OpenAI's."""
    for provider, model in (("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5-mini")):
        clock = Clock(random)
        began = clock.now.timestamp()
        runs, messages, total = [], [], dict.fromkeys(A3S, 0)
        for number in range(ANSWERS // 4):
            asked = [{"type": "text", "text": f"Question {number}"}]
            messages.append({"role": "user", "content": asked})
            messages.append({"role": "assistant", "content": [{"type": "text", "text": f"Answer {number}"}]})
            start, events = round(clock.tick().timestamp() * 1000), []
            for sequence in range(4):
                fresh, read, written, generated = _sizes(random)
                usage = {"prompt_tokens": fresh if provider == "anthropic" else fresh + read}
                usage |= {"completion_tokens": generated, "cache_read_tokens": read}
                usage |= {"cache_write_tokens": written if provider == "anthropic" else 0}
                total = {key: count + usage[key] for key, count in total.items()}
                at = round(clock.tick().timestamp() * 1000)
                event = {"type": "turn_end", "turn": sequence + 1, "usage": usage}
                events.append({"sequence": sequence, "timestamp_ms": at, "event": event})
            snapshot: Line = {"id": f"run-{number}", "status": "completed", "prompt": f"Question {number}"}
            snapshot |= {"created_at_ms": start, "updated_at_ms": at, "event_count": len(events)}
            runs.append({"snapshot": snapshot, "events": events})
        session = {
            "id": f"of-{provider}",
            "config": {"name": "", "workspace": "ws", "system_prompt": None},
            "state": "Active",
            "messages": messages,
            "total_usage": total,
            "total_cost": 0.0,
            "model_name": f"{provider}/{model}",
            "llm_config": {"provider": provider, "model": model},
            "created_at": int(began),
            "updated_at": int(clock.now.timestamp()),
        }
        path = folder / "v1" / "sessions" / f"id_{provider}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 1, "session": session, "run_records": runs}))


def _write_lines(path: Path, lines: list[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


LOGS: dict[str, Callable[[Path, Random], None]] = {
    "a3s": a3s,
    "claude-code": claude_code,
    "codex": codex,
    "llm": llm,
    "pydantic-ai": pydantic_ai,
}
