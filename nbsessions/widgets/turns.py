"""A conversation as a view reads it: a page of its turns, what each took, and where others went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbsessions import chains
from nbsessions.exceptions import DamagedTurn, NbsessionsError
from nbsessions.families import Line, Lines
from nbsessions.hashes import is_intact
from nbsessions.records import Message, Run, SessionRecord, Turn
from nbsessions.reprs import footer_text
from nbsessions.stores.base import Backend, Key

_MESSAGES = 8
"""A turn has so many messages, mostly: so many are asked for, to have a page of turns."""
_CHARACTERS = 200_000
"""A page holds fewer turns where these are long; one it always holds."""
_RECENT = 100


class Shown(NamedTuple):
    """A turn as it is shown.

    Attributes
    ----------
    turn_id : str
    first : int
        The number of its first message, as `rewind` counts.
    messages : sequence of Message
        Those that are on the line.
    took : str
        Tokens, cost, seconds and model, for people; empty where no run made it.
    ways : list of str
        The turns that follow the same one, itself among them: the conversation went each of these ways.
    wrong : str
        Why it cannot be read; empty: it can.
    """

    turn_id: str
    first: int
    messages: Sequence[Message]
    took: str
    ways: list[str]
    wrong: str


class Turns:
    """Reads the turns of one session's family from a store.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> turns = Turns(session.backend)
    >>> line = Line(session.head, session.message_count, session.record)
    >>> [(shown.first, [message.text for message in shown.messages]) for shown in turns.page(line, None, 20)]
    [(1, ['Hello', 'Hi'])]
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._runs: dict[str, Run | None] = {}

    def page(self, line: Line, top: str | None, size: int) -> list[Shown]:
        """Return up to so many turns of a line, oldest first, up to its end or to the turn `top`."""
        end = top or line.head.turn_id
        if end is None:
            return []
        turns = _fitting(self._backend.chain(end, messages=size * _MESSAGES)[-size:])
        # What follows the turn before the page, too, is a way of its first turn.
        lines = Lines(self._backend, line.session, above=turns[0].total_messages - turns[0].message_count - 1)
        self._find_runs(line.session, turns)
        return [self._shown(turn, line, lines) for turn in turns]

    def _shown(self, turn: Turn, line: Line, lines: Lines) -> Shown:
        messages: Sequence[Message] = ()
        wrong = ""
        try:
            if not is_intact(turn):
                raise DamagedTurn(turn.turn_id)
            messages = chains.read(turn.codec, turn.body)
        except NbsessionsError as error:
            wrong = str(error)
        if turn.turn_id == line.head.turn_id:
            messages = messages[: line.head.keep]
        run = self._runs.get(turn.turn_id)
        first = turn.total_messages - turn.message_count + 1
        return Shown(
            turn.turn_id, first, messages, _took(run) if run else "", lines.ways(turn.turn_id), wrong
        )

    def _find_runs(self, record: SessionRecord, turns: Sequence[Turn]) -> None:
        """Look for the runs that committed turns: of this session, then of those it was forked from."""
        shown = {turn.turn_id for turn in turns}
        self._runs = {turn_id: run for turn_id, run in self._runs.items() if turn_id in shown}
        wanted = shown - self._runs.keys()
        seen: set[str] = set()
        one: SessionRecord | None = record
        while one is not None and one.session_id not in seen and wanted:
            seen.add(one.session_id)
            for last in (_RECENT, None):
                runs = self._backend.runs(Key.of(one), last=last)
                found = {run.turn_id: run for run in runs}
                self._runs |= {turn_id: found[turn_id] for turn_id in wanted & found.keys()}
                wanted -= found.keys()
                if not wanted or len(runs) < _RECENT:
                    break
            parent = one.parent_session_id
            one = None if parent is None else self._backend.get(Key(one.conversation_id or "", parent))
        self._runs |= dict.fromkeys(wanted)


def _fitting(turns: list[Turn]) -> list[Turn]:
    """Return as many of the last turns as a page holds."""
    room, count = _CHARACTERS, 0
    for turn in reversed(turns):
        room -= len(turn.body)
        if room < 0 and count:
            break
        count += 1
    return turns[-count:]


def _took(run: Run) -> str:
    status = "" if run.status == "completed" else run.status
    parts = [text for text in (run.model or "", status) if text]
    return footer_text(
        label="", turn=0, usage=run.usage, seconds=run.duration or 0.0, saved=" · ".join(parts)
    )
