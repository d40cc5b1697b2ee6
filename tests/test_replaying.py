from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbsessions import EventPage, InvalidInput, Run, Session, Store
from nbsessions.replaying import replay


def slow(prompt: str) -> Iterator[str]:
    import time

    yield "Let me see. "
    time.sleep(0.25)
    yield f"{prompt}!"


def shown(
    session: Session, run: Run, capsys: pytest.CaptureFixture[str], **options: Any
) -> tuple[list[str], list[float]]:
    slept: list[float] = []

    def page(after: int, limit: int) -> EventPage:
        return session.run_events(run.run_id, after=after, limit=limit)

    capsys.readouterr()
    replay(session.runs()[-1], page, label="plan", sleep=slept.append, **options)
    return capsys.readouterr().out.splitlines(), slept


def test_a_run_is_shown_again_in_its_own_time(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=slow)
    lines, slept = shown(session, run, capsys)
    assert lines[:2] == ["Hello", "Let me see. Hello!"]
    assert "slow · " in lines[-1]
    assert lines[-1].endswith("completed, replayed: no tokens spent")
    assert 0.1 < sum(slept) < 5
    assert session.turn_count == 1


def test_the_speed_divides_the_time(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=slow)
    _, normal = shown(session, run, capsys)
    _, fast = shown(session, run, capsys, speed=10)
    _, at_once = shown(session, run, capsys, speed=0)
    assert sum(fast) == pytest.approx(sum(normal) / 10)
    assert at_once == []


def test_a_failed_run_shows_where_it_failed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(prompt: str) -> Iterator[str]:
        yield "Well, "
        raise ValueError("no idea")

    session = store.create("plan")
    with pytest.raises(Exception, match="no idea"):
        session.send("Hello", agent=broken)
    lines, _ = shown(session, session.runs()[0], capsys, speed=0)
    assert lines[1].startswith("Well,")
    assert any("no idea" in line for line in lines)
    assert "failed, replayed" in lines[-1]


def test_events_that_are_no_longer_kept_are_told(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=slow)
    store.backend.drop_events(run.run_id, 2)
    lines, _ = shown(session, run, capsys, speed=0)
    assert "Its first 2 events are no longer kept." in lines


def test_events_of_an_unknown_type_are_passed_over(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=lambda prompt: "Hi")
    store.backend.append_events(run.run_id, [("FROM_THE_FUTURE", '{"type":"FROM_THE_FUTURE"}')], first=5)
    assert [event.type for event in session.run_events(run.run_id)][-1] == "FROM_THE_FUTURE"
    lines, _ = shown(session, run, capsys, speed=0)
    assert "Hi" in lines


@pytest.mark.parametrize("speed", [-1, float("nan")])
def test_a_speed_that_is_none_is_refused(store: Store, speed: float) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=lambda prompt: "Hi")
    with pytest.raises(InvalidInput, match="The speed must be 0 or more"):
        replay(run, lambda after, limit: session.run_events(run.run_id), speed=speed)


@pytest.mark.parametrize("lost", [{1}, {4}, {3, 4}])
def test_what_is_missing_is_told(store: Store, lost: set[int], capsys: pytest.CaptureFixture[str]) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=lambda prompt: "Hi")
    whole = session.run_events(run.run_id)

    def page(after: int, limit: int) -> EventPage:
        kept = [event for event in whole if event.seq > after and event.seq not in lost]
        return EventPage(kept[:2], after=after, limit=2, event_count=5)

    replay(run, page, speed=0, label="plan")
    assert f"Of the others, {len(lost)} are missing." in capsys.readouterr().out
