"""Turns, and the way up from each of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from nbsessions.records import Step, Turn
from nbsessions.stores.base import Key
from nbsessions.stores.memory.runs import Runs


class Turns(Runs):
    """The primitives that are about turns; what is taken out of one is taken out of its run, too."""

    def state_before(self, turn_id: str) -> str:
        with self._lock:
            return self._states.get(turn_id, "{}")

    def turn(self, turn_id: str) -> Turn | None:
        with self._lock:
            return self._turns.get(turn_id)

    def chain(self, turn_id: str, *, messages: int | None = None) -> list[Turn]:
        with self._lock:
            turns: list[Turn] = []
            step = self._turns.get(turn_id)
            floor = 0 if step is None or messages is None else step.total_messages - messages
            while step is not None and (not turns or step.total_messages > floor):
                turns.append(step)
                step = self._turns.get(step.parent_id) if step.parent_id else None
            return turns[::-1]

    def asked_by(self, cell_id: str, turn_id: str) -> Turn | None:
        return next((turn for turn in reversed(self.chain(turn_id)) if turn.cell_id == cell_id), None)

    def system_turns(self, turn_id: str) -> list[Turn]:
        return [turn for turn in self.chain(turn_id)[:-1] if turn.has_system]

    def ancestors(self, turn_ids: Sequence[str], *, above: int = -1) -> dict[str, Step]:
        found: dict[str, Step] = {}
        with self._lock:
            for turn_id in turn_ids:
                turn = self._turns.get(turn_id)
                while turn is not None and turn.turn_id not in found and turn.total_messages > above:
                    counts = (turn.message_count, turn.total_messages, turn.total_turns, turn.depth)
                    found[turn.turn_id] = Step(turn.turn_id, turn.parent_id, *counts)
                    turn = None if turn.parent_id is None else self._turns.get(turn.parent_id)
        return found

    def scan(self, after: int, limit: int) -> list[tuple[int, Turn]]:
        with self._lock:
            return list(enumerate(islice(self._turns.values(), after, after + limit), after + 1))

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        with self._lock:
            stored = self._turns[turn.turn_id]
            if stored.body != was:
                return False
            changed = stored._replace(body=turn.body, content_hash=turn.content_hash)
            self._turns[turn.turn_id] = changed
            telling = {run.run_id for run in self._runs.values() if run.turn_id == turn.turn_id}
            for run in reversed(list(self._runs.values())):
                if run.run_id in telling and run.retry_of is not None:
                    telling.add(run.retry_of)
            for run in list(self._runs.values()):
                if run.run_id in telling:
                    self._events[run.run_id] = []
                    self._progress.pop(run.run_id, None)
                asked = run.prompt is not None and run.prompt == text
                if asked and Key.of(run) == key and run.status != "running":
                    self._redact_run(run)
        return True

    def collect(self) -> int:
        with self._lock:
            tips = [e.head.turn_id for s in self._sessions.values() for e in s.entries.values()]
            tips += [made.head.turn_id for key, made in self._checkpoints.values() if key is not None]
            open_runs = [run for run in self._runs.values() if run.status in ("running", "suspended")]
            tips += [run.base.turn_id for run in open_runs]
            live = self.ancestors([tip for tip in tips if tip is not None])
            gone = [turn_id for turn_id in self._turns if turn_id not in live]
            for turn_id in gone:
                del self._turns[turn_id]
                self._states.pop(turn_id, None)
            for checkpoint_id, (key, made) in list(self._checkpoints.items()):
                if key is None and made.head.turn_id not in live:
                    del self._checkpoints[checkpoint_id]
            return len(gone)
