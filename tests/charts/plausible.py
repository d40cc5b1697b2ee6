"""A store as a team fills it in a month: three models, one without a price, failures, tools."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from nbsessions import Session, Store, Usage
from nbsessions.stores.base import Finish, Key
from nbsessions.testing.samples import a_run
from nbsessions.values import micros

LAST = datetime(2026, 11, 27, 16, tzinfo=UTC)


class Model(NamedTuple):
    """A model, and what a million tokens of it cost here; none: it has no price."""

    name: str
    provider: str | None
    price: tuple[Decimal, Decimal] | None
    share: int
    pace: float


MODELS = (
    Model("gpt-5-mini", "openai", (Decimal("0.25"), Decimal(2)), 4, 0.6),
    Model("claude-sonnet-4-5", "anthropic", (Decimal(3), Decimal(15)), 3, 1.0),
    Model("my-finetuned-llama", None, None, 2, 3.0),
)
_NAMES = ["research", "release notes", "triage", "travel plan", "data cleaning", "review of #412"]
_NAMES += ["weekly report", "onboarding", "what owls eat", "regression hunt", "glossary", "budget 2027"]
_TOOLS = {"search": 9, "read_file": 6, "python": 5, "weather": 2, "send_mail": 1}


def filled(store: Store, *, days: int = 30, seed: int = 8) -> Store:
    """Fill a store with a month of work, alike each time."""
    dice = random.Random(seed)
    for number, name in enumerate(_NAMES):
        agent = "analyst" if number % 3 else "coder"
        session = store.create(name, agent_name=agent, tags=[f"team-{number % 2}"])
        model = dice.choices(MODELS, [model.share for model in MODELS])[0]
        at = LAST - timedelta(days=dice.uniform(0.5, days - 1))
        context = dice.randint(800, 2_500)
        for _ in range(dice.randint(4, 16)):
            context += _spend(session, dice, model, min(at, LAST), context)
            at += timedelta(hours=dice.uniform(1, 12))
        for turn in range(dice.randint(0, 9)):
            _call(session, dice, f"{number}-{turn}")
    return store


def _spend(session: Session, dice: random.Random, model: Model, at: datetime, context: int) -> int:
    """Add a run, and return by how much it made the context longer."""
    requests = dice.choice((1, 1, 1, 2, 3))
    sent, made = context * requests, dice.randint(60, 900)
    cached = int(sent * dice.uniform(0.4, 0.9)) if model.provider else 0
    usage = Usage(
        input_tokens=sent,
        output_tokens=made,
        cache_read_tokens=cached,
        requests=requests,
        cost=None if model.price is None else _cost(model.price, sent, cached, made),
        unpriced_tokens=sent + made if model.price is None else 0,
    )
    run = a_run(
        Key.of(session.record),
        started_at=at,
        agent_name=session.agent_name,
        model=model.name,
        provider=model.provider,
    )
    session.backend.start_run(run)
    ended = micros(at + timedelta(seconds=model.pace * dice.lognormvariate(1.3, 0.6)))
    status = "failed" if dice.random() < 0.08 else "completed"
    session.backend.finish_run(Finish(run.run_id, status, ended, usage, model.name, model.provider))
    return made + dice.randint(50, 600)


def _cost(price: tuple[Decimal, Decimal], sent: int, cached: int, made: int) -> Decimal:
    paid = price[0] * (sent - cached) + price[0] * cached / 10 + price[1] * made
    return round(paid / 1_000_000, 9)


def _call(session: Session, dice: random.Random, call_id: str) -> None:
    tool = dice.choices(list(_TOOLS), list(_TOOLS.values()))[0]
    call = {"id": call_id, "type": "function", "function": {"name": tool, "arguments": "{}"}}
    session.add_message({"role": "assistant", "content": "", "tool_calls": [call]})
    if dice.random() < 0.9:
        session.add_message({"role": "tool", "content": "done", "tool_call_id": call_id})
