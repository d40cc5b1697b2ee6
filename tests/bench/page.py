"""The page of the benchmarks, made of what is kept: `python -m tests.bench.page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import results
from tests.bench.ahead import DEFAULT, LEVEL, OVER, Ahead, ahead
from tests.bench.measuring import BARE
from tests.bench.rows import ROWS, TOPICS
from tests.bench.timing import duration
from tests.peers import FLOORS, OURS, PEERS
from tests.reliability.beside.page import section

PAGE = Path(__file__).parent / "README.md"
RELIABILITY = "reliability"
"""What the command of that name keeps."""
NOT_DURABLE = "memory"
ABOUT = f"""# Beside its peers, and beside the floor

`uv run python -m tests.bench --keep` measures all of this again, installs what is measured beside ours into an
environment of its own (`.peers/`), and writes this page: no figure on it was typed by hand. `--quick` shows in a few
minutes that it runs, `peers --peer NAME --row NAME` is a part of the table.

Each is driven by the calls that its documentation tells of, as its own runner drives it, with the same messages
(`tests/peers/` has one class for each, which says how). All are as durable as ours: what was appended is flushed to
the disk when the call returns, and who does not flush by itself is made to. Only the memory store is not durable. Each
figure is the median of all rounds; the peers are asked in turn in each round, and every one in a process of its own. A
factor is beside {PEERS[DEFAULT].title}, the default store. Raw `sqlite3` and the JSON file are floors: what a
careful person writes by hand, without checksums, history, runs or undo."""


def render(kept: results.Results) -> str:
    """Return the page."""
    parts = [ABOUT, *_peers(kept["peers"]), *_limits(kept.get("limits")), *_reliability(kept)]
    return "\n\n".join(parts) + "\n"


def write() -> None:
    """Write the page."""
    PAGE.write_text(render(results.read()), encoding="utf-8")


def _peers(table: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Speed beside the peers\n\n{_circumstances(table)}"
    for topic in TOPICS:
        yield f"### {topic}\n\n{topic_table(topic, table['rows'])}"
    yield "### Where somebody else is ahead"
    yield f"Level is who is ahead by less than {LEVEL - 1:.0%}: it may be otherwise in the next run."
    for kind, names in (("Peers", set(PEERS) - {*OURS, *FLOORS}), ("Floors", set(FLOORS))):
        lines = _grouped(one for one in ahead(table["rows"]) if one.peer in names)
        yield f"{kind}:\n\n" + "\n".join(lines or ["- nowhere"])


def _grouped(found: Iterable[Ahead]) -> list[str]:
    """Return a line for what one is ahead in for one reason."""
    groups: dict[tuple[str, str, str | None], list[str]] = {}
    for one in found:
        row = ROWS[one.row]
        place = (row.topic.partition(":")[0], PEERS[one.peer].title, one.reason)
        groups.setdefault(place, []).append(f"*{row.title}* {one.factor:.1f} x")
    return [
        f"- {topic}: {title} ({', '.join(rows)}). {reason or 'No reason is written down yet.'}"
        for (topic, title, reason), rows in groups.items()
    ]


def _circumstances(table: Mapping[str, Any]) -> str:
    machine = results.told_of(table["machine"])
    days = sorted({row["date"] for row in table["rows"].values()} if "rows" in table else {table["date"]})
    versions = dict.fromkeys(" ".join(table["versions"].values()).split()[1:])
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    ours = table["versions"]["nbsessions"]
    return f"Measured {when}, on: {machine}. nbsessions {ours}" + (
        f", beside {', '.join(versions)}." if "rows" in table else "."
    )


def topic_table(topic: str, rows: Mapping[str, Any], peers: Iterable[str] = PEERS) -> str:
    """Return the rows of a topic: a line for each peer, and below what a cell has no room for."""
    names = [name for name, row in ROWS.items() if row.topic == topic and name in rows]
    notes: dict[str, int] = {}
    lines = [["", *(ROWS[name].title for name in names)], ["---", *["---:"] * len(names)]]
    for peer in peers:
        cells = [_cell(name, rows[name]["cells"], peer, notes) for name in names]
        lines.append([_title(peer), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    below = [f"- ({number}) {note}" for note, number in notes.items()]
    about = [ROWS[name].about for name in names if ROWS[name].about]
    if bare := rows.get("cold", {}).get("cells", {}).get(BARE, {}).get("median") if "cold" in names else None:
        about.append(f"A kernel that has nothing to import takes {_figure('cold', bare)} of it.")
    blocks = ["\n".join(table), "\n".join(below), " ".join(about)]
    return "\n\n".join(block for block in blocks if block)


def _title(peer: str) -> str:
    return PEERS[peer].title + " (not durable)" * (peer == NOT_DURABLE)


def _cell(name: str, cells: Mapping[str, Any], peer: str, notes: dict[str, int]) -> str:
    cell = cells.get(peer)
    if cell is None:
        return "not measured"
    if "median" not in cell:
        note = cell.get("lacks") or f"it failed: {' '.join(cell['error'].split())[:200]}"
        return f"{'-' if 'lacks' in cell else 'failed'} ({notes.setdefault(note, len(notes) + 1)})"
    shown = _figure(name, cell["median"])
    ours = cells.get(DEFAULT, {}).get("median")
    return shown if peer == DEFAULT or not ours else f"{shown}, {_ratio(name, cell['median'] / ours)}"


def _figure(name: str, value: float) -> str:
    if ROWS[name].unit == "B":
        return f"{value:,.0f}"
    if not ROWS[name].unit:
        return f"{value:.1f}"
    return f"{value:.2f} s" if value >= 1 else duration(value)


def _ratio(name: str, ratio: float) -> str:
    more, less = ("slower", "faster") if ROWS[name].unit == "s" else ("more", "less")
    if 1 / LEVEL < ratio < LEVEL:
        return "level"
    return f"{ratio:.1f} x {more}" if ratio > 1 else f"{1 / ratio:.1f} x {less}"


def _limits(table: Mapping[str, Any] | None) -> Iterator[str]:
    if not table:
        return
    yield f"## The limits beside the floor\n\n{_circumstances(table)} What the limits are for is said by each file of `tests/bench/`."
    lines: list[Sequence[str]] = [("", "ours", "floor", "got", "limit", "", ""), ("---",) * 7]
    over = {}
    for subject, figures in table["subjects"].items():
        for one in figures:
            if verdict(one) == "OVER":
                over[subject] = OVER.get(subject, "No reason is written down yet.")
            limit = "" if one["limit"] is None else f"{one['limit']:g} {one['unit']}"
            got = f"{one['got']:.2f} {one['unit']}"
            lines.append(
                (one["what"].strip(), one["ours"], one["floor"], got, limit, verdict(one), one["note"])
            )
    yield "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |" for line in lines)
    if over:
        yield "Over a limit:\n\n" + "\n".join(f"- `{subject}`: {reason}" for subject, reason in over.items())


def verdict(figure: Mapping[str, Any]) -> str:
    """Return whether a figure is within its limit, where it has one."""
    if figure["limit"] is None:
        return ""
    return "ok" if figure["got"] <= figure["limit"] else "OVER"


def _reliability(kept: results.Results) -> Iterator[str]:
    if RELIABILITY in kept:
        yield "## Reliability beside the peers"
        yield section(kept[RELIABILITY]).strip()


if __name__ == "__main__":
    write()
