"""
The table of commands over HTTP: for an agent, as webagents has it, and for one session.

There is no state in the server: which session is an agent's current one, the store remembers, as it does for
a notebook. Where it knows of none, it is the agent's latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from nbsessions.arguments import Argument
from nbsessions.commands import on_face, run, webagents
from nbsessions.commands.base import Command
from nbsessions.commands.given import check, schema
from nbsessions.exceptions import AmbiguousSession, SessionConflict, SessionNotFound
from nbsessions.names import check_id
from nbsessions.server.errors import Changed
from nbsessions.server.etags import etag_of, is_conditional, session_of
from nbsessions.server.results import Done, Result, result_of
from nbsessions.server.routes import Answer, Call, Route
from nbsessions.server.sessions import OneSession
from nbsessions.server.spelling import spell
from nbsessions.session import Session
from nbsessions.stores._owned import OwnedBackend
from nbsessions.stores.base import Query
from nbsessions.workspace import Settings, Workspace

_NEWEST: Final = 20
"""So many sessions are offered where one is asked for."""
_LAST: Final = 100
"""So many messages come with a session that is loaded; its messages, by pages, are all of them."""
# About all sessions, which one session's path is not.
_ELSEWHERE: Final = {"all", "confirm", "conversation"}


class Given(BaseModel):
    """The arguments of a command; what they may be, the command itself declares.

    Examples
    --------
    >>> Given(limit=3).model_extra
    {'limit': 3}
    """

    model_config = ConfigDict(extra="allow")
    arguments: ClassVar[tuple[Argument, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        return schema(cls.arguments)


class Help(BaseModel):
    """What there is to know of one command, as webagents' daemon tells it.

    Attributes
    ----------
    path : str
    alias : str or None
    description : str
    scope : str
        Who may: the ``owner`` of the sessions.
    parameters : dict
        The JSON schema of each argument.
    required : list of str
    completions : dict
        What an argument may be.

    Examples
    --------
    >>> Help(path="/session/undo", description="Take back the last move.", parameters={}).scope
    'owner'
    """

    path: str
    alias: str | None = None
    description: str
    scope: str = "owner"
    parameters: dict[str, Any]
    required: list[str] = []
    completions: dict[str, list[str]] = {}


class Helps(BaseModel):
    """What there is to know of all commands of an agent.

    Examples
    --------
    >>> Helps(commands=[]).commands
    []
    """

    commands: list[Help]


def on_agent(call: Call, command: Command) -> Answer:
    """Do what a command says, for the agent of the path and its current session.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.commands import COMMANDS
    >>> call = Call(nbs.open_store("memory:"), {"agent_name": "coder"}, body=Given(name="plan"))
    >>> on_agent(call, COMMANDS["new"]).content.result.message
    "Started 'plan'."
    """
    workspace = _of_agent(call)
    found = run(workspace, command, _values(workspace, command, call.body.model_extra or {}))
    result = _with_session(result_of(found), workspace)
    if command.name in webagents.COMMANDS:
        _add_theirs(workspace, command.name, result)
    return _answer(result)


def on_session(call: Call, command: Command) -> Answer:
    """Do what a command says to the session of the path.

    Raises
    ------
    SessionNotFound, SessionConflict, InvalidInput
    Changed
        It is not in the state that `If-Match` asks for.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.commands import COMMANDS
    >>> store = nbs.open_store("memory:")
    >>> path = {"session_id": store.create("plan").session_id}
    >>> call = Call(store, path, OneSession(), Given(name="essay"))
    >>> on_session(call, COMMANDS["rename"]).content.result.message
    "Renamed 'plan' to 'essay'."
    """
    workspace = Workspace(Settings(), is_seated=False, spell=spell)
    workspace.use_open_store(call.store)
    session = Session(call.store.backend, session_of(call), actor=call.store.owner, on_conflict="error")
    workspace.settings.agent = session.agent_name
    workspace.session = session
    if is_conditional(call) and isinstance(call.store.backend, OwnedBackend):
        call.store.backend.hold(session.record)
    values = check(_of_session(command), call.body.model_extra or {})
    try:
        found = run(workspace, command, values)
    except SessionConflict:
        if is_conditional(call):
            raise Changed(session.record.label) from None
        raise
    return _answer(_with_session(result_of(found), workspace))


def _of_agent(call: Call) -> Workspace:
    """Return a workspace that stands where the last command for this agent left it."""
    name = check_id(call.path["agent_name"], "agent_name")
    workspace = Workspace(Settings(agent=name), place=lambda: f"http:{name}", spell=spell)
    workspace.use_open_store(call.store)
    if workspace.find_session() is None:
        try:
            workspace.session = call.store.resume("latest", agent_name=name)
        except SessionNotFound:
            return workspace  # the agent has none yet
    return workspace


def _values(workspace: Workspace, command: Command, given: dict[str, Any]) -> dict[str, Any]:
    agent_name = workspace.adapter_name()
    if command.name in webagents.COMMANDS:
        _, values = webagents.translated(command.name, given)
    else:
        values = check(command.on("http"), given)
    if any(argument.key == "agent" for argument in command.arguments):
        values.setdefault("agent", agent_name)
    if command.name == "load":
        values["ref"] = _meant(workspace, values.get("ref"), values.get("conversation"), agent_name)
    if command.name == "save":
        workspace.current(agent_name)  # there, saving begins one
    return values


def _meant(workspace: Workspace, ref: str | None, conversation: str | None, agent_name: str) -> str:
    """Return the id of the session to load, which is one of this agent."""
    store, ref = workspace.store, ref or "latest"
    try:
        record = store.record(ref, conversation_id=conversation, agent_name=agent_name)
    except AmbiguousSession:
        own = Query(conversation_id=conversation or "", agent_name=agent_name, limit=1)
        parts = own._replace(name=ref), own._replace(prefix=ref), own._replace(suffix=ref)
        if not any(store.backend.find(part) for part in parts):
            raise SessionNotFound(ref) from None
        raise
    if record.agent_name != agent_name:
        raise SessionNotFound(ref)
    return record.session_id


def _with_session(result: Result, workspace: Workspace) -> Result:
    session = workspace.session
    if result.session is None and session is not None:
        result.session = session.backend.get(session.key)
    return result


def _answer(result: Result) -> Answer:
    headers = {} if result.session is None else {"ETag": etag_of(result.session)}
    return Answer(Done(result=result), headers=headers)


def _add_theirs(workspace: Workspace, name: str, result: Result) -> None:
    """Add what webagents' clients look for."""
    from rich.markup import escape

    record, session = result.session, workspace.session
    theirs: dict[str, Any] = {"display": escape(result.message)}
    if name == "history":
        theirs["total"] = len(result.sessions or ())
        theirs["current_session_id"] = None if record is None else record.session_id
    elif name == "clear":
        theirs["status"] = "cleared"
    elif record is not None and session is not None:
        theirs["status"] = {"save": "saved", "load": "loaded", "new": "created"}[name]
        theirs["session_id"] = record.session_id
        theirs["message_count"] = record.message_count
        theirs["name"] = record.name or record.session_id
        if name == "load":
            theirs["created_at"] = record.created_at
            theirs["input_tokens"] = record.usage.input_tokens
            theirs["output_tokens"] = record.usage.output_tokens
            result.messages = session.history(_LAST)
    for key, value in theirs.items():
        setattr(result, key, value)


# What there is to know of them


def helps(call: Call) -> Helps:
    """Return what there is to know of all commands.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> helps(Call(nbs.open_store("memory:"))).commands[0].path
    '/session/status'
    """
    return Helps(commands=[_help(command) for command in on_face("http")])


def help_of(call: Call, command: Command) -> Help:
    """Return what there is to know of one command, with what may be given to it.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.commands import COMMANDS
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create(session_id="chat-7", agent_name="coder")
    >>> help_of(Call(store, {"agent_name": "coder"}), COMMANDS["load"]).completions
    {'session_id': ['chat-7']}
    """
    found = _help(command)
    newest = call.store.list(_NEWEST, agent_name=check_id(call.path["agent_name"], "agent_name"))
    ids = [record.session_id for record in newest]
    offered = {
        argument.key: ids if argument.completes == "session" else [*argument.choices]
        for argument in _of_agents(command)
    }
    return found.model_copy(update={"completions": {name: texts for name, texts in offered.items() if texts}})


def _help(command: Command) -> Help:
    taken = schema(_of_agents(command))
    return Help(
        path=f"/session/{command.name}",
        alias=f"/{command.aliases[0]}" if command.aliases else None,
        description=command.help,
        parameters=taken["properties"],
        required=taken.get("required", []),
    )


def _of_agents(command: Command) -> tuple[Argument, ...]:
    return webagents.COMMANDS.get(command.name) or command.on("http")


def _of_session(command: Command) -> tuple[Argument, ...]:
    hidden = {"ref"} | (_ELSEWHERE if command.name == "clear" else set())
    return tuple(argument for argument in command.on("http") if argument.key not in hidden)


# The routes


def _taking(command: Command, arguments: tuple[Argument, ...], suffix: str) -> type[Given]:
    name = f"{command.name.capitalize()}{suffix}"
    return type(name, (Given,), {"arguments": arguments, "__doc__": command.help, "__module__": __name__})


def _agents_routes(commands: Iterable[Command]) -> Iterator[Route]:
    for command in commands:
        path = f"/agents/{{agent_name}}/command/session/{command.name}"
        body = _taking(command, _of_agents(command), "Given")
        does = partial(on_agent, command=command)
        yield Route("POST", path, command.help, does, Done, body=body)
        yield Route(
            "GET",
            path,
            f"What `{command.name}` does and takes.",
            partial(help_of, command=command),
            Help,
        )


def _sessions_routes(commands: Iterable[Command]) -> Iterator[Route]:
    for command in commands:
        about_one = any(argument.key == "ref" and not argument.required for argument in command.arguments)
        if command.on_session or (about_one and command.name != "load"):
            body = _taking(command, _of_session(command), "OfSession")
            path = f"/sessions/{{session_id}}/command/{command.name}"
            yield Route(
                "POST",
                path,
                command.help,
                partial(on_session, command=command),
                Done,
                query=OneSession,
                body=body,
                headers=("If-Match",),
            )


ROUTES = (
    Route("GET", "/agents/{agent_name}/command", "What each command does and takes.", helps, Helps),
    *_agents_routes(on_face("http")),
    *_sessions_routes(on_face("http")),
)
