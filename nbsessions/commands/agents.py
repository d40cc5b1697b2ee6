"""Commands about who is asked: the agent, its rules and limits, its tools, and what it did not answer."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from nbsessions.commands.base import Command
from nbsessions.options import LINE, check_patterns
from nbsessions.settings import LIMITS, NO_LIMIT
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from nbsessions.adapters.base import Adapter
    from nbsessions.limits import Limits
    from nbsessions.reprs import Card
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace


def choose(workspace: Workspace, options: Namespace) -> None:
    """Make what the line of `%agent` says the current agent, its model, and the rules for its tools.

    Raises
    ------
    InvalidInput, AgentError

    Examples
    --------
    >>> from nbsessions.options import LINE, parse
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"), names={"echo": lambda prompt: prompt})
    >>> choose(workspace, parse("%agent", LINE, "echo --policy deny"))
    >>> workspace.settings.agent, workspace.settings.policy
    ('echo', 'deny')
    """
    if options.agent or options.model:
        workspace.use_agent(options.agent, options.model)
    given = {"policy": options.policy}
    given |= {f"{name}_tools": getattr(options, name) for name in ("allow", "ask", "deny")}
    workspace.use_policy(**{name: value for name, value in given.items() if value is not None})


def limits(workspace: Workspace, options: Namespace) -> Limits | None:
    """Return the limits of a line, and where it says nothing the set ones.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> from nbsessions.options import LINE, parse
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(max_requests="20"))
    >>> print(limits(workspace, parse("%agent", LINE, "--max-cost 0.50")))
    at most $0.50 a run, 20 requests a run
    """
    return workspace.settings.limits(**{kind: getattr(options, f"max_{kind}") for kind in LIMITS})


def describe(workspace: Workspace, options: Namespace) -> str:
    """Set the limits of a line, and say who is asked now, and what that one may do.

    Raises
    ------
    InvalidInput, AgentError

    Examples
    --------
    >>> from nbsessions.options import LINE, parse
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(agent="echo"), names={"echo": lambda prompt: prompt})
    >>> describe(workspace, parse("%agent", LINE, "--max-requests 3"))
    'The agent is echo. It may spend at most 3 requests a run.'
    """
    limits(workspace, options)  # one that cannot be used is refused first
    for kind in LIMITS:
        text = getattr(options, f"max_{kind}")
        if text is not None:
            limit = None if text in NO_LIMIT else text
            workspace.set(f"max_{kind}", limit)
            workspace.remember(f"max_{kind}", limit)
    settings, spending = workspace.settings, limits(workspace, options)
    adapter = workspace.adapter(model=settings.model)
    model = settings.model or adapter.model
    rules = settings.rules()
    told = [f"The agent is {adapter.name}" + (f", its model {model}." if model else ".")]
    told += [f"It may spend {spending}."] if spending else []
    told += [f"Tools: {rules}."] if rules else []
    return " ".join(told)


def retried(workspace: Workspace, session: Session, options: Namespace, prompt: str = "") -> dict[str, Any]:
    """Return what is asked again: the last prompt that was not answered, and whom; as of a `Question`.

    Raises
    ------
    InvalidInput
        No prompt waits for an answer, or it is not `prompt`.

    Examples
    --------
    >>> from nbsessions.options import LINE, parse
    >>> from nbsessions.workspace import Settings, Workspace
    >>> workspace = Workspace(Settings(store="memory:"))
    >>> retried(workspace, workspace.create("plan", "local"), parse("%agent", LINE, "--retry"))
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: No prompt of 'plan' waits for an answer: there is nothing to retry.
    """
    from nbsessions.asking import unanswered

    run = unanswered(workspace, session, prompt)
    if options.agent or options.model:
        adapter = workspace.adapter(options.agent, options.model)
        model = other_model(options.model, adapter)
    else:
        adapter, model = workspace.asked(run)
    return {"prompt": run.prompt or "", "adapter": adapter, "model": model, "retry": run}


def other_model(model: str | None, adapter: Adapter) -> str | None:
    """Return the model to ask for, where it is not the adapter's own.

    Examples
    --------
    >>> from nbsessions.adapters import adapt
    >>> other_model("openai:gpt-5.2", adapt(lambda prompt: prompt))
    'openai:gpt-5.2'
    """
    return None if model == adapter.model else model


def _agent(workspace: Workspace, retry: bool, **line: Any) -> str | None:
    options = Namespace(**line)
    check_patterns(options)
    choose(workspace, options)
    if not retry:
        return describe(workspace, options)
    _ask_again(workspace, options)
    return None


def _retry(workspace: Workspace) -> None:
    _ask_again(workspace, Namespace(**{argument.key: None for argument in LINE}))


def _ask_again(workspace: Workspace, options: Namespace) -> None:
    from nbsessions.asking import Question, ask

    session = workspace.need_session()
    again = retried(workspace, session, options)
    ask(workspace, session, Question(**again, limits=limits(workspace, options)))


def _tools(workspace: Workspace) -> Card | str:
    from nbsessions.reprs import Card

    adapter = workspace.adapter(model=workspace.settings.model)
    tools = adapter.tools()
    if tools is None:
        return f"{adapter.name} does not tell which tools it has."
    if not tools:
        return f"{adapter.name} has no tools."
    rows = [(one_line(tool.name, 80), tool.summary) for tool in tools]
    return Card(f"{adapter.name}: {counted(len(tools), 'tool')}", rows)


COMMANDS = (
    Command(
        "agent",
        "Show or choose who is asked, which tools it may call, and what it may spend.",
        _agent,
        tuple(argument for argument in LINE if argument.name != "--into"),
        faces=frozenset({"chat"}),
    ),
    Command(
        "retry",
        "Send the last prompt that was not answered again.",
        _retry,
        faces=frozenset({"chat"}),
    ),
    Command(
        "tools",
        "List the tools of the current agent.",
        _tools,
        faces=frozenset({"magic", "chat"}),
    ),
)
