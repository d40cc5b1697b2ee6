"""Whether an agent may use a tool: the rules, the question, and what was decided."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from nbsessions.exceptions import InvalidInput

Verdict = Literal["allow", "ask", "deny"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
_STRICTEST_FIRST: Final[tuple[Verdict, ...]] = ("deny", "allow", "ask")
"""The order in which patterns are looked at: the first that names a tool decides."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which tools an agent may use: those that are denied, those that are allowed, those to ask about.

    Patterns are of tool names: ``*`` stands for any letters, ``?`` for one, ``[ab]`` for one of these;
    capitals count. A denial beats an allowance, an allowance beats a question, and what no pattern names
    gets the default.

    Attributes
    ----------
    default : {"ask", "allow", "deny"} or None
        None: what the agent itself wants to be asked about is asked about, and all else is allowed.
    deny, allow, ask : sequence of str
        Patterns, each an item of its own. One to deny or to ask about with a comma or an apostrophe in it is
        refused: it names no tool, and all that it was meant for would be called.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> policy = Policy("ask", allow=["read_*"], deny=["*_secrets"])
    >>> [policy.verdict(name) for name in ("read_file", "read_secrets", "write_file")]
    ['allow', 'deny', 'ask']
    """

    default: Verdict | None = "ask"
    deny: Sequence[str] = ()
    allow: Sequence[str] = ()
    ask: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.default not in (None, *VERDICTS):
            raise InvalidInput(f"A policy is allow, ask or deny, not {self.default!r:.80}.")
        for verdict in VERDICTS:
            patterns = getattr(self, verdict)
            # A text is a sequence of texts, too: each letter of it would be a pattern.
            told = isinstance(patterns, Sequence) and not isinstance(patterns, str)
            if not told or not all(isinstance(pattern, str) and pattern for pattern in patterns):
                raise InvalidInput(f"{verdict} takes a list of patterns of tool names, not {patterns!r:.80}.")
            if verdict != "allow":
                _check_names_a_tool(verdict, patterns)
            object.__setattr__(self, verdict, tuple(dict.fromkeys(patterns)))

    def verdict(self, tool_name: str, *, required: bool = False) -> Verdict:
        """Return what is to become of a call of this tool.

        With `required`, the agent itself wants it asked about: that counts where there is no default.

        Examples
        --------
        >>> Policy(None).verdict("add"), Policy(None).verdict("add", required=True)
        ('allow', 'ask')
        """
        for verdict in _STRICTEST_FIRST:
            if any(fnmatchcase(tool_name, pattern) for pattern in getattr(self, verdict)):
                return verdict
        return self.default or ("ask" if required else "allow")

    def always(self, tool_name: str) -> Policy:
        """Return this policy with a tool allowed, as long as nothing denies it.

        Examples
        --------
        >>> Policy().always("add").allow
        ('add',)
        """
        # What stands for itself in a name shall not stand for anything else in the pattern.
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in tool_name)
        return replace(self, allow=(*self.allow, pattern))

    def __str__(self) -> str:
        rules = [(verdict, getattr(self, verdict)) for verdict in _STRICTEST_FIRST]
        told = [f"{verdict} {', '.join(patterns)}" for verdict, patterns in rules if patterns]
        default = "ask where the agent wants it" if self.default is None else self.default
        return "; ".join([*told, f"else {default}" if told else default])

    def to_json(self) -> str:
        """Return it as a JSON object.

        Examples
        --------
        >>> Policy("ask", allow=["add"]).to_json()
        '{"default": "ask", "deny": [], "allow": ["add"], "ask": []}'
        """
        rules = {verdict: list(getattr(self, verdict)) for verdict in _STRICTEST_FIRST}
        return json.dumps({"default": self.default, **rules})

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Return the policy that `to_json` wrote.

        Raises
        ------
        InvalidInput
            It is none: nothing is guessed, and nothing allowed.

        Examples
        --------
        >>> Policy.from_json(Policy("deny", ask=["add"]).to_json()).ask
        ('add',)
        """
        try:
            found = json.loads(text)
            return cls(**found)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"This is no policy: {text:.80}") from error


def _check_names_a_tool(verdict: Verdict, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if "'" in pattern or "," in pattern:
            text = f"{verdict} takes patterns of tool names, one an item, without apostrophes and commas"
            raise InvalidInput(f"{text}, not {pattern!r:.80}.")


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
    required : bool
        Whether the agent itself wants it asked about, whatever the rules are.

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
    required: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a call of a tool.

    Attributes
    ----------
    approved : bool
    reason : str
        Why not. The model is told, so that it can do something else.
    arguments : str or None
        A JSON object to call the tool with instead; None: as the model wrote them.
    always : bool
        Calls of this tool are allowed from now on, in this session.

    Examples
    --------
    >>> Decision(False, "Only files below /tmp may go.").for_model()
    'The call was not allowed: Only files below /tmp may go.'
    """

    approved: bool
    reason: str = ""
    arguments: str | None = None
    always: bool = False

    def __bool__(self) -> bool:
        return self.approved

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

_DENIED: Final = "The person did not allow this call."


class Later(Exception):
    """Nobody decides about a call now: its run waits, and `Session.approve` goes on with it."""


def nobody(question: ToolQuestion) -> Decision:
    """Allow nothing: who decides where nobody does.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> nobody(question)
    Decision(approved=False, reason='there is nobody to ask', arguments=None, always=False)
    """
    return Decision(False, "there is nobody to ask")


def later(question: ToolQuestion) -> Decision:
    """Leave a call undecided: give it as `approve`, and the run is left ``suspended``.

    Raises
    ------
    Later
        Always: whoever asks lets the run wait.

    Examples
    --------
    >>> question = ToolQuestion(name="add", arguments="{}", call_id="c1", run_id="r1", agent_name="adder")
    >>> later(question)
    Traceback (most recent call last):
    nbsessions.permissions.Later: adder waits for a decision about add
    """
    raise Later(f"{question.agent_name} waits for a decision about {question.name}")


def decide(approve: Approve, question: ToolQuestion) -> Decision:
    """Ask about a call, and return what was decided.

    Raises
    ------
    InvalidInput
        What came back is no decision: whatever else may be true is no permission.
    Later

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
        if found.arguments is not None:
            check_arguments(found.arguments)
        return found
    raise InvalidInput(f"`approve` returns True, False or a Decision, not {found!r:.80}: nothing is allowed.")


def check_arguments(text: object) -> dict[str, Any]:
    """Return the arguments of a call that a person wrote.

    Raises
    ------
    InvalidInput
        They are no JSON object.

    Examples
    --------
    >>> check_arguments('{"a": 1}')
    {'a': 1}
    """
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError as error:
        raise InvalidInput(f"The arguments of a call are a JSON object: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"The arguments of a call are a JSON object, not {text!r:.80}.")
    return found
