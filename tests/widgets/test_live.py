"""What all widgets do alike: they follow a store, show its errors and go on, and end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions.commands import spelled
from nbsessions.exceptions import StoreUnavailable
from nbsessions.widgets import watching
from nbsessions.widgets.live import assets, store_here
from nbsessions.workspace import Workspace
from tests.widgets.test_watching import create_elsewhere, is_watched
from tests.widgets.waiting import until

Make = Callable[[nbs.Store], Any]
WIDGETS: dict[str, Make] = {"table": nbs.HistoryTable, "picker": nbs.SessionPicker}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.02)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[nbs.Store]:
    with nbs.open_store(tmp_path / "agents.db") as store:
        yield store


@pytest.fixture(params=WIDGETS)
def make(request: pytest.FixtureRequest) -> Make:
    return WIDGETS[request.param]


def told(widget: Any) -> str:
    """Return the line below a widget."""
    return str(widget._status.get("text", "") if hasattr(widget, "_status") else widget.line.value)


def test_another_process_is_seen(make: Make, store: nbs.Store, tmp_path: Path) -> None:
    widget = make(store)
    create_elsewhere(tmp_path / "agents.db", "from elsewhere")
    until(lambda: "from elsewhere" in str(widget))
    widget.close()


def test_a_store_that_fails_is_told_and_the_widget_goes_on(
    make: Make, store: nbs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("plan")
    widget, listing = make(store), store.backend.listing
    is_down = threading.Event()

    def failing(wanted: Any) -> Any:
        if is_down.is_set():
            raise StoreUnavailable("The disk is gone.")
        return listing(wanted)

    monkeypatch.setattr(store.backend, "listing", failing)
    is_down.set()
    store.create("essay")
    until(lambda: "The disk is gone." in told(widget))
    assert "plan" in str(widget)
    is_down.clear()
    store.create("poem")
    until(lambda: "poem" in str(widget))
    assert "The disk is gone." not in told(widget)
    widget.close()


def test_commands_are_named_as_the_notebook_spells_them(
    make: Make, store: nbs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = make(store)
    workspace = Workspace(spell=lambda text: spelled(text, "%session "))
    monkeypatch.setattr("nbsessions.widgets.live.workspace_here", lambda: workspace)
    widget._tell("`new` starts another.")
    assert "`%session new` starts another." in told(widget)


def test_nobody_is_watched_for_a_closed_widget(make: Make, store: nbs.Store) -> None:
    widget = make(store)
    assert is_watched(store.backend)
    widget.close()
    widget.close()
    until(lambda: not is_watched(store.backend))


def see(widget: Any, views: int) -> None:
    """Tell a widget, as the browser does, in how many places it is seen now."""
    widget.set_state({"_view_count": views})


def test_what_nobody_sees_any_more_is_not_drawn_and_is_again_when_it_is_seen(
    make: Make, store: nbs.Store
) -> None:
    widget = make(store)
    for views in (1, 2, 1, 0):
        assert is_watched(store.backend)
        see(widget, views)
    until(lambda: not is_watched(store.backend))
    store.create("unseen")
    assert "unseen" not in str(widget)
    see(widget, 1)
    assert "unseen" in str(widget)
    store.create("seen")
    until(lambda: "\nseen" in str(widget))
    widget.close()
    see(widget, 2)
    until(lambda: not is_watched(store.backend))


def test_many_threads_at_once(make: Make, store: nbs.Store) -> None:
    """As those of sub-shells do: each has its own connection to SQLite."""
    for number in range(30):
        store.create(f"plan {number}")
    widget = make(store)

    def act(number: int) -> None:
        store.create(f"from a thread {number}")
        widget.refresh()
        widget._handle_custom_msg({"do": "nonsense"}, [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(40)))
    widget.refresh()
    assert "70 sessions" in str(widget)
    assert told(widget) in ("", '<span style=""></span>')
    widget.close()


def test_both_forms_are_saved_with_the_notebook(make: Make, store: nbs.Store) -> None:
    store.create("a <b>bold</b> plan")
    bundle, _ = make(store)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "a &lt;b&gt;bold&lt;/b&gt; plan" in bundle["text/html"]
    assert "a <b>bold</b> plan" in bundle["text/plain"]


def test_a_widget_takes_an_open_store() -> None:
    with pytest.raises(nbs.InvalidInput, match=r"such as nbs\.open_store\(\), not str"):
        store_here("agents.db")  # type: ignore[arg-type]


def test_the_browser_gets_no_address() -> None:
    """All that a widget needs travels with it."""
    names = [
        file.name for file in files("nbsessions.widgets").iterdir() if file.name.endswith((".js", ".css"))
    ]
    assert len(names) > 5
    text = assets(*names)
    assert "://" not in text
    assert "innerHTML" not in text
    assert "@import" not in text
