"""Whether an agent may use a tool: the question, who is asked, and what was decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbsessions.exceptions import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolQuestion:
    """A call of a tool that waits until somebody allows it.

    Attributes
    ----------
    name : str
        Of the tool.
    arguments : str
        JSON as the model wrote it: exactly what the tool is called with, where it is allowed.
    call_id : str
        The call's own id. What is decided holds for this call, and for no other.
    run_id, agent_name : str
        Who asks.

    Examples
    --------
    >>> ToolQuestion(name="add", arguments='{"a": 1}', call_id="c1", run_id="r1", agent_name="adder").name
    'add'
    """

    name: str
    arguments: str
    call_id: str
    run_id: str
    agent_name: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a call of a tool.

    Attributes
    ----------
    approved : bool
    reason : str
        Why not. The model is told, so that it can do something else.

    Examples
    --------
    >>> Decision(False, "Only files below /tmp may go.").for_model()
    'The call was not allowed: Only files below /tmp may go.'
    """

    approved: bool
    reason: str = ""

    def for_model(self) -> str:
        """Return what the model gets in place of the result of a call that was not allowed.

        Examples
        --------
        >>> Decision(False).for_model()
        'The person did not allow this call.'
        """
        return f"The call was not allowed: {self.reason}" if self.reason else _DENIED


Approve = Callable[[ToolQuestion], "bool | Decision"]
"""Decides about a call of a tool, on the thread of the person. True allows it."""

_DENIED = "The person did not allow this call."


def nobody(question: ToolQuestion) -> Decision:
    """Allow nothing: who decides where nobody does.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> nobody(question)
    Decision(approved=False, reason='there is nobody to ask')
    """
    return Decision(False, "there is nobody to ask")


def decide(approve: Approve, question: ToolQuestion) -> Decision:
    """Ask about a call, and return what was decided.

    Raises
    ------
    InvalidInput
        What came back is no decision: whatever else may be true is no permission.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> decide(lambda question: question.name == "add", question).approved
    True
    """
    found: Any = approve(question)
    if isinstance(found, bool):
        return Decision(found)
    if isinstance(found, Decision) and isinstance(found.approved, bool) and isinstance(found.reason, str):
        return found
    raise InvalidInput(f"`approve` returns True, False or a Decision, not {found!r:.80}: nothing is allowed.")
