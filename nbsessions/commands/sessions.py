"""Commands about sessions: begin, save, load, list, name, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbsessions import listings
from nbsessions.arguments import Argument
from nbsessions.commands.base import NAME, SEATED, SESSION, Command, Face, meant
from nbsessions.commands.widgets import table
from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.listings import Told
from nbsessions.text import counted

_CALLED = 5
_NOTEBOOK: frozenset[Face] = frozenset({"magic"})

if TYPE_CHECKING:
    from nbsessions.listings import Listing
    from nbsessions.records import Message, Run, Usage
    from nbsessions.reprs import Card, Conversation
    from nbsessions.session import Session
    from nbsessions.widgets.table import HistoryTable
    from nbsessions.workspace import Workspace


def _status(workspace: Workspace, ref: str | None) -> Card:
    from nbsessions.reprs import Card

    session = meant(workspace, ref)
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
        ("cost", _cost(session.usage)),
    ]
    rows += _called(session)
    rows += [("tags", ", ".join(session.tags))] if session.tags else []
    pending = workspace.unanswered(session)
    if pending:
        rows.append(("not answered", f"the last prompt, {pending.status}: `%agent --retry` asks again"))
    rows += [("waits", text) for text in workspace.waits(session)]
    rows.append(("store", workspace.store.url))
    facts = {
        "session": session.record,
        "saved": session.saved and not session.unsaved,
        "unanswered": None if pending is None else pending.run_id,
        "waiting": [run.run_id for run in session.waiting()],
        "store": workspace.store.url,
    }
    told = [(label, workspace.spell(text)) for label, text in rows]
    return Card(session.name or "unnamed session", told, facts)


def _agents(session: Session) -> list[tuple[str, str]]:
    last = next(iter(session.backend.runs(session.key, last=1)), None)
    model = f" ({last.model})" if last is not None and last.model else ""
    if last is None or last.agent_name == session.agent_name:
        return [("agent", session.agent_name + model)]
    return [("agent", session.agent_name), ("last asked", last.agent_name + model)]


def _called(session: Session) -> list[tuple[str, str]]:
    """Return what the agents spent that this session's agent asked."""
    from nbsessions.families import called

    children = called(session.backend, session.record)
    rows = [
        (
            "asked" if not number else "",
            f"{child.label}: {counted(child.turn_count, 'turn')}, {child.total_tokens:,} tokens, "
            f"cost {_cost(child.usage)}",
        )
        for number, child in enumerate(children[:_CALLED])
    ]
    if len(children) > _CALLED:
        rows.append(("", f"and {len(children) - _CALLED:,} more: `history --a2a`"))
    if children:
        spent = sum((child.usage for child in children), session.usage)
        rows.append(("with all of them", f"{spent.total_tokens:,} tokens, cost {_cost(spent)}"))
    return rows


def _saved(session: Session) -> str:
    if session.unsaved:
        return "no: an answer waits in this process, `save` tries again"
    if not session.saved:
        return "no: a draft, `save` keeps it"
    return "yes" if session.backend.persistent else "in memory only, until this process ends"


def _cost(usage: Usage) -> str:
    from nbsessions.amounts import money

    if usage.cost is None:
        return "unknown" if usage.total_tokens else "none"
    unpriced = usage.unpriced_tokens
    return money(usage.cost) + (f", and {unpriced:,} tokens without a known price" if unpriced else "")


def _local(moment: Any) -> str:
    return str(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"))


def _new(workspace: Workspace, name: str | None) -> str:
    left = _leave(workspace)
    agent_name = workspace.adapter_name()
    session = workspace.create(name, agent_name)
    return f"Started {session.record.label!r}.{left}"


def _notebook_here(session_id: str) -> str | None:
    """Return the one notebook of this folder that carries a session; where it is run, it mostly lies."""
    from nbsessions.formats.notebook import carries

    found = [path for path in sorted(Path.cwd().glob("*.ipynb")) if carries(path, session_id)]
    return str(found[0]) if len(found) == 1 else None


def _leave(workspace: Workspace) -> str:
    session = workspace.session
    if session is None:
        return ""
    if not session.unsaved and session.backend.get(session.key) is None:
        return f" {session.record.label!r} was deleted, by you or another kernel."
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


def _load(
    workspace: Workspace,
    ref: str | None,
    draft: bool,
    create: bool,
    conversation: str | None,
    turn: str | None,
    or_import: bool,
) -> str:
    current = workspace.session
    came = ""
    if create:
        if ref is None or ref == "latest":
            raise InvalidInput("--create needs a name: what to load, or to start where there is none.")
        try:
            workspace.resume(ref)
        except SessionNotFound:
            return _new(workspace, ref)
    if turn is not None or or_import:
        workspace.is_missing = True
        came = _bring(workspace, ref, conversation, turn, or_import)
    if draft and ref is None and current is not None:
        session = workspace.resume(current.session_id, conversation_id=current.conversation_id, draft=True)
    else:
        notebook = workspace.notebook()
        session = workspace.resume(
            ref or "latest", conversation_id=conversation, notebook=notebook, draft=draft
        )
    if draft and session.record.draft is None:
        raise InvalidInput(f"{session.record.label!r} has no draft: all of it is saved.")
    left = "" if workspace.session is None or workspace.session.key == session.key else _leave(workspace)
    workspace.switch(session, "load")
    workspace.line, workspace.is_missing = turn, False
    turns = counted(session.turn_count, "turn")
    last = _local(session.updated_at)
    messages = counted(session.message_count, "message")
    loaded = f"{came}Loaded {session.record.label!r}: {turns}, {messages}, last at {last}.{left}"
    owner = session.owner
    theirs = (
        []
        if owner == workspace.store.owner
        else [f"It belongs to {owner!r}: read it, or `fork` it to go on."]
    )
    return "\n".join([loaded, *theirs, *workspace.left_over(session)])


def _bring(
    workspace: Workspace, ref: str | None, conversation: str | None, turn: str | None, or_import: bool
) -> str:
    """Import the session of this notebook where the store does not have it, or has less of it."""
    if ref is None:
        raise InvalidInput("--turn and --or-import need the session that is meant.")
    backend, there = workspace.store.backend, True
    try:
        workspace.resume(ref, conversation_id=conversation)
    except SessionNotFound:
        there = False
    if there and (turn is None or backend.turn(turn) is not None):
        return ""
    missing = f"turn {turn} of session {ref!r}" if there else f"session {ref!r}"
    if not or_import:
        raise InvalidInput(f"The store does not have {missing}.")
    notebook = workspace.notebook() or _notebook_here(ref)
    if notebook is None:
        raise InvalidInput(
            f"The store does not have {missing}, and it is not known where this notebook is saved: "
            "`import THIS.ipynb`, with its path, brings it."
        )
    report = workspace.store.import_(notebook, rename=True)
    if not len(report) and not report.present:
        raise InvalidInput(f"The store does not have {missing}, and {notebook} carries no session {ref!r}.")
    brought = ", ".join(repr(record.label) for record in report)
    return f"Imported {brought} from this notebook. " if brought else ""


def _history(
    workspace: Workspace,
    limit: int,
    tag: str | None,
    agent: str | None,
    conversation: str | None,
    a2a: bool,
    widget: bool,
) -> Listing | HistoryTable:
    if a2a and (conversation is not None or widget):
        raise InvalidInput("--a2a lists all conversations, as a DataFrame: leave the other option out.")
    if widget:
        return table(workspace, limit, tag=tag, agent_name=agent, conversation_id=conversation)
    from nbsessions.stores.queries import Query
    from nbsessions.values import check_count

    store = workspace.store
    if a2a:
        query = Query(None, agent_name=agent, tag=tag, limit=check_count(limit, "limit"), called=True)
        return listings.sessions(store, lambda: store.backend.find(query))
    return listings.sessions(
        store, lambda: store.list(limit, tag=tag, agent_name=agent, conversation_id=conversation)
    )


def _show(workspace: Workspace, ref: str | None) -> Conversation:
    from nbsessions.reprs import Conversation

    session = meant(workspace, ref)
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


def _clear(workspace: Workspace, keep: int | None, all: bool, confirm: bool, conversation: str | None) -> str:
    if all and keep is not None:
        raise InvalidInput("--keep is for the messages of this session, and --all for all sessions: say one.")
    if conversation is not None and not all:
        raise InvalidInput("--conversation says which sessions --all deletes: say both.")
    if all:
        return _clear_all(workspace, confirm, conversation)
    session = workspace.need_session()
    before = session.message_count
    if before <= (keep or 0):
        return f"Nothing to clear: {session.record.label!r} has {counted(before, 'message')}."
    session.clear_history(keep_last=keep or 0)
    what = "message" if keep else "system message"
    kept = f" {counted(session.message_count, what)} kept." if session.message_count else ""
    return (
        session.notice
        or f"Cleared {counted(before - session.message_count, 'message')}.{kept} `undo` brings them back."
    )


def _clear_all(workspace: Workspace, confirm: bool, conversation: str | None) -> str:
    agent_name = workspace.adapter_name()
    within = "" if conversation is None else f" in the conversation {conversation!r}"
    if not confirm:
        found = workspace.store.would_clear(agent_name, conversation_id=conversation)
        if not found:
            raise InvalidInput(
                f"There is no session that you began with {agent_name!r}{within}: nothing to delete."
            )
        shown = ", ".join(one.label for one in found[:10]) + (", ..." if len(found) > 10 else "")
        said = "" if conversation is None else f" --conversation {conversation}"
        raise InvalidInput(
            f"This deletes {counted(len(found), 'session')} that you began with {agent_name!r}{within}, for "
            f"good: {shown}. Say `clear --all{said} --confirm` to do it."
        )
    count = workspace.store.clear(agent_name, confirm=True, conversation_id=conversation)
    workspace.forget_deleted()
    return f"Deleted {counted(count, 'session')} with {agent_name!r}{within}."


def _delete(workspace: Workspace, refs: list[str], conversation: str | None) -> str:
    from nbsessions.families import called

    store = workspace.store
    agent_name = workspace.adapter_name()
    records = [
        store.record(ref, conversation_id=conversation, agent_name=agent_name, exact=True) for ref in refs
    ]
    found = {record.session_id: record for record in records}
    store.delete_all(list(found.values()))
    workspace.forget_deleted()
    deleted = f"Deleted {', '.join(repr(record.label) for record in found.values())}."
    if any(called(store.backend, record) for record in found.values()):
        deleted += " What other agents were asked in it stays: `history --a2a`."
    return Told(deleted, sessions=list(found.values()))


_TAGS = Argument(
    name="tags", value="TAG", help="one or more tags", kind="words", required=True, completes="tag"
)


COMMANDS = (
    Command(
        "status",
        "Show a session: id, turns, tokens, cost, saved or not.",
        _status,
        (SESSION,),
    ),
    Command("new", "Start a session; all others stay.", _new, (NAME,)),
    Command("save", "Save the session now, and name it.", _save, (NAME,), on_session=True),
    Command(
        "load",
        "Resume a session by id, part of an id, name, or latest.",
        _load,
        (
            SESSION,
            Argument(name="--draft", help="go on from its unsaved draft", kind="flag"),
            Argument(name="--create", help="start one of this name where there is none", kind="flag"),
            Argument(name="--conversation", help="of this A2A conversation", value="ID"),
            Argument(name="--turn", help="only where this turn is in the store", value="ID", faces=_NOTEBOOK),
            Argument(
                name="--or-import", help="else import it from this notebook", kind="flag", faces=_NOTEBOOK
            ),
        ),
        faces=SEATED,
        aliases=("resume",),
    ),
    Command(
        "history",
        "List sessions, newest first.",
        _history,
        (
            Argument(name="limit", help="how many (20)", kind="number", default=20),
            Argument(name="--tag", help="only those with this tag", completes="tag"),
            Argument(name="--agent", help="only those begun with this agent", completes="agent_name"),
            Argument(name="--conversation", help="those of this A2A conversation, or * for all", value="ID"),
            Argument(name="--a2a", help="those in which one agent asked another", kind="flag"),
            Argument(
                name="--widget",
                help="all in a table to sort, search and select in",
                kind="flag",
                faces=_NOTEBOOK,
            ),
        ),
        aliases=("list", "ls", "sessions"),
    ),
    Command("show", "Show the messages of a session.", _show, (SESSION,)),
    Command(
        "rename",
        "Give the session another name.",
        _rename,
        (Argument(name="name", help="the new name", kind="rest", required=True),),
        on_session=True,
    ),
    Command("tag", "Add tags to the session.", _tag, (_TAGS,), on_session=True),
    Command("untag", "Remove tags from the session.", _untag, (_TAGS,), on_session=True),
    Command(
        "clear",
        "Empty the session but for its system messages.",
        _clear,
        (
            Argument(name="--keep", help="keep N messages: those of the system, and the last", kind="number"),
            Argument(name="--all", help="delete all sessions of this agent instead", kind="flag"),
            Argument(name="--confirm", help="yes, delete them", kind="flag"),
            Argument(name="--conversation", help="with --all: those of this A2A conversation", value="ID"),
        ),
        on_session=True,
    ),
    Command(
        "delete",
        "Delete sessions, by exact id or name.",
        _delete,
        (
            Argument(
                name="refs",
                value="REF",
                help="exact ids or names",
                kind="words",
                required=True,
                completes="session",
            ),
            Argument(name="--conversation", help="of this A2A conversation", value="ID"),
        ),
    ),
)
