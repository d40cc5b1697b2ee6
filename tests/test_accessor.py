"""What can be done with the sessions of a DataFrame."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, Store
from nbsessions.commands import run_line
from nbsessions.workspace import Settings, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(Settings(store=str(tmp_path / "agents.db")))
    yield workspace
    workspace.close()


@pytest.fixture
def store(workspace: Workspace) -> Store:
    for name in ("a", "b", "c"):
        workspace.store.create(name, tags=[] if name == "c" else ["draft"])
    return workspace.store


def history(workspace: Workspace) -> Any:
    return run_line(workspace, "history", face="magic", prefix="%session ")


def test_the_rows_that_a_filter_left_are_exported(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    df = history(workspace)
    folder = df[df.tags == "draft"].nbs.export(tmp_path / "out" / "new")
    assert (folder.path, len(folder)) == (tmp_path / "out" / "new", 2)
    with nbs.open_store("memory:") as other:
        assert sorted(record.name or "" for record in other.import_(folder)) == ["a", "b"]
    with pytest.raises(InvalidInput, match="exists already"):
        df.nbs.export(folder)
    df.nbs.export(folder, overwrite=True)
    assert len(os.listdir(folder)) == 3


def test_a_frame_of_something_else_has_nothing_to_act_on() -> None:
    import nbsessions.accessor  # noqa: F401 - what a frame of ours does when it is made

    with pytest.raises(AttributeError, match="frames of sessions"):
        pd.DataFrame({"x": [1]}).nbs  # noqa: B018


def test_a_frame_from_a_file_is_told_its_store(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    history(workspace).to_csv(tmp_path / "sessions.csv", index=False)
    text = (tmp_path / "sessions.csv").read_text()
    assert str(tmp_path) not in text
    df = pd.read_csv(tmp_path / "sessions.csv")
    with pytest.raises(InvalidInput, match="say store="):
        df.nbs.export(tmp_path / "out")
    assert len(df.nbs.export(tmp_path / "out", store=store).files) == 3


def test_what_a_frame_keeps_of_its_store_tells_nothing(workspace: Workspace, store: Store) -> None:
    df = history(workspace)
    kept, kind = df.attrs.values()
    assert isinstance(kept, str)
    assert (len(kept), kind) == (16, "sessions")
    assert store.url not in repr(df.attrs)
    assert df.copy().attrs == df.attrs


def test_a_store_that_is_gone_is_not_kept_alive(tmp_path: Path) -> None:
    from nbsessions.accessor import mark
    from nbsessions.frames import SESSIONS, frame

    store = nbs.open_store("memory:")
    store.create("plan")
    df = mark(frame(SESSIONS, store.list()), store)
    del store
    gc.collect()
    with pytest.raises(InvalidInput, match="say store="):
        df.nbs.export(tmp_path / "out")


def test_a_session_that_was_deleted_is_named(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    df = history(workspace)
    store.delete("b")
    with pytest.raises(InvalidInput, match="is not in the store"):
        df.nbs.export(tmp_path / "out")
    assert not os.path.exists(tmp_path / "out")


def test_sessions_of_conversations_are_told_apart(store: Store) -> None:
    from nbsessions.accessor import mark
    from nbsessions.frames import SESSIONS, frame

    for conversation in ("c1", "c2"):
        store.create(session_id="same", conversation_id=conversation)
    df = mark(frame(SESSIONS, store.list(None, conversation_id="*")), store)
    assert {record.conversation_id for record in df.nbs.records()} == {None, "c1", "c2"}
