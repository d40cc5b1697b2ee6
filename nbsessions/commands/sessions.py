"""Commands about sessions: list, show, name, empty, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions import listings
from nbsessions.arguments import Argument
from nbsessions.commands.base import SESSION, Command, Face, meant
from nbsessions.commands.widgets import table
from nbsessions.exceptions import InvalidInput
from nbsessions.listings import Told
from nbsessions.text import counted

_NOTEBOOK: frozenset[Face] = frozenset({"magic"})

if TYPE_CHECKING:
    from nbsessions.listings import Listing
    from nbsessions.records import Message, Run
    from nbsessions.reprs import Conversation
    from nbsessions.session import Session
    from nbsessions.widgets.table import HistoryTable
    from nbsessions.workspace import Workspace


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
        raise InvalidInput("--a2a lists all conversations, and has no widget: leave the other option out.")
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
    run = workspace.unanswered(session) or workspace.suspended(session)
    pending = (run.status, _unanswered(session, run)) if run is not None else None
    workspace.notes += workspace.waits(session)
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
