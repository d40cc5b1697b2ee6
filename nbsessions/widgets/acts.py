"""What can be done with one session of a list, and what is asked before it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nbsessions import formats
from nbsessions.bulk import changing, deleting
from nbsessions.exceptions import SessionNotFound
from nbsessions.stores.base import Key
from nbsessions.text import counted, one_line
from nbsessions.transfers.exporting import file_name
from nbsessions.widgets.live import report_line

if TYPE_CHECKING:
    from nbsessions.bulk.reports import Report
    from nbsessions.records import SessionRecord
    from nbsessions.session import Session
    from nbsessions.store import Store


class Done(NamedTuple):
    """What was done.

    Attributes
    ----------
    text : str
    report : Report or None
        Takes it back.
    newest : SessionRecord or None
        What to look at next: it has just changed, and so is the newest.
    """

    text: str
    report: Report | None = None
    newest: SessionRecord | None = None


class Act(NamedTuple):
    """A question, and what follows when it is answered.

    Attributes
    ----------
    question : str
    value : str or None
        What may be meant; None: the answer is yes or no.
    do : callable
        Takes a text.
    """

    question: str
    value: str | None
    do: Callable[[str], Done]


def act_on(store: Store, record: SessionRecord, name: str) -> Act:
    """Return what a button does with a session, and with no other, whatever is looked at meanwhile.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> act = act_on(store, store.create("plan").record, "Rename")
    >>> act.question, act.value
    ("Rename 'plan' to", 'plan')
    >>> act.do("essay").text
    "Renamed 1 session: 'plan' to 'essay'."
    """
    called = repr(one_line(record.label, 60))
    acts = {
        "Fork": Act(f"Fork {called} as", f"{record.label} (fork)", lambda text: _fork(store, record, text)),
        "Rename": Act(f"Rename {called} to", record.name or "", lambda text: _rename(store, record, text)),
        "Tag": Act(f"Tag {called} with", "", lambda text: _tag(store, record, text)),
        "Checkpoint": Act(f"Name this point of {called}", "", lambda text: _checkpoint(store, record, text)),
        "Export": Act(f"Export {called} to", _file(record), lambda text: _export(store, record, text)),
        "Delete": Act(f"Delete {called} for good?", None, lambda text: _delete(store, record)),
    }
    return acts[name]


def _file(record: SessionRecord) -> str:
    return file_name(record, formats.find("notebook"))


def opened(resume: Callable[..., Session], record: SessionRecord) -> Session:
    """Return the session of a record, by the `resume` of a store or a workspace.

    Raises
    ------
    SessionNotFound
        It was deleted meanwhile.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> opened(store.resume, store.create("plan").record).name
    'plan'
    """
    try:
        return resume(record.session_id, conversation_id=record.conversation_id)
    except SessionNotFound:
        # A person knows it by its name.
        raise SessionNotFound(record.label, deleted=True) from None


def _fork(store: Store, record: SessionRecord, name: str) -> Done:
    # What was offered is numbered where there is one already.
    fork = opened(store.resume, record).fork(None if name in ("", f"{record.name} (fork)") else name)
    messages = counted(fork.message_count, "message")
    return Done(f"Made {fork.record.label!r}: {messages} of {record.label!r}.", newest=fork.record)


def _rename(store: Store, record: SessionRecord, name: str) -> Done:
    report = changing.rename(store, [record], {Key.of(record): name})
    return Done(report_line(report), report, record)


def _tag(store: Store, record: SessionRecord, text: str) -> Done:
    report = changing.tag(store, [record], [tag.strip() for tag in text.split(",") if tag.strip()])
    return Done(report_line(report), report, record)


def _checkpoint(store: Store, record: SessionRecord, name: str) -> Done:
    made = opened(store.resume, record).checkpoint(name or None)
    return Done(f"Checkpoint {made.name!r} after {counted(made.message_count, 'message')}.")


def _export(store: Store, record: SessionRecord, path: str) -> Done:
    return Done(f"Exported to {store.export(record, path)}.")


def _delete(store: Store, record: SessionRecord) -> Done:
    report = deleting.delete(store, [record])
    return Done(report_line(report), report)
