"""What tests of a store begin with: records, turns, moves and runs, each made by one short call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from nbsessions.chains import make_turn
from nbsessions.records import Head, Message, Run, SessionRecord, Turn, Usage
from nbsessions.stores.base import Backend, Finish, Key, Move, Query
from nbsessions.values import encode_json, micros, new_id, now

SPENT: Final = Usage(input_tokens=5, output_tokens=2, requests=1)
"""What a run of a test spends."""


def a_record(session_id: str = "s1", **changes: Any) -> SessionRecord:
    """Return a session that is about to be stored: Ada's, with the local agent.

    Examples
    --------
    >>> a_record(name="plan").owner
    'ada'
    """
    at = now()
    fields = {"agent_name": "local", "owner": "ada", "created_at": at, "updated_at": at}
    return SessionRecord.model_validate({"session_id": session_id} | fields | changes)


def inserted(backend: Backend, session_id: str = "s1", **changes: Any) -> Key:
    """Insert a session, and return its key.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> inserted(nbs.open_store("memory:").backend, name="plan")
    Key(conversation_id='', session_id='s1')
    """
    record = a_record(session_id, **changes)
    backend.insert(record)
    return Key.of(record)


def a_turn(parent: Turn | None = None, *roles: str, cell_id: str | None = None) -> Turn:
    """Return a new turn on top of `parent`, of one message for each role (of one user's for none).

    It counts as one prompt, whatever its roles are.

    Examples
    --------
    >>> first = a_turn(None, "system", "user")
    >>> second = a_turn(first)
    >>> second.parent_id == first.turn_id, second.total_messages
    (True, 3)
    """
    said = [Message.model_validate({"role": r, "content": f"ä {new_id()}"}) for r in roles or ("user",)]
    body = encode_json([message.to_dict() for message in said], "turn")
    return make_turn(parent, "chat", body, said, prompts=1, cell_id=cell_id)


def a_move(key: Key, turn: Turn | None, expected: Head | None = None, **changes: Any) -> Move:
    """Return a move of a session from `expected` (None: the beginning) to a new turn (None: the beginning).

    Examples
    --------
    >>> turn = a_turn()
    >>> a_move(Key("", "s1"), turn).head == Head(turn.turn_id)
    True
    """
    fields: dict[str, Any] = {
        "key": key,
        "action": "message",
        "expected": Head() if expected is None else expected,
        "head": Head() if turn is None else Head(turn.turn_id),
        "total_messages": 0 if turn is None else turn.total_messages,
        "total_turns": 0 if turn is None else turn.total_turns,
        "at": micros(now()),
        "turns": () if turn is None else (turn,),
    }
    return Move(**fields | changes)


def grown(backend: Backend, key: Key, *turns: tuple[str, ...]) -> list[Turn]:
    """Commit a turn for each tuple of roles to a session that is empty, and return them.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> backend = nbs.open_store("memory:").backend
    >>> [turn.message_count for turn in grown(backend, inserted(backend), ("user", "assistant"), ("user",))]
    [2, 1]
    """
    made: list[Turn] = []
    head = Head()
    for roles in turns:
        made.append(a_turn(made[-1] if made else None, *roles))
        backend.move(a_move(key, made[-1], head))
        head = Head(made[-1].turn_id)
    return made


def a_run(key: Key, **changes: Any) -> Run:
    """Return a run of a session that has just begun.

    Examples
    --------
    >>> a_run(Key("", "s1")).status
    'running'
    """
    at = now()
    fields: dict[str, Any] = {
        "run_id": new_id(),
        "session_id": key.session_id,
        "conversation_id": key.conversation_id or None,
        "agent_name": "local",
        "prompt": "Hello",
        "started_at": at,
        "worker": "host:1",
        "lease_until": at + timedelta(seconds=10),
    }
    return Run(**fields | changes)


def a_finish(run: Run, status: str = "completed", **changes: Any) -> Finish:
    """Return the end of a run.

    Examples
    --------
    >>> a_finish(a_run(Key("", "s1")), "failed").status
    'failed'
    """
    fields: dict[str, Any] = {"run_id": run.run_id, "status": status, "finished_at": micros(now())}
    return Finish(**fields | changes)


def found(backend: Backend, **query: Any) -> list[str]:
    """Return the ids of the sessions that a query finds, in their order.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> found(nbs.open_store("memory:").backend, tag="draft")
    []
    """
    return [record.session_id for record in backend.find(Query(**query))]
