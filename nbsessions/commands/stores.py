"""Commands about the whole store: prune, collect, verify, back up, choose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbsessions.arguments import Argument
from nbsessions.commands.base import LOCAL, Command
from nbsessions.text import counted

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace


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
            Argument(name="--older-than", help="last changed longer ago: 30d, 12h, 2w", value="AGE"),
            Argument(name="--keep", help="keep the newest N", kind="number"),
            Argument(name="--empty", help="only those without messages", kind="flag"),
            Argument(name="--keep-tag", help="keep those with this tag", completes="tag", value="TAG"),
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
)
