"""
The one table of commands: what `%session` does, and what every other face does with the same words.

A command is a name, its arguments, one line of help, one function, and the faces where it belongs.
A function takes the workspace and its arguments, and returns a line to print or an object to show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbsessions.arguments import Argument, Parser, split
from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.stores.base import Key
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

    from nbsessions.records import Message, Run
    from nbsessions.reprs import Card, Conversation
    from nbsessions.session import Session
    from nbsessions.workspace import Workspace

Face = Literal["magic", "cli", "chat", "http"]
_SYNOPSIS = 44
EVERYWHERE: frozenset[Face] = frozenset({"magic", "cli", "chat", "http"})
# HTTP takes no paths and no URLs.
LOCAL: frozenset[Face] = frozenset({"magic", "cli", "chat"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Examples
    --------
    >>> COMMANDS["rename"].help
    'Give the current session another name.'
    """

    name: str
    help: str
    function: Callable[..., object]
    arguments: tuple[Argument, ...] = ()
    faces: frozenset[Face] = EVERYWHERE
    aliases: tuple[str, ...] = ()


def parser(command: Command, prefix: str) -> Parser:
    """Return the parser of one command, as one face spells it.

    Examples
    --------
    >>> parser(COMMANDS["rename"], "%session ").prog
    '%session rename'
    """
    made = Parser(prog=f"{prefix}{command.name}", description=command.help)
    made.accept(command.arguments)
    return made


def run_line(workspace: Workspace, line: str, *, face: Face, prefix: str) -> object:
    """Run one command as a person typed it.

    Parameters
    ----------
    workspace : Workspace
    line : str
        The command and its arguments; empty is `status`.
    face : {"magic", "cli", "chat", "http"}
    prefix : str
        How the face spells commands, for help and mistakes: ``"%session "``.

    Returns
    -------
    object
        A line of text to print, or an object to show.

    Raises
    ------
    InvalidInput, HelpShown, NbsessionsError

    Examples
    --------
    >>> from nbsessions.workspace import Settings, Workspace
    >>> run_line(Workspace(Settings(store="memory:")), "new plan", face="magic", prefix="%session ")
    "Started 'plan'."
    """
    words = split(line) or ["status"]
    if words[0] in ("--help", "-h"):
        return run_line(workspace, "help", face=face, prefix=prefix)
    command = find(words[0], face)
    values = vars(parser(command, prefix).parse(words[1:]))
    for argument in command.arguments:
        if argument.kind == "rest" and values[argument.key] is not None:
            text = " ".join(values[argument.key])
            values[argument.key] = text if text or argument.required else None
    return command.function(workspace, **values)


def spelled(text: str, prefix: str) -> str:
    """Return a message with the commands that it names as one face spells them.

    Examples
    --------
    >>> spelled("Cleared 2 messages. `undo` brings them back.", "%session ")
    'Cleared 2 messages. `%session undo` brings them back.'
    """
    return re.sub(r"`([a-z]+)(?=[` ])", lambda m: f"`{prefix if m[1] in COMMANDS else ''}{m[1]}", text)


def find(name: str, face: Face) -> Command:
    """Return the command of this name or alias, on this face.

    Raises
    ------
    InvalidInput
        Names the nearest one there is.

    Examples
    --------
    >>> find("laod", "magic")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: There is no command 'laod'. Did you mean 'load'? `help` lists them.
    """
    for command in on_face(face):
        if name == command.name or name in command.aliases:
            return command
    import difflib

    near = difflib.get_close_matches(name, [command.name for command in on_face(face)], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InvalidInput(f"There is no command {name!r}.{hint} `help` lists them.")


def on_face(face: Face) -> Iterator[Command]:
    """Yield the commands of a face, in the order of the table.

    Examples
    --------
    >>> next(on_face("magic")).name
    'status'
    """
    return (command for command in COMMANDS.values() if face in command.faces)


# What the commands do


def _status(workspace: Workspace) -> Card:
    from nbsessions.reprs import Card

    session = workspace.need_session()
    session.refresh()
    usage = session.usage
    rows = [
        ("id", session.session_id),
        *_agents(session),
        ("turns", f"{session.turn_count:,}"),
        ("messages", f"{session.message_count:,}"),
        ("created", _local(session.created_at)),
        ("last activity", _local(session.updated_at)),
        ("saved", _saved(session)),
        ("tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"),
        ("cost", _cost(session)),
    ]
    rows += [("tags", ", ".join(session.tags))] if session.tags else []
    pending = workspace.unanswered(session)
    if pending:
        rows.append(("not answered", f"the last prompt, {pending.status}: `%agent --retry` asks again"))
    rows.append(("store", workspace.store.url))
    return Card(session.name or "unnamed session", [(label, workspace.spell(text)) for label, text in rows])


def _agents(session: Session) -> list[tuple[str, str]]:
    last = next(iter(session.backend.runs(session.key, last=1)), None)
    model = f" ({last.model})" if last is not None and last.model else ""
    if last is None or last.agent_name == session.agent_name:
        return [("agent", session.agent_name + model)]
    return [("agent", session.agent_name), ("last asked", last.agent_name + model)]


def _saved(session: Session) -> str:
    if session.unsaved:
        return "no: an answer waits in this process, `save` tries again"
    if not session.saved:
        return "no: a draft, `save` keeps it"
    return "yes" if session.backend.persistent else "in memory only, until this process ends"


def _cost(session: Session) -> str:
    from nbsessions.reprs import money

    usage = session.usage
    if usage.cost is None:
        return "unknown" if usage.total_tokens else "none"
    unpriced = sum(
        run.usage.total_tokens for run in session.backend.runs(session.key) if run.usage.cost is None
    )
    return money(usage.cost) + (f", and {unpriced:,} tokens without a known price" if unpriced else "")


def _local(moment: Any) -> str:
    return str(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"))


def _new(workspace: Workspace, name: str | None) -> str:
    left = _leave(workspace)
    agent_name = workspace.adapter_name()
    session = workspace.create(name, agent_name)
    return f"Started {session.record.label!r}.{left}"


def _leave(workspace: Workspace) -> str:
    session = workspace.session
    if session is None:
        return ""
    kept = "stays" if session.saved or session.unsaved else "stays, with its unsaved draft"
    return f" {session.record.label!r} {kept}."


def _save(workspace: Workspace, name: str | None) -> str:
    left = workspace.save_left()
    if left and workspace.session is None and name is None:
        return "\n".join(left)
    session = workspace.need_session()
    session.save(name)
    turns = counted(session.turn_count, "turn")
    saved = f"Saved {session.record.label!r}: {turns}, {counted(session.message_count, 'message')}."
    return "\n".join([*left, session.notice or saved])


def _load(workspace: Workspace, ref: str | None, draft: bool, create: bool) -> str:
    current = workspace.session
    if create:
        if ref is None or ref == "latest":
            raise InvalidInput("--create needs a name: what to load, or to start where there is none.")
        try:
            workspace.resume(ref)
        except SessionNotFound:
            return _new(workspace, ref)
    if draft and ref is None and current is not None:
        session = workspace.resume(current.session_id, conversation_id=current.conversation_id, draft=True)
    else:
        session = workspace.resume(ref or "latest", notebook=workspace.notebook(), draft=draft)
    if draft and session.record.draft is None:
        raise InvalidInput(f"{session.record.label!r} has no draft: all of it is saved.")
    left = "" if workspace.session is None or workspace.session.key == session.key else _leave(workspace)
    workspace.switch(session, "load")
    turns = counted(session.turn_count, "turn")
    last = _local(session.updated_at)
    messages = counted(session.message_count, "message")
    loaded = f"Loaded {session.record.label!r}: {turns}, {messages}, last at {last}.{left}"
    return "\n".join([loaded, *workspace.left_over(session)])


def _history(workspace: Workspace, limit: int, tag: str | None, agent: str | None) -> pd.DataFrame:
    from nbsessions.frames import SESSIONS, frame

    return frame(SESSIONS, workspace.store.list(limit, tag=tag, agent_name=agent))


def _show(workspace: Workspace, ref: str | None) -> Conversation:
    from nbsessions.reprs import Conversation

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    run = workspace.unanswered(session)
    pending = (run.status, _unanswered(session, run)) if run is not None else None
    return Conversation(session.record.label, session.messages, pending=pending)


def _unanswered(session: Session, run: Run) -> list[Message]:
    """Return the prompt of a run that gave no answer, and what it said of one."""
    from nbsessions.records import Message

    events = session.run_events(run.run_id)
    text = "".join(event.data["delta"] for event in events if event.type == "TEXT_MESSAGE_CONTENT")
    said = [Message(role="assistant", content=text)] if text else []
    return [Message(role="user", content=run.prompt), *said]


def _fork(workspace: Workspace, name: str | None, at: str | None) -> str:
    session = workspace.need_session()
    fork = session.fork(name, None if at is None else _place(at))
    workspace.switch(fork, "fork")
    return (
        f"Now on {fork.record.label!r}: {counted(fork.message_count, 'message')} of {session.record.label!r}."
    )


def _place(text: str) -> int | str:
    """Return a place as a person types it: a number of messages, or what a checkpoint is called."""
    try:
        return int(text)
    except ValueError:
        return text


def _rewind(workspace: Workspace, to: str) -> str:
    session = workspace.need_session()
    before, head = session.message_count, session.head
    session.rewind(_place(to))
    if session.notice:
        return session.notice
    here = counted(session.message_count, "message")
    if session.head == head:
        return f"Nothing to rewind: {session.record.label!r} has {here}."
    if isinstance(_place(to), str):
        return f"Now at {to!r}: {here}. `undo` leads back to {counted(before, 'message')}."
    return f"Kept the first {here}. `undo` brings {before - session.message_count:,} back."


def _checkpoint(workspace: Workspace, name: str | None) -> str:
    made = workspace.need_session().checkpoint(name)
    return f"Checkpoint {made.name!r} after {counted(made.message_count, 'message')}."


def _checkpoints(workspace: Workspace, ref: str | None) -> pd.DataFrame:
    from nbsessions.frames import CHECKPOINTS, frame

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return frame(CHECKPOINTS, session.checkpoints())


def _branches(workspace: Workspace, ref: str | None) -> pd.DataFrame:
    from nbsessions.frames import SESSIONS, frame

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return frame(SESSIONS, session.branches())


def _tree(workspace: Workspace, ref: str | None) -> str:
    from nbsessions.trees import tree

    return tree(workspace.need_session() if ref is None else workspace.resume(ref))


def _redact(workspace: Workspace, number: int, confirm: bool) -> str:
    session = workspace.need_session()
    if not 1 <= number <= session.message_count:
        count = counted(session.message_count, "message")
        raise InvalidInput(f"There is no message {number}: {session.record.label!r} has {count}.")
    if not confirm:
        message = session.messages[number - 1]
        raise InvalidInput(
            f"This removes what message {number} ({message.role}: {one_line(message.text, 60)!r}) says, for "
            f"good, in all sessions that have it. Say `redact {number} --confirm` to do it."
        )
    session.redact(number - 1)
    return f"Redacted message {number} of {session.record.label!r}."


def _undo(workspace: Workspace) -> str:
    undone = workspace.undo()
    session = workspace.need_session()
    if session.notice:
        return session.notice
    return f"Took back: {undone}. {session.record.label!r} has {counted(session.message_count, 'message')}."


def _rename(workspace: Workspace, name: str) -> str:
    session = workspace.need_session()
    before = session.record.label
    session.rename(name)
    return f"Renamed {before!r} to {name!r}."


def _tag(workspace: Workspace, tags: list[str]) -> str:
    session = workspace.need_session()
    session.tag(*tags)
    return f"Tags of {session.record.label!r}: {', '.join(session.tags)}."


def _untag(workspace: Workspace, tags: list[str]) -> str:
    session = workspace.need_session()
    session.untag(*tags)
    return f"Tags of {session.record.label!r}: {', '.join(session.tags) or 'none'}."


def _runs(workspace: Workspace, ref: str | None) -> pd.DataFrame:
    from nbsessions.frames import RUNS, frame

    session = workspace.need_session() if ref is None else workspace.resume(ref)
    return frame(RUNS, session.runs())


def _replay(workspace: Workspace, run: str, speed: str) -> None:
    from nbsessions.replaying import replay

    session = workspace._open()
    found = workspace.store.run(run, within=session)
    label = workspace.store.backend.get(Key.of(found))
    replay(
        found,
        lambda after, limit: workspace.store.events(found.run_id, after=after, limit=limit),
        speed=_speed(speed),
        label="" if label is None else label.label,
    )


def _speed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"The speed must be a number, not {text!r}: 2 is twice as fast.") from None


def _search(
    workspace: Workspace, text: list[str], limit: int, agent: str | None, tag: str | None, role: str | None
) -> pd.DataFrame:
    from nbsessions.frames import HITS, frame

    # What was in quotes came without them, and is a phrase.
    query = " ".join(f'"{word}"' if " " in word else word for word in text)
    return frame(HITS, workspace.store.search(query, limit, agent_name=agent, tag=tag, role=role))


def _prune(
    workspace: Workspace,
    older_than: str | None,
    keep: int | None,
    empty: bool,
    keep_tag: str | None,
    dry_run: bool,
) -> str:
    gone = workspace.store.prune(
        older_than=older_than,
        keep=keep,
        empty=empty,
        keep_tags=[] if keep_tag is None else [keep_tag],
        dry_run=dry_run,
    )
    workspace.forget_deleted()
    names = ", ".join(repr(record.label) for record in gone[:10]) + (", ..." if len(gone) > 10 else "")
    done = "Would delete" if dry_run else "Deleted"
    return f"{done} {counted(len(gone), 'session')}{f': {names}' if gone else ''}."


def _gc(workspace: Workspace) -> str:
    return f"Removed {counted(workspace.store.gc(), 'turn')} that nothing reached."


def _verify(workspace: Workspace) -> str:
    return str(workspace.store.verify())


def _backup(workspace: Workspace, path: str) -> str:
    return f"Backed up to {workspace.store.backup(os.path.expandvars(path))}"


def _clear(workspace: Workspace, all: bool, confirm: bool) -> str:
    if not all:
        session = workspace.need_session()
        before = session.message_count
        session.clear_history()
        kept = f" {counted(session.message_count, 'system message')} kept." if session.message_count else ""
        return (
            session.notice
            or f"Cleared {counted(before - session.message_count, 'message')}.{kept} `undo` brings them back."
        )
    agent_name = workspace.adapter_name()
    if not confirm:
        records = workspace.store.list(None, agent_name=agent_name)
        labels = [record.label for record in records if record.owner == workspace.store.owner]
        if not labels:
            raise InvalidInput(f"There is no session that you began with {agent_name!r}: nothing to delete.")
        shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        raise InvalidInput(
            f"This deletes {counted(len(labels), 'session')} that you began with {agent_name!r}, for good: "
            f"{shown}. Say `clear --all --confirm` to do it."
        )
    count = workspace.store.clear(agent_name, confirm=True)
    workspace.forget_deleted()
    return f"Deleted {counted(count, 'session')} with {agent_name!r}."


def _delete(workspace: Workspace, refs: list[str]) -> str:
    store = workspace.store
    agent_name = workspace.adapter_name()
    records = [store.record(ref, agent_name=agent_name, exact=True) for ref in refs]
    found = {record.session_id: record for record in records}
    store.delete_all(list(found.values()))
    workspace.forget_deleted()
    return f"Deleted {', '.join(repr(record.label) for record in found.values())}."


def _store(workspace: Workspace, url: str | None) -> str:
    if url is None:
        return f"The store is {workspace.store.url}"
    workspace.use_store(os.path.expandvars(url))
    return f"The store is now {workspace.store.url}. There is no current session: `new` or `load`."


def _autosave(workspace: Workspace, switch: str | None) -> str:
    settings, session = workspace.settings, workspace.session
    if switch is not None:
        workspace.set("autosave", switch == "on")
        workspace.remember("autosave", switch == "on")
        if session is not None and settings.autosave:
            session.save()
            if session.notice:
                return f"Auto-save is on. {session.notice}"
    if settings.autosave:
        return "Auto-save is on: every turn is saved when it is answered."
    return "Auto-save is off: turns go to a draft, `save` keeps them."


def _help(
    workspace: Workspace, command: str | None, *, face: Face = "magic", prefix: str = "%session "
) -> str:
    if command is not None:
        return parser(find(command, face), prefix).format_help().strip()
    lines = [_help_line(f"  {prefix}{_synopsis(each)}", each.help) for each in on_face(face)]
    return "\n".join(["Commands:", *lines, f"  {prefix}COMMAND --help"])


def _help_line(synopsis: str, text: str) -> str:
    # What is too long for its column gets a line of its own.
    lead = f"{synopsis}\n" if len(synopsis) > _SYNOPSIS else synopsis
    return f"{lead}{'' if lead == synopsis else ' ' * _SYNOPSIS}{' ' * (_SYNOPSIS - len(synopsis))}  {text}"


def _synopsis(command: Command) -> str:
    parts = [command.name]
    for argument in command.arguments:
        text = argument.name if argument.name.startswith("-") else argument.name.upper()
        if argument.choices:
            choices = "|".join(argument.choices)
            text = f"{text} {choices}" if text.startswith("-") else choices
        elif text.startswith("-") and argument.kind != "flag":
            text += " N" if argument.kind == "number" else f" {argument.key.upper()}"
        text += "..." if argument.kind == "words" else ""
        parts.append(text if argument.required else f"[{text}]")
    return " ".join(parts)


_NAME = Argument(name="name", help="a name, unique for this agent", kind="rest")
_SESSION = Argument(
    name="ref", help="an id, a name, a part of an id, or latest", kind="rest", completes="session"
)
_TAGS = Argument(name="tags", help="one or more tags", kind="words", required=True, completes="tag")

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Show the current session: id, turns, tokens, cost, saved or not.", _status),
        Command("new", "Start a session; the old one stays.", _new, (_NAME,)),
        Command("save", "Make the session durable now, and name it.", _save, (_NAME,)),
        Command(
            "load",
            "Resume a session by id, part of an id, name, or latest.",
            _load,
            (
                _SESSION,
                Argument(name="--draft", help="go on from its unsaved draft", kind="flag"),
                Argument(name="--create", help="start one of this name where there is none", kind="flag"),
            ),
            aliases=("resume",),
        ),
        Command(
            "history",
            "List sessions, newest first, as a DataFrame.",
            _history,
            (
                Argument(name="limit", help="how many (20)", kind="number", default=20),
                Argument(name="--tag", help="only those with this tag", completes="tag"),
                Argument(name="--agent", help="only those begun with this agent", completes="agent_name"),
            ),
            aliases=("list", "ls", "sessions"),
        ),
        Command("show", "Show the messages of a session.", _show, (_SESSION,)),
        Command(
            "fork",
            "Start a new session from here, or from message N.",
            _fork,
            (
                _NAME,
                Argument(name="--at", help="a number of messages, or a checkpoint", completes="checkpoint"),
            ),
        ),
        Command(
            "rewind",
            "Keep the first N messages, or go to a checkpoint; nothing is deleted.",
            _rewind,
            (
                Argument(
                    name="to",
                    help="how many messages to keep, or the name of a checkpoint",
                    kind="rest",
                    required=True,
                    completes="checkpoint",
                ),
            ),
        ),
        Command("undo", "Take back the last turn, rewind, clear or load.", _undo),
        Command("checkpoint", "Name this point, to come back to it.", _checkpoint, (_NAME,)),
        Command("checkpoints", "List a session's checkpoints as a DataFrame.", _checkpoints, (_SESSION,)),
        Command("branches", "List the forks of a session as a DataFrame.", _branches, (_SESSION,)),
        Command("tree", "Draw a session with its forks and checkpoints.", _tree, (_SESSION,)),
        Command(
            "rename",
            "Give the current session another name.",
            _rename,
            (Argument(name="name", help="the new name", kind="rest", required=True),),
        ),
        Command("tag", "Add tags to the current session.", _tag, (_TAGS,)),
        Command("untag", "Take tags off the current session.", _untag, (_TAGS,)),
        Command("runs", "List a session's runs, failed ones included, as a DataFrame.", _runs, (_SESSION,)),
        Command(
            "replay",
            "Show a run again, event by event.",
            _replay,
            (
                Argument(name="run", help="its id, or the end of it", required=True, completes="run"),
                Argument(name="--speed", help="how much faster than it was (1); 0: at once", default="1"),
            ),
            faces=LOCAL,
        ),
        Command(
            "search",
            "Find messages by their words, best first, as a DataFrame.",
            _search,
            (
                Argument(name="text", help='words, "a phrase", begin*', kind="words", required=True),
                Argument(name="--limit", help="how many (20)", kind="number", default=20),
                Argument(name="--agent", help="only in sessions with this agent", completes="agent_name"),
                Argument(name="--tag", help="only in sessions with this tag", completes="tag"),
                Argument(
                    name="--role",
                    help="only what this role said",
                    choices=("user", "assistant", "tool", "system"),
                ),
            ),
        ),
        Command(
            "redact",
            "Remove what one message says, for good.",
            _redact,
            (
                Argument(name="number", help="which message, as `show` counts", kind="number", required=True),
                Argument(name="--confirm", help="yes, remove it", kind="flag"),
            ),
        ),
        Command(
            "clear",
            "Empty the current session but for its system messages.",
            _clear,
            (
                Argument(name="--all", help="delete all sessions of this agent instead", kind="flag"),
                Argument(name="--confirm", help="yes, delete them", kind="flag"),
            ),
        ),
        Command(
            "delete",
            "Delete sessions, by exact id or name.",
            _delete,
            (
                Argument(
                    name="refs", help="exact ids or names", kind="words", required=True, completes="session"
                ),
            ),
        ),
        Command(
            "prune",
            "Delete sessions by age, by number, or empty ones.",
            _prune,
            (
                Argument(name="--older-than", help="last changed longer ago: 30d, 12h, 2w"),
                Argument(name="--keep", help="keep the newest N", kind="number"),
                Argument(name="--empty", help="only those without messages", kind="flag"),
                Argument(name="--keep-tag", help="keep those with this tag", completes="tag"),
                Argument(name="--dry-run", help="only say which", kind="flag"),
            ),
        ),
        Command("gc", "Remove from the disk what deleted sessions said.", _gc),
        Command("verify", "Check that every turn is what was written.", _verify),
        Command(
            "backup",
            "Write the whole store into a new file.",
            _backup,
            (Argument(name="path", help="the new file", kind="rest", required=True),),
            faces=LOCAL,
        ),
        Command(
            "store",
            "Show where sessions live, or go elsewhere.",
            _store,
            (Argument(name="url", help="a path, memory:, sqlite:///PATH"),),
            faces=LOCAL,
        ),
        Command(
            "autosave",
            "Save every turn as it is answered, or only on `save`.",
            _autosave,
            (Argument(name="switch", help="on or off", choices=("on", "off")),),
        ),
        Command(
            "help",
            "List the commands, or explain one.",
            _help,
            (Argument(name="command", help="a command", completes="command"),),
        ),
    )
}
