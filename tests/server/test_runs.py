"""Runs over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from nbsessions import RunFailed, Store
from nbsessions.testing.samples import a_run
from nbsessions.values import now


def test_runs_are_told_a_page_at_a_time(client: httpx2.Client, kernel_store: Store) -> None:
    session = kernel_store.create(session_id="with runs")
    for number in range(5):
        session.send(f"prompt {number}", agent=lambda prompt: prompt.upper())

    def broken(prompt: str) -> str:
        raise ValueError("no idea")

    with pytest.raises(RunFailed):
        session.send("prompt 5", agent=broken)
    path = "/sessions/with%20runs/runs"
    page = client.get(path, params={"limit": 2}).json()
    assert [(run["prompt"], run["status"]) for run in page["runs"]] == [
        ("prompt 4", "completed"),
        ("prompt 5", "failed"),
    ]
    assert "no idea" in page["runs"][1]["error"]
    prompts = [run["prompt"] for run in page["runs"]]
    while page["previous"]:
        page = client.get(path, params={"limit": 2, "before": page["previous"]}).json()
        prompts = [run["prompt"] for run in page["runs"]] + prompts
    assert prompts == [f"prompt {number}" for number in range(6)]
    assert client.get(path, params={"before": "nowhere"}).status_code == 400


def test_a_run_is_told_by_its_exact_id(client: httpx2.Client, kernel_store: Store) -> None:
    run = kernel_store.create().send("Hello", agent=lambda prompt: "Hi")
    told = client.get(f"/runs/{run.run_id}").json()
    assert (told["prompt"], told["status"], told["event_count"]) == ("Hello", "completed", 5)
    assert client.get(f"/runs/{run.run_id[-8:]}").status_code == 404
    events = client.get(f"/runs/{run.run_id}/events", params={"after": 1, "limit": 2}).json()
    assert [event["seq"] for event in events["events"]] == [2, 3]
    assert client.get("/sessions/nowhere/runs").status_code == 404


def test_a_run_whose_process_died_is_marked(client: httpx2.Client, kernel_store: Store) -> None:
    session = kernel_store.create(session_id="left")
    for run_id in ("dead-1", "dead-2", "alive"):
        kernel_store.backend.start_run(
            a_run(session.key, run_id=run_id, **({} if run_id == "alive" else {"lease_until": now()}))
        )
    assert client.get("/runs/dead-1").json()["status"] == "interrupted"
    runs = client.get("/sessions/left/runs").json()["runs"]
    assert [run["status"] for run in runs] == ["interrupted", "interrupted", "running"]
