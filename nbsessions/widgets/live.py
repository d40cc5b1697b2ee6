"""What the widgets share: a store that they follow, errors that they show, a form for where none runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from nbsessions.exceptions import InvalidInput, NbsessionsError
from nbsessions.widgets.watching import watch

if TYPE_CHECKING:
    from nbsessions.cleanup import Report
    from nbsessions.store import Store
    from nbsessions.stores.base import Backend
    from nbsessions.workspace import Workspace


class Live:
    """What follows a store, before the kind of widget among the bases of a class.

    Callbacks come on any thread, also two at once: what a widget does, it does under its lock.
    """

    _end: Callable[[], None] = staticmethod(lambda: None)

    def _follow(self, backend: Backend) -> None:
        """Begin to follow a store; `close` ends it."""
        self.lock = threading.RLock()
        self._is_wrong = False
        self._end = watch(backend, self.refresh)

    def refresh(self) -> None:
        """Look at the store again, as a widget does by itself when something has changed.

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

    def close(self) -> None:
        """Follow the store no longer, and take the widget away.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.HistoryTable(nbs.open_store("memory:")).close()
        """
        self._end()
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


def report_line(report: Report) -> str:
    """Return what was done, without how a program takes it back: here is a button.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from nbsessions.changing import tag
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


def is_same(backend: Backend, other: Backend) -> bool:
    """Tell whether two are one store, also where it was opened twice."""
    return backend is other or (backend.persistent and backend.url == other.url)


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
