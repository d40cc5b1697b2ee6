"""What was spent: from the table that adds it up by day, or from the runs where that does not tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nbsessions.exceptions import StoreError
from nbsessions.stores._rows import checks, daily, runs
from nbsessions.stores._spending import Tally, count, is_about_sessions
from nbsessions.stores._sql.connected import Connected, Connection
from nbsessions.stores.base import Key, Spending, Total

_SESSION = ("s.conversation_id", "s.session_id")
_FROM = " FROM runs r LEFT JOIN sessions s ON s.id = r.session"
_ENDED = "r.status <> 'running'"


class Usages(Connected):
    """The primitive that adds up what was spent."""

    _tag_source: str
    """What joins the tags of a session, each as ``g.value``, with one row of nothing where there are none."""
    _tag_json: str
    """Such a tag, as JSON."""

    def usage(self, asked: Spending) -> list[Total]:
        if asked.model == "":  # which stands for no model in the table
            return []
        if not is_about_sessions(asked):
            found = self._rolled_up(asked)
            if found is not None:
                return found
        return self._added_up(asked)

    # From the table

    def _rolled_up(self, asked: Spending) -> list[Total] | None:
        """Return what the table says; None where it is not what was written, which is told."""
        conditions, params = _where(asked, "day", "agent_name", "model")
        where, size = _clause(conditions), len(asked.by)
        with self._reading() as db:
            abouts = self._fetch(db, daily.SELECT_ABOUT + where, params)
            rows = self._fetch(db, _grouped(asked.by, daily.TOTALS, f" FROM usage_daily{where}"), params)
        sums = [(row[:size], tuple(map(int, row[size:]))) for row in rows]
        if not daily.are_named(abouts) or not all(daily.is_sealed(numbers) for _, numbers in sums):
            self._tell_damage(where, params)
            return None
        return [
            Total(_named(asked.by, about), numbers[0], daily.spent(numbers[:-1]))
            for about, numbers in sums
            if any(numbers)
        ]

    def _tell_damage(self, where: str, params: Sequence[Any]) -> None:
        with self._reading() as db:
            rows = self._fetch(db, daily.SELECT + where, params)
        wrong = next((row[1] for row in rows if daily.read(row) is None), None)
        checks.tell(StoreError(f"Usage of {daily.told(wrong)}: {_DAMAGED}"))

    def _count_daily(self, db: Connection, before: daily.Counts, after: daily.Counts) -> None:
        """Count what a run has spent since it was counted before."""
        for row in daily.rows(daily.changes(before, after)):
            db.execute(daily.ADD, row)

    def rebuild_usage(self) -> int:
        with self._writing() as db:
            self._alone(db)
            return rebuild(db)

    # From the runs

    def _added_up(self, asked: Spending) -> list[Total]:
        where, params = _where(asked, daily.DAY, "r.agent_name", "r.model")
        more, others = self._of_sessions(asked)
        groups = [column for group in asked.by for column in self._columns(group)]
        source = _FROM + (self._tag_source if "tag" in asked.by else "")
        conditions = [_ENDED, "r.shares IS NULL", *where, *more]
        sql = _grouped(groups, daily.SUMS, source + _clause(conditions))
        tally = Tally()
        with self._reading() as db:
            found = self._fetch(db, sql, [*params, *others])
            sharing = self._fetch(db, f"{runs.SELECT_RUN} WHERE {_ENDED} AND r.shares IS NOT NULL", ())
        for row in found:
            values, numbers = row[: len(groups)], [*map(int, row[len(groups) :])]
            if numbers[0]:
                tally.add(_group(asked.by, values), numbers[0], daily.spent(numbers))
        for run in runs.runs(sharing):
            count(tally, asked, run, self.get(Key.of(run)) if run.session_id else None)
        return tally.totals()

    def _of_sessions(self, asked: Spending) -> tuple[list[str], list[Any]]:
        where = {
            self._tag_condition: asked.tag,
            "s.owner = ?": asked.owner,
            "s.conversation_id = ?": None if asked.key is None else asked.key.conversation_id,
            "s.session_id = ?": None if asked.key is None else asked.key.session_id,
        }
        told = {text: value for text, value in where.items() if value is not None}
        return [*told], [*told.values()]

    def _columns(self, group: str) -> Sequence[str]:
        if group == "session":
            return _SESSION
        if group == "day":
            return (daily.DAY,)
        if group == "tag":
            return (self._tag_json,)
        return (f"s.{group}" if group in ("name", "notebook", "owner") else f"r.{group}",)

    # Whether both say the same

    def check(self) -> list[str]:
        # Others may write between two looks: only what is wrong each time is.
        wrong = self._differences()
        again = set(self._differences()) if wrong else set()
        return [line for line in wrong if line in again]

    def _differences(self) -> list[str]:
        with self._reading() as db:
            rows = self._fetch(db, daily.SELECT, ())
            spent = _spent(db)
        read = [(row[1], daily.read(row)) for row in rows]
        told = {found[0]: found[1] for _, found in read if found is not None and any(found[1])}
        wrong = {daily.told(number) for number, found in read if found is None}
        wrong |= {daily.told(group.day) for group in {*told, *spent} if told.get(group) != spent.get(group)}
        return [f"Usage of {day}: {_DAMAGED}" for day in sorted(wrong)]


_DAMAGED = "what is added up is not what its runs spent; rebuild_usage() adds it up again"


def rebuild(db: Connection) -> int:
    """Add up what all runs spent, in place of what there is; return how many rows that makes."""
    spent = _spent(db)
    db.execute(daily.EMPTY)
    for row in daily.rows(spent):
        db.execute(daily.ADD, row)
    return len(spent)


def _spent(db: Connection) -> daily.Counts:
    about = f"{daily.DAY}, r.agent_name, COALESCE(r.model, ''), COALESCE(r.provider, '')"
    sql = f"SELECT {about}, {daily.SUMS} FROM runs r WHERE {_ENDED} AND r.shares IS NULL GROUP BY 1, 2, 3, 4"
    found: daily.Counts = {}
    for number, agent_name, model, provider, *counts in db.execute(sql).fetchall():
        group = daily.Group(int(number), agent_name, model or None, provider or None)
        found[group] = tuple(map(int, counts))
    sharing = f"{runs.SELECT_ROWS} WHERE {_ENDED} AND r.shares IS NOT NULL"
    for row in db.execute(sharing).fetchall():
        found = daily.together(found, runs.Row(row).counted)
    return found


def _where(asked: Spending, day: str, agent_name: str, model: str) -> tuple[list[str], list[Any]]:
    conditions: dict[str, Any] = {
        f"{day} >= ?": None if asked.since is None else daily.day_number(asked.since),
        f"{day} < ?": None if asked.until is None else daily.day_number(asked.until),
        f"{agent_name} = ?": asked.agent_name,
        f"{model} = ?": asked.model,
    }
    told = {text: value for text, value in conditions.items() if value is not None}
    return [*told], [*told.values()]


def _grouped(groups: Sequence[str], sums: str, source: str) -> str:
    by = f" GROUP BY {', '.join(str(place + 1) for place in range(len(groups)))}" if groups else ""
    return f"SELECT {', '.join([*groups, sums])}{source}{by}"


def _clause(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _group(by: Sequence[str], values: Sequence[Any]) -> tuple[object, ...]:
    """Return the group of a row; a session takes two of its values."""
    rest = iter(values)
    return tuple(_READ.get(group, _text)(rest) for group in by)


def _named(by: Sequence[str], about: Sequence[Any]) -> tuple[object, ...]:
    """Return a group of rows of the table, whose days are numbers there."""
    return tuple(
        [daily.day(one) if name == "day" else one or None for name, one in zip(by, about, strict=True)]
    )


def _text(rest: Iterator[Any]) -> str | None:
    return next(rest) or None


def _session(rest: Iterator[Any]) -> Key | None:
    conversation, session_id = next(rest), next(rest)
    return None if session_id is None else Key(conversation, session_id)


_READ: dict[str, Callable[[Iterator[Any]], object]] = {
    "day": lambda rest: daily.day(int(next(rest))),
    "session": _session,
    "tag": lambda rest: None if (text := next(rest)) is None else json.loads(text),
}
