"""A slider through the events of a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ag_ui.core import BaseEvent, CustomEvent, RunStartedEvent
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Run, RunNotFound, Session, Store, StoreUnavailable
from nbsessions.display import AnswerView
from nbsessions.screens import Collected
from nbsessions.widgets import RunReplay, watching
from tests.test_rendering import assert_safe
from tests.views import call, text, thinking
from tests.widgets.waiting import until

EVENTS = [
    RunStartedEvent(thread_id="s", run_id="r"),
    *thinking("I should ", "add."),
    *text("Let me ", "see."),
    *call("add", '{"a": 1, "b": 2}', "3"),
    *call("mul", '{"a": 1, "b": 2}', call_id="never"),
    CustomEvent(name="nbsessions.context", value={"dropped": 2}),
    *text("It is ", "**3**.", message="m2"),
]


def recorded(store: Store, events: list[BaseEvent]) -> Run:
    """A run that is under way and has told these events, a second apart."""
    session = store.create()
    with pytest.raises(nbs.RunFailed):
        session.send("Hello", agent=_broken)
    run = session.runs()[0]
    began = int(run.started_at.timestamp() * 1000)
    rows = []
    for number, event in enumerate(events):
        data = event.model_dump(mode="json", by_alias=True) | {"timestamp": began + 1000 * number}
        rows.append((event.type.value, json.dumps(data)))
    store.backend.append_events(run.run_id, rows, first=run.event_count)
    return store.run(run.run_id)


def _broken(prompt: str) -> str:
    raise ValueError("no idea")


def shown(replay: RunReplay) -> str:
    return "".join(part.value for part in replay._answer.children)


def live(events: list[BaseEvent]) -> list[str]:
    """What was on the screen after these events, while they came."""
    screen = Collected()
    view = AnswerView(screen=screen, title="Hello")
    for event in events:
        view.event(event)
    view.flush()
    return [segment.html() for segment in screen.segments if segment.visible]


@pytest.fixture
def memory() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


@given(positions=st.lists(st.integers(0, len(EVENTS)), min_size=1, max_size=12), page=st.integers(1, 9))
def test_each_position_looks_as_it_did_whatever_way_leads_there(positions: list[int], page: int) -> None:
    with pytest.MonkeyPatch.context() as patch, nbs.open_store("memory:") as store:
        patch.setattr("nbsessions.replaying._PAGE", page)
        run = recorded(store, EVENTS)
        before = run.event_count - len(EVENTS)
        replay = RunReplay(run, store)
        for position in positions:
            replay.position = before + position
            if before + position < run.event_count:
                # The run failed before it told these, for the sake of this test.
                rest = [html for html in _parts(replay) if "no idea" not in html]
                assert rest == live(EVENTS[:position])
        replay.close()


def _parts(replay: RunReplay) -> list[str]:
    return [
        replay._segment_html(segment) for segment in replay._tape.answer(replay.position) if segment.visible
    ]


def test_the_label_tells_the_event_and_its_time(memory: Store) -> None:
    run = recorded(memory, EVENTS)
    before = run.event_count - len(EVENTS)
    replay = RunReplay(run.run_id[-8:], memory)
    assert replay.told == f"event {run.event_count} of {run.event_count} · TEXT_MESSAGE_END · 22.0 s"
    replay.position = before + 2
    assert replay.told == f"event {before + 2} of {run.event_count} · REASONING_MESSAGE_START · 1.0 s"
    assert replay.told in replay._label.value
    replay.position = 0
    assert replay.told == f"event 0 of {run.event_count}"
    assert "Let me" not in shown(replay)


def test_buttons_lead_from_event_to_event(memory: Store) -> None:
    replay = RunReplay(memory.create().send("Hello", agent=lambda prompt: "Hi"), memory)
    assert (replay.position, replay._on.disabled, replay._back.disabled) == (5, True, False)
    assert ("Hi" in shown(replay), "completed" in shown(replay)) == (True, True)
    for _ in range(3):
        replay._back.click()
    assert (replay.position, replay._on.disabled) == (2, False)
    assert "Hi" not in shown(replay)
    replay._on.click()
    assert (replay.position, "Hi" in shown(replay)) == (3, True)
    for _ in range(5):
        replay._back.click()
    assert (replay.position, replay._back.disabled) == (0, True)


def test_a_step_through_a_long_run_is_small(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word {number}, " + "\n\n" * (number % 50 == 0) for number in range(9_000)]
    long = [*text(*words), *(event for n in range(200) for event in call("add", "{}", "3", f"c{n}"))]
    run = recorded(memory, long)
    replay = RunReplay(run, memory)
    asked: list[int] = []
    sent: list[str] = []
    events = memory.backend.events

    def counted(run_id: str, *, after: int = -1, limit: int | None = None) -> Any:
        asked.append(limit or 10**9)
        return events(run_id, after=after, limit=limit)

    monkeypatch.setattr(memory.backend, "events", counted)
    replay.position = 5_000
    for part in replay._answer.children:
        part.observe(lambda change: sent.append(change.new), "value")
    for position in (5_001, 5_002, 4_999, 4_990, 5_010):
        replay.position = position
    assert sum(asked) <= 3 * 500, "a page or two, however often"
    assert len(sent) == 5
    assert max(map(len, sent)) < 10_000
    assert "characters before" in sent[-1]
    assert "word 5000" in sent[-1]
    replay.position = run.event_count - 1
    sent.clear()
    for part in replay._answer.children:
        part.observe(lambda change: sent.append(change.new), "value")
    replay.position -= 5
    assert max(map(len, sent)) < 10_000, "what stands before is there already"
    assert "characters before" not in shown(replay)
    assert "word 8999" in replay._html(), "where no widget runs, all of it is there"


def test_where_no_widget_runs_the_whole_run_is_shown(memory: Store) -> None:
    run = recorded(memory, EVENTS)
    replay = RunReplay(run, memory)
    replay.position = 1
    data, _ = replay._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    lines = data["text/plain"].splitlines()
    assert lines[0] == "Hello"
    assert "▸ add(a=1, b=2) → 3" in lines
    assert lines[-2] == "It is **3**."
    assert "failed, replayed: no tokens spent" in lines[-1]
    assert "<strong>3</strong>" in data["text/html"]
    assert_safe(data["text/html"])


def test_what_is_hostile_stays_text(memory: Store) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) \x1b[2J\u202e"
    run = recorded(memory, [*thinking(evil), *text(evil), *call(evil, json.dumps({"x": evil}), evil)])
    memory.backend.append_events(run.run_id, [(evil, json.dumps({"type": evil}))], first=run.event_count)
    replay = RunReplay(run, memory)
    for position in range(run.event_count + 2):
        replay.position = position
        assert_safe(shown(replay))
        assert_safe(replay._label.value)
    assert "img src" in replay.told, "nothing is left out"
    assert_safe(replay._html())


def test_events_that_are_no_longer_kept_are_told(store: Store) -> None:
    run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    store.backend.drop_events(run.run_id, 2)
    replay = RunReplay(run, store)
    assert (replay.slider.min, replay.slider.max) == (2, 5)
    replay.position = 0
    assert replay.position == 2
    assert "Its first 2 events are no longer kept." in shown(replay)
    assert replay.told == "event 2 of 5"


def test_a_run_of_which_no_event_is_kept_has_no_slider(store: Store) -> None:
    run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
    store.backend.drop_events(run.run_id, 5)
    replay = RunReplay(run, store)
    assert replay.told == "No event of this run is kept."
    assert replay.children[0].layout.display == "none"
    assert "Its first 5 events are no longer kept." in str(replay)


def under_way(
    store: Store, first: str, *others: str
) -> tuple[Session, list[threading.Event], threading.Thread]:
    """Ask an agent that has said the first text, and says each other one once its event is set."""
    told, turns = threading.Event(), [threading.Event() for _ in others]

    def slow(prompt: str) -> Iterator[str]:
        yield first
        told.set()
        for turn, piece in zip(turns, others, strict=True):
            assert turn.wait(60)
            yield piece

    session = store.create("plan")
    answering = threading.Thread(target=lambda: session.send("Hello", agent=slow))
    answering.start()
    assert told.wait(60)
    return session, turns, answering


def test_a_run_that_is_under_way_goes_on(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.02)
    session, (more, seen), answering = under_way(memory, "Let me see. ", "Still looking. ", "It is 3.")
    while session.runs()[0].event_count < 3:
        pass
    replay = RunReplay(session.runs()[0], memory)
    assert "Let me see." in shown(replay)
    assert "replayed" not in shown(replay)
    more.set()
    until(lambda: "Still looking." in shown(replay))
    assert "replayed" not in shown(replay)
    seen.set()
    answering.join()
    until(lambda: "completed, replayed" in shown(replay))
    assert "It is 3." in shown(replay)
    assert replay.position == replay.slider.max == session.runs()[0].event_count
    assert "It is 3." in str(replay)


def test_callbacks_on_many_threads_leave_one_picture(memory: Store) -> None:
    run = recorded(memory, EVENTS)
    replay = RunReplay(run, memory)
    before = run.event_count - len(EVENTS)

    def drag(start: int) -> None:
        for step in range(40):
            replay.slider.value = before + (start * 7 + step * 3) % len(EVENTS)

    threads = [threading.Thread(target=drag, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    replay.position = before
    replay.position = before + 7
    assert [html for html in _parts(replay) if "no idea" not in html] == live(EVENTS[:7])
    assert "".join(_parts(replay)) == shown(replay)


def test_a_store_that_fails_is_told_and_the_widget_goes_on(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = RunReplay(recorded(memory, EVENTS), memory)
    with monkeypatch.context() as patch:
        replay._tape._pages.clear()

        def refuse(*args: Any, **options: Any) -> None:
            raise StoreUnavailable("The disk is gone <b>.")

        patch.setattr(memory.backend, "events", refuse)
        replay.position = 1
        assert "The disk is gone &lt;b&gt;." in replay._line.value
    replay.position = 2
    assert "The disk" not in replay._line.value
    assert replay.told.startswith("event 2 of ")


def test_what_could_not_be_read_of_a_run_under_way_is_read_when_it_can_be(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, (seen,), answering = under_way(memory, "Let me see. ", "It is 3.")
    replay = RunReplay(session.runs()[0], memory)
    with monkeypatch.context() as patch:

        def refuse(*args: Any, **options: Any) -> None:
            raise StoreUnavailable("The disk is gone.")

        patch.setattr(memory.backend, "events", refuse)
        seen.set()
        answering.join()
        replay.refresh()
        assert "The disk is gone." in replay._line.value
    replay.refresh()
    assert "It is 3." in shown(replay)
    assert replay.position == replay.slider.max == session.runs()[0].event_count


@pytest.mark.parametrize("wrong", [42, None, ["run"]])
def test_what_is_no_run_is_refused_in_one_line(memory: Store, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=r"RunReplay takes a run or its id, not \w+\."):
        RunReplay(wrong, memory)


def test_a_run_of_another_store_is_told_with_what_to_do(memory: Store) -> None:
    run = memory.create().send("Hello", agent=lambda prompt: "Hi")
    with nbs.open_store("memory:") as other, pytest.raises(RunNotFound, match=r"RunReplay\(run, store\)"):
        RunReplay(run, other)
    with pytest.raises(RunNotFound, match="No run 'nowhere' in this store"):
        RunReplay("nowhere", memory)
