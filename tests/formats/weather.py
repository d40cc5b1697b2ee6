"""A small session that was made up, the same each time: what the golden files show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nbsessions.formats.building import Building
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle

_START = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)

CODE = '''\
Here it is:

```python
from collections.abc import Callable


def warmer(weather: Callable[[str], float], one: str, other: str) -> str | None:
    """Return the warmer of two cities, or None where they are equal."""
    a, b = weather(one), weather(other)
    return None if a == b else one if a > b else other
```

1. It asks **once** per city.
2. `List<City>` would be *C#*, and <b>not</b> Python; see [PEP 484](https://peps.python.org/pep-0484/).

> Compare floats with care: $|a - b| < \\varepsilon$.
'''
PROMPT = """\
Write a Python function that compares two cities.

- It takes `weather`, a function.
- It returns the *warmer* city, or `None` where they are equal.

Use type hints: `Callable[[str], float]`, and mind that a < b."""
TABLE = """\
**Bergen** is warmer:

| City | °C | Sky |
| --- | ---: | --- |
| Oslo | -4 | clear |
| Bergen | 2 | rain |

The difference is $2 - (-4) = 6$ degrees."""


def at(seconds: int) -> datetime:
    return _START + timedelta(seconds=seconds)


def weather() -> Bundle:
    """Return a session with a system message, thoughts, tools, a branch, a checkpoint and a failed run."""
    made = Building(
        "example",
        "0198c0de-0000-7000-8000-00000000c0de",
        agent_name="analyst",
        name="Which city is warmer?",
        tags=["weather", "demo"],
        created_at=_START,
        model="gpt-5.2",
        state={"step": 3, "ratio": 1.0, "large": 2**60},
    )
    made.add({"role": "system", "content": "You are a careful analyst.\nSay what you do not know."}, at=at(0))
    made.add({"role": "user", "content": "Which is warmer today, Oslo or Bergen?"}, at=at(1))
    calls = [
        {"id": f"c{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for number, arguments in enumerate(['{"city": "Oslo"}', '{"city": "Bergen"}'], 1)
    ]
    thought = "I need **two** calls: one for each city."
    made.add(
        {
            "role": "assistant",
            "content": "Let me look both up.",
            "reasoning_content": thought,
            "tool_calls": calls,
        },
        at=at(2),
    )
    for call_id, content in (
        ("c1", '{"celsius": -4, "sky": "clear"}'),
        ("c2", '{"celsius": 2, "sky": "rain"}'),
    ):
        made.add({"role": "tool", "tool_call_id": call_id, "name": "weather", "content": content}, at=at(3))
    made.add({"role": "assistant", "content": TABLE}, at=at(5))
    _spend(made, 420, 96, "0.00231", 5)
    known = made.here
    made.checkpoint("weather known")
    made.add({"role": "user", "content": "Show it as JSON."}, at=at(20))
    made.add({"role": "assistant", "content": '```json\n{"Oslo": -4}\n```'}, at=at(22))
    _spend(made, 500, 12, "0.0009", 22)
    made.go(known)
    made.add({"role": "user", "content": PROMPT}, at=at(60))
    made.add({"role": "assistant", "content": CODE}, at=at(66))
    _spend(made, 730, 210, "0.0047", 66)
    made.run(
        "ten",
        status="failed",
        prompt="And for ten cities?",
        error="ModelHTTPError: 429, too many requests",
        started_at=at(80),
        finished_at=at(81),
    )
    return made.bundle()


def _spend(made: Building, tokens_in: int, tokens_out: int, cost: str, seconds: int) -> None:
    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out, requests=1, cost=Decimal(cost))
    made.spend(usage, model="gpt-5.2", provider="openai", at=at(seconds))
