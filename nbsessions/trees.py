"""A session with its forks and checkpoints, drawn as a tree of text."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import StoreError
from nbsessions.families import forks, is_called, root
from nbsessions.hashes import is_intact
from nbsessions.records import Checkpoint, Head, SessionRecord, Step, Turn
from nbsessions.stores.base import Backend, Key
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from rich.tree import Tree

    from nbsessions.session import Session

_PROMPTS = 12
"""So many of a session's last prompts are drawn; of more, how many there are."""
_LEFT = 5
_WIDTH = 10_000
"""Nothing is cut: what is long was made short before."""


class _Row(NamedTuple):
    """One line below a session, at so many messages; what stands there comes before what goes off."""

    messages: int
    order: int
    text: str
    fork: SessionRecord | None = None


def tree(session: Session, here: Key | None = None) -> str:
    """Return the whole family of a session: where it was forked from, and all that was forked from that.

    Lines that this session has left are drawn where it left them, the last five: ``rewind`` goes back to
    one by the end of its id. Numbers are those of messages: ``rewind 4`` keeps the first four, and stands
    where a checkpoint or a fork ``at 4`` is.

    Parameters
    ----------
    session : Session
    here : Key or None
        Which session is the current one. None: this one.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Where do owls live?"})
    >>> _ = session.checkpoint("before"), session.fork("other")
    >>> print(tree(session))
    plan · 1 message · you are here
    ├── 1 Where do owls live?
    ├── 1 ◆ before
    └── 1 ↳ other · 1 message
    """
    from rich.console import Console

    family = _Family(session, here or session.key)
    console = Console(file=StringIO(), width=_WIDTH, color_system=None, force_jupyter=False)
    with console.capture() as capture:
        console.print(family.draw(), highlight=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


class _Family:
    """The sessions that hang together by forks, with all that is to be drawn of them."""

    def __init__(self, session: Session, here: Key) -> None:
        self._backend, self._here = session.backend, here
        self._root = root(self._backend, session.record)
        self._forks = forks(self._backend, self._root)
        records = [self._root, *chain.from_iterable(self._forks.values())]
        self._checkpoints = {one.session_id: self._own_checkpoints(one) for one in records}
        self._origins = {one.session_id: self._backend.origin(Key.of(one)).head for one in records[1:]}
        self._draws = {Key.of(session.record): (session.head, session.message_count)}
        tips = {one.head.turn_id for one in records} | {head.turn_id for head in self._origins.values()}
        tips |= {made.head.turn_id for several in self._checkpoints.values() for made in several}
        tips |= {session.head.turn_id}
        self._left = {session.key: self._backend.log(session.key)}
        tips |= {entry.head.turn_id for entry in self._left[session.key]}
        self._steps = self._backend.ancestors([tip for tip in tips if tip is not None])

    def _own_checkpoints(self, record: SessionRecord) -> list[Checkpoint]:
        found = self._backend.checkpoints(Key.of(record), None)
        return [one for one in found if one.session_id == record.session_id]

    def draw(self) -> Tree:
        """Return the tree, from the eldest session that there is."""
        from rich.text import Text
        from rich.tree import Tree

        above, how = self._root.parent_session_id, "asked by" if is_called(self._root) else "from"
        gone = "" if is_called(self._root) else ", deleted"
        top = Tree(Text(self._label(self._root) + (f" · {how} {above[-8:]}{gone}" if above else "")))
        self._grow(top, self._root, None)
        return top

    def _label(self, record: SessionRecord) -> str:
        head, count = self._stand(record)
        here = " · you are here" if Key.of(record) == self._here else ""
        draft = " · with an unsaved draft" if record.draft is not None and head != record.draft else ""
        return f"{one_line(record.label, 60)} · {counted(count, 'message')}{draft}{here}"

    def _stand(self, record: SessionRecord) -> tuple[Head, int]:
        return self._draws.get(Key.of(record), (record.head, record.message_count))

    def _grow(self, node: Tree, record: SessionRecord, parent: SessionRecord | None) -> None:
        from rich.text import Text

        begun = 0 if parent is None else self._messages(self._origins[record.session_id])
        own = (self._prompts(record, begun), self._marks(record), self._lines_left(record))
        for row in sorted([*chain(*own), *self._leaving(record)], key=lambda row: row[:3]):
            child = node.add(Text(row.text, no_wrap=True))
            if row.fork is not None:
                self._grow(child, row.fork, record)

    def _prompts(self, record: SessionRecord, begun: int) -> list[_Row]:
        head, count = self._stand(record)
        try:
            found = _asked(self._backend, head, count, begun)
        except StoreError as error:
            return [_Row(count, 0, f"  {one_line(str(error), 90)}")]
        rows = [_Row(number, 0, f"{number} {one_line(text, 70)}") for number, text in found[-_PROMPTS:]]
        more = len(found) - len(rows)
        return ([_Row(rows[0].messages, -1, f"… {counted(more, 'earlier prompt')}")] if more else []) + rows

    def _marks(self, record: SessionRecord) -> list[_Row]:
        rows = []
        for made in reversed(self._checkpoints[record.session_id]):
            at, left = self._place(record, made.head, made.message_count)
            text = f"{made.message_count} ◆ {one_line(made.name, 60)}"
            rows.append(_Row(at, 1, text + (f" · on a line that was left at {at}" if left else "")))
        return rows

    def _leaving(self, record: SessionRecord) -> list[_Row]:
        rows = []
        for fork in self._forks[Key.of(record)]:
            origin = self._origins[fork.session_id]
            at, left = self._place(record, origin, self._messages(origin))
            where = f"{self._messages(origin)} ↳ {self._label(fork)}"
            rows.append(_Row(at, 2, where + (f" · from a line that was left at {at}" if left else ""), fork))
        return rows

    def _lines_left(self, record: SessionRecord) -> list[_Row]:
        """Return the ends of lines that a session has left, but for those that have a name."""
        named = {made.head.turn_id for made in self._checkpoints[record.session_id]}
        named |= {self._origins[fork.session_id].turn_id for fork in self._forks[Key.of(record)]}
        named |= {None if record.draft is None else record.draft.turn_id}
        covered = self._line(self._stand(record)[0])
        for turn_id in named - {None}:
            covered |= self._line(Head(turn_id))
        rows: list[_Row] = []
        # The newest come first, and an older one that lies on the way to one of them is no end.
        for entry in sorted(self._left.get(Key.of(record), []), key=lambda one: -one.message_count):
            turn_id = entry.head.turn_id
            if turn_id is None or turn_id in covered or turn_id not in self._steps:
                continue
            covered |= self._line(entry.head)
            at, _ = self._place(record, entry.head, entry.message_count)
            asked = _asked(self._backend, entry.head, entry.message_count, at)
            said = f" · {one_line(asked[-1][1], 50)}" if asked else ""
            rows.append(_Row(at, 1, f"{entry.message_count} ✂ {turn_id[-8:]}{said} · left at {at}"))
        return rows[:_LEFT]

    def _place(self, record: SessionRecord, head: Head, messages: int) -> tuple[int, bool]:
        """Return where on the line of a session a head is or where, if it is not, its own line goes off."""
        line, count = self._stand(record)
        own = self._line(line)
        turn_id = head.turn_id
        while turn_id is not None and turn_id not in own:
            turn_id = self._steps[turn_id].parent_id if turn_id in self._steps else None
        shared = min(self._steps[turn_id].total_messages if turn_id else 0, count)
        return (messages, False) if turn_id == head.turn_id and messages <= count else (shared, True)

    def _line(self, head: Head) -> set[str]:
        found: set[str] = set()
        turn_id = head.turn_id
        while turn_id is not None and turn_id in self._steps and turn_id not in found:
            found.add(turn_id)
            turn_id = self._steps[turn_id].parent_id
        return found

    def _messages(self, head: Head) -> int:
        if head.turn_id is None or head.turn_id not in self._steps:
            return 0
        step: Step = self._steps[head.turn_id]
        return step.total_messages - (0 if head.keep is None else step.message_count - head.keep)


def _asked(backend: Backend, head: Head, count: int, begun: int) -> list[tuple[int, str]]:
    """Return the prompts of a session after its first so many messages, each with its number."""
    if head.turn_id is None or count <= begun:
        return []
    turns: Sequence[Turn] = backend.chain(head.turn_id, messages=count - begun)
    found: list[tuple[int, str]] = []
    for turn in turns:
        before = turn.total_messages - turn.message_count
        view = codec(turn.codec).view(turn.body) if is_intact(turn) else []
        found += [(before + n, m.text) for n, m in enumerate(view, 1) if is_prompt(m)]
    return [one for one in found if begun < one[0] <= count]
