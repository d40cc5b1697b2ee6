"""What is kept of the tests as a part of the page of the benchmarks: a table for each test, a line for each store."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tests.bench.results import told_of
from tests.peers import OURS, PEERS
from tests.reliability.beside.harness import ROWS

Result = dict[str, Any]
"""What came of a row: its ``counts``, or why it ``failed``."""
Kept = dict[str, dict[str, Result]]
"""For each peer and row, what came of it, and the day."""
Count = dict[str, Any]
NOT_TRIED = "not tried"


def section(kept: Kept) -> str:
    """Return the tables, and below each where somebody is ahead of ours, what is not offered, and what failed."""
    return "\n".join([_taken(kept), "", *(line for row in ROWS for line in _table(row, kept))])


def _taken(kept: Kept) -> str:
    """Say when, and where the repetitions were few."""
    results = [result for rows in kept.values() for result in rows.values()]
    days = " and ".join(sorted({result["at"] for result in results}))
    machines = dict.fromkeys(told_of(result["on"]) for result in results)
    few = " Some with few repetitions." * any(result["quick"] for result in results)
    again = "`uv run python -m tests.reliability peers --keep` takes all of it again."
    return f"Taken {days}, on: {' and '.join(machines)}.{few} {again} Each figure counts what must not happen, of how often it could have."


def _table(row: str, kept: Kept) -> Iterator[str]:
    results = {name: rows[row] for name in PEERS if row in (rows := kept.get(name, {}))}
    whats = list(dict.fromkeys(count["what"] for one in results.values() for count in one.get("counts", ())))
    about = (import_module(f"tests.reliability.beside.{row}").__doc__ or "").strip()
    yield from (f"### {row.capitalize()}", "", about, "")
    yield f"| | {' | '.join(whats)} |"
    yield f"| --- |{' ---: |' * len(whats)}"
    for name in [name for name in PEERS if name != "memory"]:
        counts = {count["what"]: count for count in results.get(name, {}).get("counts", ())}
        missing = "failed" if name in results else NOT_TRIED
        yield f"| {PEERS[name].title} | {' | '.join(_cell(counts.get(what), missing) for what in whats)} |"
    yield ""
    yield from [f"- {line}" for line in dict.fromkeys((*_ahead(results, whats), *_notes(results)))]
    yield ""


def _cell(count: Count | None, missing: str) -> str:
    if count is None:
        return missing
    if count["got"] is None:
        return "-"
    told = f"{count['got']:,} of {count['of']:,}"
    return f"**{told}**" if count["got"] else told


def _ahead(results: dict[str, Result], whats: list[str]) -> Iterator[str]:
    """Say for each figure which others have it less often than one of ours."""
    for what in whats:
        rates = {name: _rate(result, what) for name, result in results.items()}
        for ours in OURS:
            own = rates.get(ours)
            ahead = [
                name
                for name, rate in rates.items()
                if own and rate is not None and rate < own and name not in OURS
            ]
            if ahead:
                others = ", ".join(PEERS[name].title for name in ahead)
                note = _count(results[ours], what)["note"].rstrip(".")
                yield f"Ahead of {PEERS[ours].title} in *{what}*: {others}." + f" Ours: {note}." * bool(note)


def _count(result: Result, what: str) -> Count:
    found: list[Count] = [count for count in result.get("counts", ()) if count["what"] == what]
    return found[0] if found else {"got": None, "of": 0, "note": ""}


def _rate(result: Result, what: str) -> float | None:
    count = _count(result, what)
    return None if count["got"] is None else count["got"] / max(count["of"], 1)


def _notes(results: dict[str, Result]) -> Iterator[str]:
    """Say what is not offered, what failed, and an example of what happened."""
    for name, result in results.items():
        title = PEERS[name].title
        if "failed" in result:
            yield f"{title}: could not be tried: {_shortly(result['failed'].splitlines()[-1])}"
        for count in result.get("counts", ()):
            if count["note"] and (count["got"] or count["got"] is None) and name not in OURS:
                yield f"{title}, *{count['what']}*: {_shortly(count['note'])}"


def _shortly(note: str) -> str:
    words = " ".join(note.replace("|", " ").split())
    return words if len(words) < 200 else f"{words[:200].rsplit(' ', 1)[0]} ..."
