"""What stands between an agent and its tools: rules decide, or a person does while the run is suspended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from nbsessions.permissions import Approve, Decision, Later, Policy, ToolQuestion, Verdict, decide

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent

    from nbsessions.records import Event

QUESTION: Final = "nbsessions.question"
"""The name of the ``CUSTOM`` event that tells what a run waits for."""
APPROVAL: Final = "nbsessions.approval"
"""The name of the ``CUSTOM`` event that tells what was decided."""
_BY_RULE: Final = "the rules for tools deny it"


class Rules(NamedTuple):
    """By what it is decided which tools an agent may call.

    Attributes
    ----------
    policy : Policy
    approve : callable
        Asked where the policy wants a question.
    on_always : callable
        Called with the new policy and the name of the tool, where one was allowed for good.
    decided : (ToolQuestion, Decision) or None
        What a person has decided already about a call of a suspended run. It holds for this very call alone:
        the same tool, the same arguments. It beats an allowance and a question, and no denial.
    """

    policy: Policy
    approve: Approve
    on_always: Callable[[Policy, str], None] = lambda policy, tool_name: None
    decided: tuple[ToolQuestion, Decision] | None = None


class Gate:
    """Decides, for one run, which tools its agent may call.

    Parameters
    ----------
    run_id : str
    rules : Rules
    wait : callable
        Called with the question before a person is asked: it stores that the run waits.
    go_on : callable
        Called when the person has decided, before anything is done: it stores that the run goes on.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> gate = Gate("r1", Rules(Policy("ask", deny=["add"]), lambda question: True))
    >>> gate.must_ask("add", False), gate.decide(question, lambda event: None).for_model()
    (True, 'The call was not allowed: the rules for tools deny it')
    """

    def __init__(
        self,
        run_id: str,
        rules: Rules,
        wait: Callable[[ToolQuestion], None] = lambda question: None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_id = run_id
        self._policy, self._approve, self._on_always, self._decided = rules
        self._wait, self._go_on = wait, go_on
        # Agents that are called at the same time ask one after the other.
        self._deciding = threading.Lock()

    def must_ask(self, tool_name: str, required: bool) -> bool:
        """Tell whether calls of this tool have to be decided about."""
        decided = self._decided
        by_hand = decided is not None and decided[0].name == tool_name
        return by_hand or self._policy.verdict(tool_name, required=required) != "allow"

    def decide(self, question: ToolQuestion, tell: Callable[[BaseEvent], None]) -> Decision:
        """Decide about a call, and tell the question and the decision as events.

        Raises
        ------
        Later
            Nobody decides now: the run waits.
        """
        with self._deciding:
            by_hand, verdict = self._by_hand(question), self._verdict(question)
            if verdict == "deny":
                decision = Decision(False, _BY_RULE)
            elif by_hand is not None:
                decision = by_hand
            else:
                decision = Decision(True) if verdict == "allow" else self._asked(question, tell)
            if decision.always:
                self._policy = self._policy.always(question.name)
                self._on_always(self._policy, question.name)
            tell(_approval(question, decision))
            return decision

    def _verdict(self, question: ToolQuestion) -> Verdict:
        return self._policy.verdict(question.name, required=question.required)

    def _by_hand(self, question: ToolQuestion) -> Decision | None:
        """Return what was decided before about this very call; it is used once."""
        if self._decided is None or not is_same_call(self._decided[0], question):
            return None
        decision, self._decided = self._decided[1], None
        return decision

    def _asked(self, question: ToolQuestion, tell: Callable[[BaseEvent], None]) -> Decision:
        tell(_question(question))
        # What another agent asks, whom this one called, is that one's run to wait with.
        is_own = question.run_id == self._run_id
        if is_own:
            self._wait(question)
        try:
            decision = decide(self._approve, question)
        except Later:
            if is_own:
                raise
            decision = Decision(False, "nobody can be asked now, and an agent that was asked cannot wait")
        if is_own:
            self._go_on()
        return decision


def is_same_call(one: ToolQuestion, other: ToolQuestion) -> bool:
    """Tell whether two questions are about one call: of one run, of one tool, with the same arguments.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> is_same_call(question, question)
    True
    """
    names = ("run_id", "call_id", "name", "arguments")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def waiting_for(run_id: str, events: Iterable[Event]) -> ToolQuestion | None:
    """Return the question that a run waits with: the last one that its log tells and nothing answers.

    Examples
    --------
    >>> waiting_for("r1", []) is None
    True
    """
    found: ToolQuestion | None = None
    for event in events:
        told, value = event.data.get("name"), event.data.get("value")
        if told == APPROVAL:
            found = None
        if told == QUESTION and isinstance(value, dict):
            found = ToolQuestion(
                name=str(value.get("toolCallName")),
                arguments=str(value.get("arguments")),
                call_id=str(value.get("toolCallId")),
                run_id=run_id,
                agent_name=str(value.get("agentName")),
                required=value.get("required") is True,
            )
    return found


def _question(question: ToolQuestion) -> BaseEvent:
    from ag_ui.core import CustomEvent

    value = {
        "toolCallId": question.call_id,
        "toolCallName": question.name,
        "arguments": question.arguments,
        "agentName": question.agent_name,
        "required": question.required,
    }
    return CustomEvent(name=QUESTION, value=value)


def _approval(question: ToolQuestion, decision: Decision) -> BaseEvent:
    from ag_ui.core import CustomEvent

    value = {
        "toolCallId": question.call_id,
        "toolCallName": question.name,
        "approved": decision.approved,
        "reason": decision.reason,
        **({} if decision.arguments is None else {"arguments": decision.arguments}),
        **({"always": True} if decision.always else {}),
    }
    return CustomEvent(name=APPROVAL, value=value)
