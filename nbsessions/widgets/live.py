"""What the widgets share: a store that they follow, errors that they show, a form for where none runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from nbsessions.exceptions import InvalidInput, NbsessionsError
from nbsessions.rendering import escape
from nbsessions.widgets.watching import watch

if TYPE_CHECKING:
    from nbsessions.bulk.reports import Report
    from nbsessions.store import Store
    from nbsessions.stores.base import Backend
    from nbsessions.workspace import Workspace

_LETTERS: Final = 3
"""From so many on, what was said is searched, too: fewer are in nearly all of it."""


class Live:
    """What follows a store, before the kind of widget among the bases of a class.

    Callbacks come on any thread, also two at once: what a widget does, it does under its lock.
    """

    _end: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # A number makes the browser count where the widget is seen.
        super().__init__(*arguments, _view_count=0, **options)  # type: ignore[call-arg]

    def _follow(self, backend: Backend) -> None:
        """Begin to follow a store; `close` ends it, and so does, until it is seen again, its last view."""
        self.lock = threading.RLock()
        self._is_wrong = False
        self._backend: Backend | None = backend
        self._end = watch(backend, self.refresh)
        self.observe(self._count_views, "_view_count")  # type: ignore[attr-defined]

    def _count_views(self, change: Any) -> None:
        # Each time that a cell is run again, the widget of before stays in the kernel: it shall not go on
        # reading the store at every change.
        with self.lock:
            if not change.new:
                self._rest()
            elif self._end is None and self._backend is not None:
                self._end = watch(self._backend, self.refresh)
                self.refresh()

    def _rest(self) -> None:
        """Follow the store no longer."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def _stop(self) -> None:
        """Never follow the store again: there will be nothing new."""
        self._backend = None
        self._rest()

    def refresh(self) -> None:
        """Look at the store again, as a widget that is seen does by itself when something has changed.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> table = nbs.HistoryTable(store)
        >>> _ = store.create("plan")
        >>> table.refresh()
        >>> print(table)
        Name  Agent  Tags  Turns  Messages  Tokens  Cost  Updated
        plan  local        0      0         0             ...
        1 session
        """
        self._show(self._look)

    def _look(self) -> None:
        """Read what is shown from the store."""
        raise NotImplementedError

    def _tell(self, text: str, *, is_error: bool = False, can_undo: bool = False) -> None:
        """Show a line, in place of the one before; commands are named as the notebook spells them."""
        self._is_wrong = False
        workspace = workspace_here()
        self._show_line(text if workspace is None else workspace.spell(text), is_error, can_undo)

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line, as this kind of widget does."""
        raise NotImplementedError

    def _show(self, draw: Callable[[], object]) -> None:
        """Show what is read from the store, or what is wrong where it fails, until it can be read again."""
        with self.lock:
            try:
                draw()
            except NbsessionsError as error:
                self._tell(str(error), is_error=True)
                self._is_wrong = True
            else:
                # What a button told stays.
                if self._is_wrong:
                    self._tell("")

    def _attempt(self, act: Callable[[], object]) -> None:
        """Do something, and show what is wrong where it fails; the widget goes on."""
        with self.lock:
            try:
                act()
            except NbsessionsError as error:
                self._tell(str(error), is_error=True)

    def _heard(self) -> None:
        """Tell the browser that it was heard, also where nothing is to be shown anew."""
        self.send("answered")  # type: ignore[attr-defined]

    def close(self) -> None:
        """Follow the store no longer, and take the widget away.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.HistoryTable(nbs.open_store("memory:")).close()
        """
        self._stop()
        super().close()  # type: ignore[misc]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        data, metadata = _two(super()._repr_mimebundle_(**options))  # type: ignore[misc]
        return {**data, "text/html": self._html(), "text/plain": str(self)}, metadata

    def _html(self) -> str:
        """Return what is shown where no widget runs: GitHub, nbconvert."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)


def _two(bundle: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if isinstance(bundle, tuple):
        data, metadata = bundle
        return data, metadata
    return bundle or {}, {}


def line_html(text: str, is_error: bool) -> str:
    """Return the line that plain widgets show, as HTML that cannot do anything.

    Examples
    --------
    >>> line_html("<b>", False)
    '<span style="">&lt;b&gt;</span>'
    """
    edge = "border-left:3px solid var(--jp-error-color1, #c62828);padding-left:8px" if is_error else ""
    return f'<span style="{edge}">{escape(text)}</span>'


def report_line(report: Report) -> str:
    """Return what was done, without how a program takes it back: here is a button.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.bulk.changing import tag
    >>> store = nbs.open_store("memory:")
    >>> report_line(tag(store, [store.create("plan").record], ["old"]))
    "Tagged 1 session with 'old': 'plan'."
    """
    return str(report).replace(" `undo()` of this report takes it back.", "")


def assets(*names: str) -> str:
    """Return files of this package, one after the other: what the browser gets travels with the widget."""
    return "\n".join((files(__package__) / name).read_text(encoding="utf-8") for name in names)


def workspace_here() -> Workspace | None:
    """Return the workspace of the magics of this kernel, where they are loaded."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    magics = None if shell is None else shell.magics_manager.registry.get("SessionMagics")
    found: Workspace | None = getattr(magics, "workspace", None)
    return found


def searched(text: str) -> dict[str, Any]:
    """Return what is searched for, as `Store.page` takes it.

    Examples
    --------
    >>> searched("owl"), searched("ow")
    ({'text': 'owl', 'said': True}, {'text': 'ow', 'said': False})
    """
    return {"text": text, "said": len(text.strip()) >= _LETTERS}


def store_here(store: Store | None) -> Store:
    """Return a store, or the current one of the notebook where there is none."""
    from nbsessions.store import Store, open_store

    if isinstance(store, Store):
        return store
    if store is not None:
        raise InvalidInput(
            f"A widget takes an open store, such as nbs.open_store(), not {type(store).__name__}."
        )
    workspace = workspace_here()
    return open_store() if workspace is None else workspace.store
