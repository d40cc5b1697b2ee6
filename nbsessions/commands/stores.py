"""Commands about the whole store: prune, collect, verify, back up, choose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import LOCAL, SESSION, Command, Face
from nbsessions.exceptions import InvalidInput
from nbsessions.listings import Told
from nbsessions.text import counted

if TYPE_CHECKING:
    from nbsessions.transfers.reports import ImportReport
    from nbsessions.verifying import Verification
    from nbsessions.workspace import Workspace


_SEATED: frozenset[Face] = frozenset({"magic", "chat"})


def _prune(
    workspace: Workspace,
    older_than: str | None,
    keep: int | None,
    empty: bool,
    keep_tag: str | None,
    agent: str | None,
    dry_run: bool,
) -> str:
    gone = workspace.store.prune(
        older_than=older_than,
        keep=keep,
        empty=empty,
        keep_tags=[] if keep_tag is None else [keep_tag],
        agent_name=agent,
        dry_run=dry_run,
    )
    workspace.forget_deleted()
    names = ", ".join(repr(record.label) for record in gone[:10]) + (", ..." if len(gone) > 10 else "")
    done = "Would delete" if dry_run else "Deleted"
    text = f"{done} {counted(len(gone), 'session')}{f': {names}' if gone else ''}."
    return Told(text, sessions=list(gone))


def _gc(workspace: Workspace) -> str:
    removed = workspace.store.gc()
    return Told(f"Removed {counted(removed, 'turn')} that nothing reached.", turns=removed)


def _verify(workspace: Workspace) -> Verification:
    return workspace.store.verify()


def _backup(workspace: Workspace, path: str) -> str:
    written = workspace.store.backup(os.path.expandvars(path))
    return Told(f"Backed up to {written}", path=written)


def _import(workspace: Workspace, paths: list[str], format: str | None, rename: bool) -> ImportReport:
    given: list[str] | str = [os.path.expandvars(path) for path in paths]
    joined = " ".join(given)
    if len(given) == 1 or os.path.exists(os.path.expanduser(joined)):  # a name with spaces, without quotes
        given = joined
    try:
        return workspace.store.import_(given, format=format, rename=rename)
    except KeyboardInterrupt:
        text = "Stopped. The sessions that came are whole; `import` it again for the rest."
        raise InvalidInput(text) from None


def _formats(workspace: Workspace) -> str:
    from nbsessions.formats import all_formats

    lines = []
    for format in all_formats():
        how = " and ".join(
            word for word, does in (("import", format.read), ("export", format.write)) if does is not None
        )
        lines.append(f"{format.name} ({how}): {format.help}")
        lines += [f"  {', '.join(format.suffixes)}"] if format.suffixes else []
        lines += [f"  loses {format.loses.rstrip('.')}"] if format.loses and format.write is not None else []
    return "\n".join(lines)


def _export(
    workspace: Workspace, path: str, ref: str | None, all: bool, format: str | None, overwrite: bool
) -> str:
    store = workspace.store
    if all and ref is not None:
        raise InvalidInput("Name a session, or say --all; not both.")
    if all:
        records = [record for record in store.list(None, conversation_id="*") if record.owner == store.owner]
    elif ref is not None:
        records = [store.record(ref, agent_name=workspace.adapter_name())]
    else:
        records = [workspace.need_session().record]
    given = os.path.expandvars(path)
    written = store.export(records, given, format=format, overwrite=overwrite)
    what = repr(records[0].label) if len(records) == 1 else counted(len(records), "session")
    return Told(f"Exported {what} to {written}", path=written)


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


COMMANDS = (
    Command(
        "prune",
        "Delete sessions by age, by number, or empty ones.",
        _prune,
        (
            Argument(
                name="--older-than", help="last updated longer ago than this: 30d, 12h, 2w", value="AGE"
            ),
            Argument(name="--keep", help="keep the newest N", kind="number"),
            Argument(name="--empty", help="only those without messages", kind="flag"),
            Argument(name="--keep-tag", help="keep those with this tag", completes="tag", value="TAG"),
            Argument(name="--agent", help="only those begun with this agent", completes="agent_name"),
            Argument(name="--dry-run", help="only say which", kind="flag"),
        ),
    ),
    Command("gc", "Remove from the disk what deleted sessions said.", _gc, faces=LOCAL),
    Command("verify", "Check that every turn is what was written.", _verify, faces=LOCAL),
    Command(
        "backup",
        "Write the whole store into a new file.",
        _backup,
        (Argument(name="path", help="the new file", kind="rest", required=True, completes="path"),),
        faces=LOCAL,
    ),
    Command(
        "import",
        "Import sessions from files, folders or patterns, in any known format.",
        _import,
        (
            Argument(
                name="paths",
                value="PATH",
                help="files, folders, or patterns such as logs/*.jsonl",
                kind="words",
                required=True,
                completes="path",
            ),
            Argument(name="--format", help="its format, where that is not recognised", completes="format"),
            Argument(name="--rename", help="number a name that is taken: plan (2)", kind="flag"),
        ),
        faces=LOCAL,
    ),
    Command("formats", "List the formats of files that can be imported and exported.", _formats),
    Command(
        "export",
        "Write a session into a file, in the format of its suffix.",
        _export,
        (
            Argument(name="path", help="the new file, or a folder", required=True, completes="path"),
            SESSION,
            Argument(name="--all", help="all of your sessions", kind="flag"),
            Argument(name="--format", help="in this format, whatever the suffix", completes="format"),
            Argument(name="--overwrite", help="replace a file that is there", kind="flag"),
        ),
        faces=LOCAL,
    ),
    Command(
        "store",
        "Show where sessions live, or go to another store.",
        _store,
        (Argument(name="url", help="a path, memory:, file:FOLDER, sqlite:///PATH", faces=_SEATED),),
        faces=LOCAL,
    ),
    Command(
        "autosave",
        "Save every turn as it is answered, or only on `save`.",
        _autosave,
        (Argument(name="switch", help="on or off", choices=("on", "off")),),
        faces=frozenset({"magic", "chat"}),
    ),
)
