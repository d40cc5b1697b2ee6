"""A session that has been through all that one can go through, and what must be the same of it elsewhere."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from nbsessions import RunFailed, Session, Store, Usage
from nbsessions.bundles import gather
from nbsessions.stores.base import Bundle
from nbsessions.testing import ScriptedAgent


def lived(store: Store, name: str = "plan") -> Session:
    """Return a session with branches, checkpoints, runs of every kind, a draft and key-values."""
    session = store.create(
        name, agent_name="helper", tags=["draft", "ä b"], metadata={"n": [1.0, None, 2**60], "t": "<b>"}
    )
    session.add_message({"role": "system", "content": "Be brief. <script>alert(1)</script>"})
    spent = Usage(input_tokens=7, output_tokens=2, cache_read_tokens=3, requests=1)
    agent = ScriptedAgent([["Hi", spent], ["Let me ", "see", spent], [spent, ValueError("no network")]])
    session.send("Hello {{x}}\n%magic", agent=agent)
    session.state = {"step": 1, "x": [1.5, "ä"]}
    session.checkpoint("before")
    session.send("And now?", agent=agent)
    with suppress(RunFailed):
        session.send("Try", agent=agent)
    session.rewind(3)
    session.add_message({"role": "user", "content": [{"type": "text", "text": "Look"}], "weight": 0})
    session.add_message(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    )
    session.add_message({"role": "tool", "content": "6", "tool_call_id": "c1"})
    session.rewind(2)
    session.undo()
    session.kv(ttl=timedelta(days=1))["city"] = "Oslo"
    draft = store.resume(session.session_id, autosave=False)
    draft.add_message({"role": "user", "content": "a draft"})
    return store.resume(session.session_id)


def bundle(session: Session) -> Bundle:
    """Return all that a session is, but whose it is."""
    found = gather(session.backend, session.key)
    return found._replace(record=found.record.model_copy(update={"owner": ""}))


def assert_same(one: Session, other: Session) -> None:
    """Fail where two sessions of two stores differ in anything but their owner."""
    first, second = bundle(one), bundle(other)
    assert first.record == second.record
    for field in Bundle._fields:
        assert getattr(first, field) == getattr(second, field), field
    assert one.messages == other.messages
    assert [made.name for made in one.checkpoints()] == [made.name for made in other.checkpoints()]
