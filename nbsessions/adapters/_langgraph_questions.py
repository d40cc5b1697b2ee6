"""What a graph of LangGraph itself asks a person, as questions of yes, no, or other arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from langgraph.types import Interrupt
from pydantic_core import to_json

from nbsessions.exceptions import AgentError
from nbsessions.permissions import Decision


class Asked(NamedTuple):
    """One thing that is asked about.

    Attributes
    ----------
    name : str
        Of the tool, or what is told to be done.
    arguments : str
        JSON.
    call_id : str
    """

    name: str
    arguments: str
    call_id: str


class Questions(NamedTuple):
    """What an interruption asks, and how it is answered.

    Attributes
    ----------
    about : list of Asked
    answer : callable
        Takes a decision for each, and returns what the graph goes on with.
    """

    about: list[Asked]
    answer: Callable[[Sequence[Decision]], Any]


def questions(interrupt: Interrupt[Any]) -> Questions:
    """Return what an interruption asks a person.

    Known are LangChain's ``HumanInTheLoopMiddleware``, the requests of LangGraph's older agents, and any
    value that is answered by true or false; who edits such a value answers by what they made of it.

    Raises
    ------
    AgentError
        It wants another answer than that.

    Examples
    --------
    >>> asked = questions(Interrupt("May I?", id="i1"))
    >>> asked.about[0].arguments, asked.answer([Decision(True)])
    ('"May I?"', True)
    """
    value, schema = interrupt.value, interrupt.response_schema
    if isinstance(value, dict) and isinstance(value.get("action_requests"), list):
        return _middleware(interrupt.id, value)
    older = value if isinstance(value, list) else [value]
    if older and all(isinstance(one, dict) and isinstance(one.get("action_request"), dict) for one in older):
        return _older(interrupt.id, older)
    if isinstance(schema, dict) and schema.get("type") not in (None, "boolean"):
        raise AgentError(
            f"the graph asks {_json(value)}, and wants an answer of the type {schema.get('type')}: "
            "a session can answer yes or no"
        )

    def answer(decisions: Sequence[Decision]) -> Any:
        (decision,) = decisions
        edited = decision.arguments
        return decision.approved if edited is None or not decision.approved else json.loads(edited)

    return Questions([Asked("interrupt", _json(value), interrupt.id)], answer)


def _middleware(interrupt_id: str, value: dict[str, Any]) -> Questions:
    actions = value["action_requests"]
    reviews = value.get("review_configs", ())
    allowed = {one.get("action_name"): one.get("allowed_decisions", ()) for one in reviews}

    def answer(decisions: Sequence[Decision]) -> Any:
        return {"decisions": [decided(*pair) for pair in zip(actions, decisions, strict=True)]}

    def decided(action: dict[str, Any], decision: Decision) -> dict[str, Any]:
        name = action["name"]
        if not decision.approved:
            return _permitted(name, allowed, {"type": "reject", "message": decision.for_model()})
        if decision.arguments is None:
            return _permitted(name, allowed, {"type": "approve"})
        edited = {"name": name, "args": json.loads(decision.arguments)}
        return _permitted(name, allowed, {"type": "edit", "edited_action": edited})

    about = [
        Asked(action["name"], _json(action.get("args", {})), f"{interrupt_id}/{number}")
        for number, action in enumerate(actions)
    ]
    return Questions(about, answer)


def _permitted(name: str, allowed: dict[Any, Any], answer: dict[str, Any]) -> dict[str, Any]:
    if answer["type"] not in allowed.get(name, (answer["type"],)):
        raise AgentError(f"the graph does not take {answer['type']} as an answer about {name}")
    return answer


def _older(interrupt_id: str, requests: Sequence[dict[str, Any]]) -> Questions:
    def answer(decisions: Sequence[Decision]) -> Any:
        return [decided(*pair) for pair in zip(requests, decisions, strict=True)]

    def decided(request: dict[str, Any], decision: Decision) -> dict[str, Any]:
        if not decision.approved:
            return {"type": "response", "args": decision.for_model()}
        if decision.arguments is None:
            return {"type": "accept", "args": None}
        action = {**request["action_request"], "args": json.loads(decision.arguments)}
        return {"type": "edit", "args": action}

    actions = [request["action_request"] for request in requests]
    about = [
        Asked(str(action.get("action")), _json(action.get("args", {})), f"{interrupt_id}/{number}")
        for number, action in enumerate(actions)
    ]
    return Questions(about, answer)


def _json(value: object) -> str:
    return to_json(value, serialize_unknown=True, inf_nan_mode="null").decode()
