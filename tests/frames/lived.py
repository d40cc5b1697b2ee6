"""A store in which all happened that a frame has to tell: forks, failures, retries, drafts, old and deleted sessions."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

import nbsessions as nbs
from nbsessions import Run, RunFailed, Session, SessionRecord, Store, Usage
from nbsessions.stores.base import Finish
from nbsessions.testing import ScriptedAgent
from nbsessions.testing.scripted import Piece
from nbsessions.values import micros, new_id

HOSTILE = "\0 \ue4f0\ue4f1 '\"\\ 😀 ‮ <script>\r\n\t \x1b[31m" + "long " * 2_000
AGENT = 'it\'s "one"'
USAGE = Usage(input_tokens=100, output_tokens=10, cache_read_tokens=40, requests=1, cost=Decimal("0.25"))
_CALL = {"id": "c1", "function": {"name": "add", "arguments": '{"a": 1}'}}
_RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c1", "content": "3"}
CALLING: list[Piece] = [{"role": "assistant", "tool_calls": [_CALL]}, _RESULT, USAGE, "Three."]


def fill(store: Store) -> Session:
    """Let all of it happen, and return the session that has most of it."""
    plan = store.create("plan", agent_name=AGENT, tags=["draft", "x, y"])
    failing: list[Piece] = ["I was about to ", USAGE, ValueError("no idea")]
    agent = ScriptedAgent([["Hi", USAGE], failing, CALLING, "Again"], name=AGENT, model="my-model")
    plan.send(HOSTILE, agent=agent)
    with suppress(RunFailed):
        plan.send("And now?", agent=agent)
    plan.send("And now?", agent=agent, retry_of=plan.runs()[-1].run_id)
    cut = plan.fork("early", at=1)
    cut.add_message({"role": "user", "content": "Another way"})
    plan.fork("late").send("Once more", agent=agent)
    child = store.create(
        "child", agent_name="helper", conversation_id="conv-1", parent_session_id=plan.session_id
    )
    child.send("Help", agent=ScriptedAgent([["Done", USAGE]], name="helper", model="other-model"))
    draft = store.create("unsaved", autosave=False)
    draft.send("Well?", agent=lambda prompt: "Well!")
    gone = store.create("gone", tags=["draft"])
    gone.send("Bye", agent=ScriptedAgent([["Bye", USAGE]], name="helper", model="my-model"))
    store.delete("gone")
    for month in (1, 2, 3):
        _old(store, datetime(2020, month, 1, tzinfo=UTC), f"old {month}")
    return store.resume("plan")


def _old(store: Store, at: datetime, name: str) -> None:
    record = SessionRecord(
        session_id=new_id(),
        name=name,
        agent_name="analyst",
        owner="ada",
        tags=["draft"] if at.month == 2 else [],
        created_at=at,
        updated_at=at,
        notebook="/home/ada/analysis.ipynb",
    )
    store.backend.insert(record)
    for hour, model in enumerate(["my-model", "other-model"]):
        begun = at + timedelta(hours=hour)
        run = Run(
            run_id=new_id(),
            session_id=record.session_id,
            agent_name="analyst",
            model=model,
            prompt="Hello",
            started_at=begun,
        )
        store.backend.start_run(run)
        finished = micros(begun + timedelta(seconds=1.5))
        store.backend.finish_run(Finish(run.run_id, "cancelled", finished, USAGE, model, "nobody"))


def all_frames(store: Store) -> dict[str, pd.DataFrame]:
    """Return each frame of a store."""
    return {
        "sessions": nbs.sessions_df(store),
        "runs": nbs.runs_df(store),
        "messages": nbs.messages_df(store),
        "events": nbs.events_df(store),
        "tool_calls": nbs.tool_calls_df(store),
        "usage": nbs.usage_df(store),
    }
