"""
An agent that asks another agent: A2A.

Each call goes to a child session, in a conversation of its own that is named by the session of the one
who asks. What the other one spends is counted there.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from nbsessions.adapters import adapt
from nbsessions.calling import Caller, Stop, caller, in_thread
from nbsessions.driving import on_worker
from nbsessions.exceptions import InvalidInput, RunCancelled, SessionExists, StoreError
from nbsessions.stores.base import Key, Query

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.adapters.base import Adapter
    from nbsessions.session import Session
    from nbsessions.store import Store

ASKED = "nbsessions.subagent"
"""The event in the log of the one who asks: ``CUSTOM``, with whom it asked and where."""
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def as_tool(
    agent: object, name: str | None = None, description: str | None = None, *, new: bool = False
) -> Callable[[str], Awaitable[str]]:
    """Return an agent as a tool for other agents: an async function that takes a prompt and gives the answer.

    pydantic-ai's ``Agent(tools=[...])``, OpenAI Agents' ``function_tool``, LangChain's ``tool`` and function
    agents take it as it is. Each call goes to a child session of the session of the agent that calls: the
    same one for all calls, so that the agent knows what it was asked before. Where it answers one call
    already, another call begins another.

    Parameters
    ----------
    agent : object
        Whatever `adapt` takes.
    name : str or None
        What models know the tool by. None: the agent's name.
    description : str or None
        What models are told that it is for.
    new : bool
        Begin another session with each call.

    Raises
    ------
    InvalidInput
        `name` cannot be a tool's name.
    AgentError

    Examples
    --------
    >>> import nbsessions as nbs
    >>> def critic(prompt):
    ...     return f"{prompt}? Too long."
    >>> ask_critic = nbs.as_tool(critic)
    >>> async def writer(prompt):
    ...     return await ask_critic(prompt)
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.send("An essay", agent=writer).output
    'An essay? Too long.'
    """
    adapter = adapt(agent, name=name)
    if name is not None and not (isinstance(name, str) and _TOOL_NAME.fullmatch(name)):
        raise InvalidInput(f"{name!r:.80} is no tool's name: letters, digits, _ and -, 64 at most.")

    async def ask(prompt: str) -> str:
        above = _caller(adapter)
        return await in_thread(lambda stop: _answer(above, adapter, prompt, Stop(stop, above.stop), new=new))

    ask.__name__ = ask.__qualname__ = name or _as_name(adapter.name)
    ask.__doc__ = description or (
        f"Ask the agent {adapter.name}, and return its answer. "
        "It knows what you asked it before, and nothing else of this conversation."
    )
    ask.__annotations__ = {"prompt": str, "return": str}
    return ask


def delegate(agent: object, prompt: str, *, new: bool = False) -> str:
    """Ask an agent from inside another one, and return its answer: `as_tool` for agents that are not async.

    Raises
    ------
    InvalidInput
        No run is under way here, or it would wait on the agents' own event loop.
    RunFailed
        The agent failed; its run, in its own session, tells more.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> def critic(prompt):
    ...     return f"{prompt}? Too long."
    >>> store = nbs.open_store("memory:")
    >>> session = store.create("plan")
    >>> session.send("An essay", agent=lambda prompt: nbs.delegate(critic, prompt)).output
    'An essay? Too long.'
    >>> store.resume("critic", conversation_id=session.session_id).turn_count
    1
    """
    adapter = adapt(agent)
    above = _caller(adapter)
    if on_worker():
        raise InvalidInput(
            "`delegate` would hold up all agents here: use `await nbs.as_tool(agent)(prompt)`."
        )
    try:
        return _answer(above, adapter, prompt, Stop(above.stop), new=new)
    except RunCancelled:
        if threading.current_thread() is above.thread:
            raise KeyboardInterrupt from None  # so that the one who asked is stopped, not failed
        raise


def _caller(adapter: Adapter) -> Caller:
    found = caller()
    if found is None:
        raise InvalidInput(
            f"No agent is answering here that could ask {adapter.name}: outside of a run, use `session.send`."
        )
    return found


def _answer(above: Caller, adapter: Adapter, prompt: str, stop: Stop, *, new: bool) -> str:
    """Ask, wait, and return the answer as text."""
    from nbsessions.runner import run

    child = _child(above, adapter.name, new=new)
    key = child.key

    def tell(event: BaseEvent) -> None:
        if event.type.value == "RUN_STARTED":
            above.emit(_asked(child, adapter.name, getattr(event, "run_id", "")))

    try:
        answered = run(
            child,
            adapter,
            prompt,
            on_event=tell,
            stop=stop,
            approve=above.ask,
            policy=above.policy,
            limits=above.limits,
        )
    except StoreError:
        # Whoever saves the one who asked saves what was answered to it first.
        above.session.unsaved += child.unsaved
        raise
    finally:
        with above.lock:
            above.taken.discard(key)
    output: Any = answered.output
    return output if isinstance(output, str) else to_json(output, fallback=str).decode()


def _child(above: Caller, agent_name: str, *, new: bool) -> Session:
    """Return the session in which an agent answers the one above: its last one that is free, or another."""
    from nbsessions.store import Store

    parent = above.session
    store = Store(parent.backend, parent.actor or parent.owner)
    conversation = parent.session_id
    calls = Query(
        conversation_id=conversation,
        parent_session_id=conversation,
        agent_name=agent_name,
        owner=store.owner,
    )
    with above.lock:
        known = [] if new else store.backend.find(calls)
        free = next((record for record in known if Key.of(record) not in above.taken), None)
        if free is not None:
            child = store.resume(free.session_id, conversation_id=conversation)
        else:
            child = _begun(store, parent, agent_name)
        child.max_events = parent.max_events
        above.taken.add(child.key)
    return child


def _begun(store: Store, parent: Session, agent_name: str) -> Session:
    for number in count(1):
        # A name of the greatest length leaves room for what is added.
        name = agent_name[:190] if number == 1 else f"{agent_name[:190]} {number}"
        with suppress(SessionExists):
            return store.create(
                name,
                agent_name=agent_name,
                conversation_id=parent.session_id,
                parent_session_id=parent.session_id,
                notebook=parent.record.notebook,
            )
    raise AssertionError("there is always another number")


def _asked(child: Session, agent_name: str, run_id: str) -> BaseEvent:
    from ag_ui.core import CustomEvent

    value = {
        "agentName": agent_name,
        "sessionId": child.session_id,
        "conversationId": child.conversation_id,
        "runId": run_id,
    }
    return CustomEvent(name=ASKED, value=value)


def _as_name(agent_name: str) -> str:
    """Return an agent's name as models know tools by.

    Examples
    --------
    >>> _as_name("openai:gpt-5.2")
    'openai_gpt-5_2'
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", agent_name).strip("_-")[:64]
    return name if _TOOL_NAME.fullmatch(name) else f"ask_{name}"[:64].rstrip("_")
