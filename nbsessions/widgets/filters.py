"""What the sessions of a list are searched by: a text, an agent, a tag, an age, this notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from threading import get_ident
from typing import Any, Final

import ipywidgets

from nbsessions.exceptions import InvalidInput
from nbsessions.records import SessionRecord
from nbsessions.text import one_line
from nbsessions.values import now
from nbsessions.widgets.live import searched

_AGES: Final = {"any time": None, "last 24 hours": 1, "last 7 days": 7, "last 30 days": 30, "last year": 365}


class Filters(ipywidgets.HBox):
    """A row to search and filter with.

    Parameters
    ----------
    notebook : callable
        Returns the path of this notebook, or None where it is not known.

    Examples
    --------
    >>> filters = Filters(lambda: None)
    >>> filters.search.value = "owl"
    >>> filters.wanted()["text"], filters.wanted()["said"], filters.are_set
    ('owl', True, True)
    """

    def __init__(self, notebook: Callable[[], str | None]) -> None:
        self._notebook = notebook
        self._offering: int | None = None  # the thread that does
        wide, narrow = {"width": "auto", "flex": "1 1 16em"}, {"width": "auto", "flex": "0 1 9em"}
        self.search = ipywidgets.Text(
            placeholder="Search names, tags, messages", tooltip="Search sessions", layout=wide
        )
        self.agent = ipywidgets.Dropdown(options=[("any agent", "")], tooltip="Agent", layout=narrow)
        self.tag = ipywidgets.Dropdown(options=[("any tag", "")], tooltip="Tag", layout=narrow)
        self.age = ipywidgets.Dropdown(options=[*_AGES], tooltip="Last activity", layout=narrow)
        self.here = ipywidgets.Checkbox(
            description="this notebook",
            tooltip="Only sessions of this notebook",
            indent=False,
            layout={"width": "auto"},
        )
        super().__init__(self._parts, layout={"flex_flow": "row wrap", "align_items": "center"})
        self.add_class("nbs-filters")

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.search, self.agent, self.tag, self.age, self.here

    def on_change(self, act: Callable[[], object]) -> None:
        """Call back when a person changes what is searched for."""
        for part in self._parts:
            part.observe(lambda change: None if self._offering == get_ident() else act(), "value")

    @property
    def are_set(self) -> bool:
        """Whether anything is searched for."""
        parts = self.search.value.strip(), self.agent.value, self.tag.value, self.age.index, self.here.value
        return any(parts)

    def wanted(self) -> dict[str, Any]:
        """Return what is searched for, as `Store.page` takes it.

        Raises
        ------
        InvalidInput
            Only sessions of this notebook are wanted, and it is not known where it is saved.
        """
        days = _AGES[self.age.value]
        return {
            **searched(self.search.value),
            "agent_name": self.agent.value or None,
            "tag": self.tag.value or None,
            "notebook": self._path() if self.here.value else None,
            "since": None if days is None else now() - timedelta(days=days),
        }

    def _path(self) -> str:
        found = self._notebook()
        if found is None:
            self.here.value = False
            raise InvalidInput("It is not known where this notebook is saved.")
        return found

    def offer(self, records: Sequence[SessionRecord]) -> None:
        """Offer the agents and tags of these sessions; what is chosen stays."""
        self._offer(self.agent, "any agent", (record.agent_name for record in records))
        self._offer(self.tag, "any tag", (tag for record in records for tag in record.tags))

    def _offer(self, part: Any, all: str, found: Iterable[str]) -> None:
        chosen = part.value
        options = [(all, ""), *((one_line(one, 40), one) for one in sorted({*found, chosen} - {""}))]
        if [*part.options] == options:
            return
        self._offering = get_ident()
        try:
            with part.hold_sync():
                part.options = options
                part.value = chosen
        finally:
            self._offering = None
