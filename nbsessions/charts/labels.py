"""Names as a chart has room for: short, told apart, the largest ones and "other"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbsessions.charts.style import TOP
from nbsessions.text import one_line

OTHER = "other"
_LONGEST = 34


def largest(
    weights: Mapping[str, float], called: Mapping[str, str], top: int = TOP
) -> tuple[dict[str, str], list[str]]:
    """Return a label for each key, and the labels in order, the largest first, `other` last.

    Parameters
    ----------
    weights : mapping of str to float
        By key.
    called : mapping of str to str
        What each key is called.
    top : int
        So many have a label of their own.

    Examples
    --------
    >>> largest({"1": 1, "2": 5, "": 2}, {"1": "a", "2": "b", "": "no model"}, top=1)
    ({'2': 'b', '': 'other', '1': 'other'}, ['b', 'other'])
    """
    order = sorted(weights, key=lambda key: (-weights[key], key))
    kept, rest = order[:top], order[top:]
    given = dict(zip(kept, distinct(called[key] for key in kept), strict=True))
    labels = list(given.values())
    if rest:
        given |= dict.fromkeys(rest, OTHER)
        labels.append(OTHER)
    return given, labels


def distinct(names: Iterable[str]) -> list[str]:
    """Return names on one line, shortened in the middle, no two of them alike.

    Both ends of a name say which it is: ``openai/gpt-5-mini-2026-08-07``.

    Examples
    --------
    >>> distinct(["a" * 40 + "1", "a" * 40 + "2", "b", "b\\n", ""])
    ['aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaa1', 'aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaa2', 'b', 'b (2)', 'unknown']
    """
    taken: set[str] = {OTHER}
    found: list[str] = []
    for name in names:
        line = one_line(name, 300) or "unknown"
        half = _LONGEST // 2
        short = line if len(line) <= _LONGEST else f"{line[:half]}…{line[-(_LONGEST - half - 1) :]}"
        label, number = short, 2
        while label in taken:
            label, number = f"{short} ({number})", number + 1
        taken.add(label)
        found.append(label)
    return found
