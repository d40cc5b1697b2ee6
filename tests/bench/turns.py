"""Turns of two messages of 1 KB each, written as the runner does."""

from __future__ import annotations

import json
from decimal import Decimal

from nbsessions.records import Head, Run, Usage
from nbsessions.session import Session
from nbsessions.stores.base import Finish
from nbsessions.values import micros, new_id, now
from nbsessions.workers import LEASE, worker_name

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


def append(session: Session) -> None:
    """Start a run, and end it with its turn."""
    at = now()
    started = Run(
        run_id=new_id(),
        session_id=session.session_id,
        agent_name="agent",
        model="model",
        prompt=PROMPT,
        base=Head() if session.head.turn_id is None else session.head,
        started_at=at,
        worker=worker_name(),
        lease_until=at + LEASE,
    )
    session.backend.start_run(started)
    finish = Finish(
        run_id=started.run_id, status="completed", finished_at=micros(now()), usage=USAGE, model="model"
    )
    session.commit("turn", "chat", BODY, prompts=1, finish=finish)
