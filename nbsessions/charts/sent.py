"""What an agent would be sent, as `%session context` shows it: a table, and a line that sums it up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nbsessions.context import Context
from nbsessions.frames import CONTEXT, frame
from nbsessions.text import counted, one_line

_ROWS = 40
_TEXT = 80


class ContextTable(pd.DataFrame):
    """A DataFrame of the messages that would be sent which, where it is looked at, has a line above it.

    What is made of it (``df[df.tokens > 100]``) is a DataFrame as any other.

    Attributes
    ----------
    summary : str
        How many messages and tokens would be sent, how they were counted, and what is left out.
    """

    _metadata = ["summary"]
    summary: str

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def _ipython_display_(self) -> None:
        from IPython.display import display

        print(self.summary)
        if not self.empty:
            lines = [one_line(str(text), _TEXT) for text in self["content"]]
            with pd.option_context("display.max_rows", _ROWS, "display.min_rows", _ROWS):
                display(pd.DataFrame(self).assign(content=lines))


def context_table(context: Context) -> ContextTable:
    """Return what would be sent as a table that shows its summary.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "What do owls eat?"})
    >>> table = context_table(session.context())
    >>> table.to_dict("records")
    [{'position': 1, 'role': 'user', 'content': 'What do owls eat?', 'tokens': 9, 'counted': 'estimated'}]
    >>> table.summary
    '1 of 1 messages would be sent, with about 9 tokens, all of them estimated.'
    """
    made = ContextTable(frame(CONTEXT, context.seen))
    left_out = context.stored - len(context.seen)
    lines = [str(context)]
    if left_out:
        summed = "" if context.summary is None else ", some of them summed up"
        lines.append(f"{counted(left_out, 'message')} would be left out{summed}; what is stored stays whole.")
    made.summary = " ".join(lines)
    return made
