"""Usage as a frame: what was spent, by day, by model, or by what else there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nbsessions.exceptions import InvalidInput
from nbsessions.frames.filters import split
from nbsessions.frames.sheets import GROUPS, SPENT, Column
from nbsessions.records import Usage
from nbsessions.stores._columns import NANO
from nbsessions.stores.base import Key
from nbsessions.stores.queries import Group, Spending, Total
from nbsessions.values import micros

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend

_SPANS: Final = ("day", "week", "month")
_ALIASES: Final = {"agent": "agent_name"}


def groups(by: Iterable[str] | str) -> list[str]:
    """Return what usage is added up by, each once.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> groups("day,agent")
    ['day', 'agent_name']
    """
    names = [_ALIASES.get(name, name) for name in split(by, "by")]
    for name in names:
        if name not in GROUPS:
            raise InvalidInput(f"Usage is not counted by {name!r}. These are: {', '.join(GROUPS)}.")
    return list(dict.fromkeys(names))


def columns(by: Sequence[str]) -> list[Column]:
    """Return the columns of usage that is added up so.

    Examples
    --------
    >>> [column.name for column in columns(["day"])][:2]
    ['day', 'runs']
    """
    return [column for name in by for column in GROUPS[name]] + list(SPENT)


def spent(backend: Backend, by: Sequence[str], asked: Spending) -> dict[str, list[Any]]:
    """Return what was spent as columns: by day, the first one first; then what spent most.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> spent(nbs.open_store("memory:").backend, ["day"], Spending())["runs"]
    []
    """
    wanted: list[Group] = list(dict.fromkeys(each for name in by for each in _asked(name)))
    totals = backend.usage(asked._replace(by=wanted))
    found: dict[tuple[object, ...], Total] = {}
    for total in totals:
        told = dict(zip(wanted, total.group, strict=True))
        group = tuple(value for name in by for value in _values(name, told))
        known = found.get(group, Total(group, 0, Usage()))
        found[group] = Total(group, known.runs + total.runs, known.usage + total.usage)
    rows = sorted(found.values(), key=lambda total: _place(by, total))
    sources = [source for name in by for source in _sources(name)]
    values: dict[str, list[Any]] = {
        source: [row.group[at] for row in rows] for at, source in enumerate(sources)
    }
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "requests",
        "unpriced_tokens",
    ):
        values[name] = [getattr(row.usage, name) for row in rows]
    values["cost"] = [None if row.usage.cost is None else int(row.usage.cost * NANO) for row in rows]
    return {**values, "runs": [row.runs for row in rows]}


def _asked(name: str) -> tuple[Group, ...]:
    """Return what a store has to be asked for to know a group."""
    if name in _SPANS:
        return ("day",)
    return ("session", "name") if name == "session" else (name,)  # type: ignore[return-value]


def _sources(name: str) -> tuple[str, ...]:
    return ("session_name", "session_id", "conversation_id") if name == "session" else (name,)


def _values(name: str, told: dict[Any, Any]) -> tuple[object, ...]:
    """Return the values of the sources of a group."""
    if name == "session":
        key: Key | None = told["session"]
        of_deleted = (None, None, None)
        return of_deleted if key is None else (told["name"], key.session_id, key.conversation_id or None)
    if name in _SPANS:
        return (_began(name, told["day"]),)
    return (told[name],)


def _began(span: str, day: date) -> int:
    if span == "week":
        day -= timedelta(days=day.weekday())
    elif span == "month":
        day = day.replace(day=1)
    return micros(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _place(by: Sequence[str], total: Total) -> tuple[object, ...]:
    sources = [source for name in by for source in _sources(name)]
    told = dict(zip(sources, total.group, strict=True))
    spans = [told[name] for name in by if name in _SPANS]
    cost = total.usage.cost
    names = ["" if value is None else str(value) for value in total.group]
    return (*spans, cost is None, -(cost or 0), -total.usage.total_tokens, names)
