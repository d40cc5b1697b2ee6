"""Rows as a table: for people as wide as their terminal, for other programs one line a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from nbsessions.showing.columns import Column

_GAP: Final = 2
_TELLS_LESS: Final = 3
"""From this rank on."""
_ROOMY: Final = 3


def lines(columns: Sequence[Column], rows: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each row, its cells parted by tabs; all columns are there, in their order.

    Examples
    --------
    >>> from nbsessions.showing.columns import Column
    >>> list(lines([Column("A", lambda row: row[0]), Column("B", lambda row: row[1])], [("x", 1)]))
    ['x\\t1']
    """
    return ("\t".join(column.text(row) for column in columns) for row in rows)


def draw(console: Console, columns: Sequence[Column], rows: Sequence[Any]) -> None:
    """Draw a table in a terminal: what there is no room for is cut, or left out.

    Examples
    --------
    >>> from nbsessions.showing.columns import Column
    >>> from rich.console import Console
    >>> draw(Console(width=9, color_system=None), [Column("NAME", str, least=4)], ["a long name"])
    NAME
    a long n…
    """
    from rich.cells import cell_len
    from rich.text import Text

    cells = {column.title: [column.cell(row) for row in rows] for column in columns}
    shown = [column for column in columns if _tells(column, cells[column.title])]
    natural = {title: max(map(cell_len, (title, *texts))) for title, texts in cells.items()}
    widths = fitted(shown, natural, console.width)
    kept = [column for column in shown if column.title in widths]
    # A table of rich measures each cell several times, which takes as long as everything else.
    heads = [_fit(column.title, widths[column.title], right=column.right) for column in kept]
    _print(console, Text((" " * _GAP).join(heads), style="bold"))
    for place in range(len(rows)):
        line = Text()
        for column in kept:
            text = _fit(cells[column.title][place], widths[column.title], right=column.right)
            style = "cyan" if column.title in ("ID", "SESSION") else ""
            line.append(text, style=style).append(" " * _GAP)
        _print(console, line)


def _print(console: Console, line: Text) -> None:
    line.rstrip()
    console.print(line, no_wrap=True, overflow="ignore", highlight=False)


def _fit(text: str, width: int, *, right: bool) -> str:
    """Return a text that takes so many columns of a terminal: cut, or filled up."""
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    space = " " * (width - length)
    return space + text if right else text + space


def _tells(column: Column, texts: Sequence[str]) -> bool:
    """Tell whether a column says anything to people: one that must stay is there even where it is empty."""
    if column.differs:
        return len(set(texts)) > 1
    return not column.rank or any(texts)


def fitted(columns: Sequence[Column], natural: dict[str, int], room: int) -> dict[str, int]:
    """Return the width of each column that is shown, by its title.

    What can be cut is cut; where that is not enough, columns are left out, those of the highest rank first.

    Examples
    --------
    >>> from nbsessions.showing.columns import Column
    >>> columns = [Column("ID", str), Column("NAME", str, least=4), Column("TAGS", str, rank=1)]
    >>> fitted(columns, {"ID": 8, "NAME": 20, "TAGS": 10}, 30)
    {'ID': 8, 'NAME': 8, 'TAGS': 10}
    >>> fitted(columns, {"ID": 8, "NAME": 20, "TAGS": 10}, 20)
    {'ID': 8, 'NAME': 10}
    """
    kept = list(columns)
    # What tells less makes room for names that can be read; what tells more, only for names at all.
    for lowest, roomy in ((_TELLS_LESS, True), (1, False)):
        while sum(_least(each, natural, roomy=roomy) for each in kept) + _GAP * (len(kept) - 1) > room:
            ranked = [each for each in kept if each.rank >= lowest]
            if not ranked:
                break
            kept.remove(max(ranked, key=lambda each: each.rank))
    widths = {each.title: natural[each.title] for each in kept}
    over = sum(widths.values()) + _GAP * (len(kept) - 1) - room
    while over > 0:
        flexible = [each for each in kept if widths[each.title] > _least(each, natural)]
        if not flexible:
            break
        widest = max(flexible, key=lambda each: widths[each.title])
        widths[widest.title] -= 1
        over -= 1
    return widths


def _least(column: Column, natural: dict[str, int], *, roomy: bool = False) -> int:
    width, least = natural[column.title], column.least * (_ROOMY if roomy else 1)
    return min(width, max(least, len(column.title))) if column.least else width
