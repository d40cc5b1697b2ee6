"""What was spent, in a line: tokens, cost, and how much of it has no known price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.amounts import exact, money
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

_MODELS = 3


def summary(frame: pd.DataFrame) -> str:
    """Return what a frame of usage by model comes to, as a line.

    Parameters
    ----------
    frame : DataFrame
        With ``model``, ``runs``, ``input_tokens``, ``output_tokens``, ``cost``, ``unpriced_tokens``.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["model", "runs", "input_tokens", "output_tokens", "cost", "unpriced_tokens"]
    >>> rows = [("gpt-4o", 3, 4_000, 1_200, 0.022, 0), ("my-model", 1, 3_000, 200, None, 3_200)]
    >>> summary(pd.DataFrame(rows, columns=columns))
    '4 runs, 8,400 tokens (7,000 in, 1,400 out), $0.022. 38% of the tokens have no known price: ...'
    """
    sent, made = int(frame["input_tokens"].sum()), int(frame["output_tokens"].sum())
    if frame.empty or not int(frame["runs"].sum()) + sent + made:
        return "Nothing was spent yet."
    runs = counted(int(frame["runs"].sum()), "run")
    tokens = f"{sent + made:,} tokens" + (f" ({sent:,} in, {made:,} out)" if sent + made else "")
    missing = unpriced(frame)
    cost = frame["cost"].dropna()
    spent = "" if cost.empty and not missing else f", {money(exact(cost.sum()) if len(cost) else None)}"
    return f"{runs}, {tokens}{spent}." + (f" {missing}" if missing else "")


def unpriced(frame: pd.DataFrame) -> str:
    """Return how much of a frame of usage has no known price, as a sentence; empty: nothing.

    Where it is by model, the sentence says of which.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["model", "input_tokens", "output_tokens", "unpriced_tokens"]
    >>> unpriced(pd.DataFrame([(None, 9, 1, 10), ("b", 90, 0, 0)], columns=columns))
    '10% of the tokens have no known price: an unknown model (10).'
    """
    missing = int(frame["unpriced_tokens"].sum())
    if not missing:
        return ""
    share = missing / max(1, int((frame["input_tokens"] + frame["output_tokens"]).sum()))
    text = f"{_percent(share)} of the tokens have no known price"
    if "model" not in frame:
        return f"{text}."
    names = frame["model"].astype("object").where(frame["model"].notna(), "")
    by_model = frame["unpriced_tokens"].astype("int64").groupby(names).sum().sort_values(ascending=False)
    by_model = by_model[by_model > 0]
    listed = [
        f"{one_line(str(name), 60) or 'an unknown model'} ({tokens:,})"
        for name, tokens in by_model.head(_MODELS).items()
    ]
    more = len(by_model) - len(listed)
    listed += [f"{more} more"] if more else []
    return f"{text}: {', '.join(listed)}."


def _percent(share: float) -> str:
    if share >= 1:
        return "100%"
    return f"{min(99, round(share * 100))}%" if share >= 0.01 else "Less than 1%"
