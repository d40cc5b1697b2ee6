"""Turns of two messages of 1 KB each, written as the runner does."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from nbsessions.records import Usage
from nbsessions.runner import new_run
from nbsessions.session import Session
from nbsessions.stores.base import Finish
from nbsessions.values import micros, now

PROMPT = ("What do the numbers of the third quarter say about the fourth? " * 17)[:1024]
ANSWER = ("They say that it will be much like it, but for the holidays. " * 17)[:1024]
USAGE = Usage(input_tokens=300, output_tokens=200, requests=1, cost=Decimal("0.00125"))
_AT = "2026-11-22T08:00:00.000000+00:00"
BODY = json.dumps(
    [
        {"role": "user", "content": PROMPT, "timestamp": _AT},
        {"role": "assistant", "content": ANSWER, "timestamp": _AT},
    ],
    separators=(",", ":"),
)


def chat(number: int, word: str = "") -> list[dict[str, Any]]:
    """Return a prompt and its answer as chat messages, which no other number has."""
    texts = {"user": f"{number} {word} {PROMPT}", "assistant": f"{number} {ANSWER}"}
    return [{"role": role, "content": text[:1024]} for role, text in texts.items()]


def append(session: Session) -> None:
    """Start a run, and end it with its turn."""
    started = new_run(session, "agent", PROMPT, model="model")
    session.backend.start_run(started)
    finish = Finish(
        run_id=started.run_id, status="completed", finished_at=micros(now()), usage=USAGE, model="model"
    )
    session.commit("turn", "chat", BODY, prompts=1, finish=finish)
