"""The store in a folder: its files, what is strange among them, and what is left of it after an accident."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Session, SessionExists, Store, StoreTooNew, StoreUnavailable
from nbsessions.stores import file as file_store
from nbsessions.stores.base import Change, Progress
from nbsessions.stores.file import FileBackend, edits, projection, reading
from nbsessions.stores.file.journal import Journal
from nbsessions.testing import SPENT, a_record, a_run
from tests.conftest import ROOT, Python, add, texts
from tests.disks import SmallDisk
from tests.interrupts import CtrlC

_FILES = {str(file) for file in Path(file_store.__file__ or "").parent.glob("*.py")}
TRICKY = ["a/b", "a_b", "..", ".", ".latest", "a\\b", "%2F", "a%2Fb", "~", "con", "NUL.x", "Chat", "chat"]
TRICKY += ["CHAT", " a", "a ", "ä", "日本語" * 60, "x" * 200, "a:b", "-", "😀", "a\u202fb", "nbsessions"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with opened(folder) as store:
        yield store


def opened(folder: Path) -> Store:
    return nbs.open_store(f"file:{folder}")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def said(path: Path) -> list[str]:
    return [message["content"] for message in json.loads(path.read_text())["messages"]]


def journal(folder: Path) -> Path:
    return folder / ".nbsessions" / "journal"


def saved(session_id: str, *messages: str, **more: Any) -> str:
    """Return a file as webagents writes it."""
    data: dict[str, Any] = {"session_id": session_id, "agent_name": "my-agent"}
    data |= {"created_at": "2024-01-15T10:30:00.000000", "updated_at": "2024-01-15T11:45:00.000000"}
    data["messages"] = [{"role": "user", "content": text} for text in messages]
    data |= {"metadata": {}, "input_tokens": 0, "output_tokens": 0}
    return json.dumps(data | more, indent=2)


# Layout


def test_sessions_are_files_for_their_owner_alone(store: Store, folder: Path) -> None:
    add(store.create("plan", session_id="a"), "Hello")
    store.create("plan", session_id="b", conversation_id="c")
    ours = {".nbsessions/journal", ".nbsessions/lock"}
    assert files(folder) == {"a.json", ".latest", "a2a/c/b.json", "a2a/c/.latest"} | ours
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_file_has_a_message_a_line(store: Store, folder: Path) -> None:
    add(store.create("plan", session_id="a"), "Hello", "ä 😀")
    lines = (folder / "a.json").read_text().splitlines()
    assert [json.loads(line.rstrip(","))["content"] for line in lines if '"role"' in line] == [
        "Hello",
        "ä 😀",
    ]


@pytest.mark.parametrize("url", ["file:{0}", "file://{0}", "file://localhost{0}", "file:~/x", "file:here"])
def test_a_folder_is_named_by_its_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with nbs.open_store(url.format(folder)) as store:
        assert isinstance(store.backend, FileBackend)
        where = {"file:~/x": tmp_path / "home" / "x", "file:here": tmp_path / "here"}.get(url, folder)
        assert store.backend.path == where
        assert where.is_dir()


@pytest.mark.parametrize("url", ["file:", "file://host/x", "file:x?a=b"])
def test_what_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="write file:DIR"):
        nbs.open_store(url)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StoreUnavailable, match="is no folder"):
        opened(tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine"


# Names (behaviour 35)


def test_b35_every_id_has_a_file_of_its_own(store: Store, folder: Path, tmp_path: Path) -> None:
    for session_id in TRICKY:
        add(store.create(session_id=session_id), session_id)
        add(store.create(session_id=session_id, conversation_id=session_id), session_id, "2")
    assert {path.name for path in tmp_path.iterdir()} == {"sessions"}
    names = [path.name for path in folder.glob("*.json")]
    assert len(names) == len({name.lower() for name in names}) == len(TRICKY)
    store.close()
    with opened(folder) as again:
        for session_id in TRICKY:
            assert texts(again.resume(session_id)) == [session_id]
            assert texts(again.resume(session_id, conversation_id=session_id)) == [session_id, "2"]


def test_b35_files_alone_tell_which_sessions_they_are(store: Store, folder: Path) -> None:
    ids = [session_id for session_id in TRICKY if session_id.lower() != "chat"]
    for session_id in ids:
        add(store.create(session_id=session_id), session_id)
        add(store.create(session_id=session_id, conversation_id="日本語" * 60), session_id, "2")
    store.close()
    journal(folder).unlink()
    with opened(folder) as again:
        for session_id in ids:
            assert texts(again.resume(session_id)) == [session_id]
            assert texts(again.resume(session_id, conversation_id="日本語" * 60)) == [session_id, "2"]
        assert len(again.list(None, conversation_id="*")) == 2 * len(ids)


def test_b35_ordinary_ids_are_names_as_they_are(store: Store, folder: Path) -> None:
    session_id = store.create().session_id
    store.create(session_id="Chat-7_b.c")
    assert {f"{session_id}.json", "Chat-7_b.c.json"} < files(folder)


# Links (behaviour 35)


def test_b35_links_are_not_followed(store: Store, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.json").write_text(saved("a", "secret"))
    (folder / "a.json").symlink_to(outside / "a.json")
    (folder / "gone.json").symlink_to(outside / "gone.json")
    with pytest.warns(RuntimeWarning, match="is a link, which is not followed"):
        assert store.list() == []
    for session_id in ("a", "gone"):
        with pytest.raises(StoreUnavailable, match=f"{session_id}.json is a link"):
            store.create(session_id=session_id)
    assert (outside / "a.json").read_text() == saved("a", "secret")
    assert not (outside / "gone.json").exists()


@pytest.mark.parametrize("name", ["a2a", "a2a/c"])
def test_b35_a_folder_that_is_a_link_is_left_alone(
    store: Store, folder: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.warns(RuntimeWarning, match="a link"):
        store.create(session_id="a", conversation_id="c")
    assert list(outside.iterdir()) == []
    # It is in the journal all the same, and its file is written once there is room for it.
    (folder / name).unlink()
    add(store.resume("a", conversation_id="c"), "Hello")
    assert said(folder / "a2a" / "c" / "a.json") == ["Hello"]


def test_b35_the_pointer_may_be_a_link_and_is_replaced(store: Store, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (folder / ".latest").symlink_to(tmp_path / "outside")
    store.create(session_id="a")
    assert (tmp_path / "outside").read_text() == "mine"
    assert (folder / ".latest").read_text() == "a"
    assert not (folder / ".latest").is_symlink()


@pytest.mark.parametrize("name", [".nbsessions", ".nbsessions/journal", ".nbsessions/lock"])
def test_b35_our_own_files_are_not_reached_through_links(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(outside)
    for is_there in (False, True):
        if is_there:
            outside.mkdir() if name == ".nbsessions" else outside.write_text("mine")
        with pytest.raises(StoreUnavailable):
            opened(folder)
        assert not is_there or outside.is_dir() or outside.read_text() == "mine"
        assert is_there or not outside.exists()


# What cannot be read (behaviours 14, 17, 34)

BAD: dict[str, str | bytes] = {
    "empty": "",
    "no JSON": "{",
    "cut": saved("bad", "Hello")[:-5],
    "no object": "[]",
    "no id": json.dumps({"messages": []}),
    "an id of a number": saved("bad").replace('"bad"', "7"),
    "another's id": saved("other"),
    "null updated_at": saved("bad", updated_at=None),
    "a time that is none": saved("bad", updated_at="yesterday"),
    "messages of text": saved("bad", messages="Hello"),
    "a message of text": saved("bad", messages=["Hello"]),
    "an unknown role": saved("bad", messages=[{"role": "wizard", "content": "Hello"}]),
    "metadata of a list": saved("bad", metadata=[]),
    "tokens of text": saved("bad", input_tokens="many"),
    "NaN": saved("bad", metadata={"a": float("nan")}),
    "half a character": saved("bad", metadata={"a": "\ud83d"}),
    "no UTF-8": b'{"session_id": "bad\xff"}',
    "NUL": b"\0" * 1000,
    "too deep": '{"session_id": "bad", "metadata": ' + '{"a":' * 20_000 + "1" + "}" * 20_001,
    "a huge number": '{"session_id": "bad", "input_tokens": ' + "9" * 10_000 + "}",
    "an id of two lines": saved("bad").replace('"bad"', '"bad\\n"'),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_b14_a_bad_file_is_reported_and_never_overwritten(
    store: Store, folder: Path, content: str | bytes
) -> None:
    add(store.create("plan"), "Hello")
    path = folder / "bad.json"
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    with pytest.warns(RuntimeWarning, match=r"bad\.json .*left untouched") as told:
        assert [record.name for record in store.list()] == ["plan"]
    assert len(told) == 1
    assert [record.name for record in store.list()] == ["plan"]  # and is told once
    for make in (store.create, lambda session_id: store.get(session_id)):
        with pytest.raises(StoreUnavailable, match=r"bad\.json"):
            make(session_id="bad")
    assert [line for line in store.backend.check() if "bad.json" in line]
    assert not store.verify().ok
    assert path.read_bytes() == data
    # Once it is repaired, it is a session.
    path.write_text(saved("bad", "repaired"))
    assert texts(store.resume("bad")) == ["repaired"]
    assert store.verify().ok


def test_b34_a_huge_file_is_not_read(store: Store, folder: Path) -> None:
    with open(folder / "huge.json", "wb") as file:
        file.truncate(2**40)
    with pytest.warns(RuntimeWarning, match=r"huge\.json has 1,099,511,627,776 bytes; the limit is"):
        assert store.list() == []


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_b34_what_is_no_file_is_reported(store: Store, folder: Path, kind: str) -> None:
    odd = folder / "odd.json"
    os.mkfifo(odd) if kind == "pipe" else odd.mkdir()
    with pytest.warns(RuntimeWarning, match=r"odd\.json is no file"):
        assert store.list() == []
    with pytest.raises(StoreUnavailable, match="is no file"):
        store.create(session_id="odd")


def test_b17_a_file_of_ours_that_was_damaged_is_kept_and_so_is_the_session(
    store: Store, folder: Path
) -> None:
    session = store.create("plan", session_id="a")
    add(session, "Hello")
    path = folder / "a.json"
    path.write_text(path.read_text()[:100])
    damaged = path.read_bytes()
    with pytest.warns(RuntimeWarning, match=r"a\.json is no JSON"):
        add(session, "more")
    assert texts(store.resume("plan")) == ["Hello", "more"]
    assert path.read_bytes() == damaged
    store.close()
    with opened(folder) as again:
        with pytest.warns(RuntimeWarning, match=r"a\.json is no JSON"):
            assert texts(again.resume("plan")) == ["Hello", "more"]
        path.unlink()
        add(again.resume("plan"), "most")
        assert said(path) == ["Hello", "more", "most"]
        assert again.verify().ok


def test_one_other_letter_in_a_file_of_ours_is_told_and_undo_brings_the_right_one_back(
    store: Store, folder: Path
) -> None:
    add(store.create("plan", session_id="a"), "Hello", "more", "most")
    path = folder / "a.json"
    path.write_bytes(path.read_bytes().replace(b"more", b"moRe"))
    with pytest.warns(RuntimeWarning, match=r"a\.json says something else since message 2.*`undo`"):
        session = store.resume("plan")
    assert texts(session) == ["Hello", "moRe", "most"]
    session.undo()
    assert said(path) == texts(store.resume("plan")) == ["Hello", "more", "most"]


def test_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "notes.txt").write_text("mine")
    with opened(tmp_path) as store, pytest.warns(RuntimeWarning, match=r"package\.json has no session_id"):
        assert store.list() == []
    assert (tmp_path / "package.json").read_text() == '{"name": "x"}'


def test_what_is_unknown_in_a_file_survives(store: Store, folder: Path) -> None:
    path = folder / "a.json"
    path.write_text(saved("a", "Hello", transcript=[1, {"b": None}], metadata={"x": {"y": [2.5]}}))
    add(store.resume("a"), "more")
    found = json.loads(path.read_text())
    assert found["transcript"] == [1, {"b": None}]
    assert found["metadata"]["x"] == {"y": [2.5]}
    store.close()
    with opened(folder) as again:
        again.resume("a").undo()
        assert json.loads(path.read_text())["transcript"] == [1, {"b": None}]


def test_a_file_that_lacks_most_is_read_as_webagents_reads_it(store: Store, folder: Path) -> None:
    (folder / "a.json").write_text('{"session_id": "a"}')
    record = store.record("a")
    assert (record.agent_name, record.message_count, record.metadata) == ("unknown", 0, {})
    assert record.created_at == record.updated_at


@pytest.mark.parametrize("name", ["latest", "two\nlines", "", "x" * 300, 7, None, ["a"]])
def test_a_name_that_is_none_stays_in_the_metadata(store: Store, folder: Path, name: object) -> None:
    (folder / "a.json").write_text(saved("a", "Hello", metadata={"name": name}))
    session = store.resume("a")
    assert session.name is None
    assert session.metadata == {"name": name}
    add(session, "more")
    store.close()
    with opened(folder) as again:
        assert again.record("a").name is None
        assert json.loads((folder / "a.json").read_text())["metadata"].get("name") == name


def test_names_that_webagents_gave_twice_are_told_apart(store: Store, folder: Path) -> None:
    for session_id in ("a", "b", "c"):
        (folder / f"{session_id}.json").write_text(saved(session_id, metadata={"name": "plan"}))
    assert sorted(str(record.name) for record in store.list()) == ["plan", "plan (2)", "plan (3)"]


def test_a_message_without_a_time_may_be_said_twice(store: Store, folder: Path) -> None:
    (folder / "a.json").write_text(saved("a", "ok", "ok"))
    assert texts(store.resume("a")) == ["ok", "ok"]
    (folder / "a.json").write_text(saved("a", "ok", "ok", "ok"))
    assert texts(store.resume("a")) == ["ok", "ok", "ok"]


def test_a_file_from_another_machine_comes_in_beside_ours(store: Store, folder: Path, tmp_path: Path) -> None:
    """Folders that are synchronised, each with a journal of its own."""
    add(store.create("plan", session_id="a"), "Hello")
    with opened(tmp_path / "elsewhere") as other:
        (tmp_path / "elsewhere" / "a.json").write_bytes((folder / "a.json").read_bytes())
        add(other.resume("plan"), "there")
        theirs = (tmp_path / "elsewhere" / "a.json").read_bytes()
    (folder / "a.json").write_bytes(theirs)
    assert texts(store.resume("plan")) == ["Hello", "there"]
    add(store.resume("plan"), "here")
    (folder / "a.json").write_bytes(theirs)  # an older one of ours, of which all is known
    assert texts(store.resume("plan")) == ["Hello", "there", "here"]
    with opened(tmp_path / "elsewhere") as other:
        add(other.resume("plan"), "there too")
    (folder / "a.json").write_bytes((tmp_path / "elsewhere" / "a.json").read_bytes())
    with pytest.warns(RuntimeWarning, match="kept on"):
        found = [texts(store.resume(record.session_id)) for record in store.list(None)]
    assert sorted(found) == [["Hello", "there", "here"], ["Hello", "there", "there too"]]


@given(st.data())
def test_a_file_with_any_damage_is_read_or_told(data: st.DataObject) -> None:
    record = a_record("a", name="plan", metadata={"x": [1, None, "ä"]})
    whole = bytearray(projection.render(record, ['{"role": "user", "content": "Hi"}'] * 2, {"more": 1}, 0))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(whole)))
        whole[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    with suppress(reading.Unreadable):
        saved = reading.read(bytes(whole))
        assert saved.session_id
    stamp = reading.glance(bytes(whole))
    assert stamp is None or stamp.is_whole


MESSAGES = st.lists(
    st.builds(
        lambda role, text: {"role": role, "content": text},
        st.sampled_from(["system", "user", "assistant"]),
        st.sampled_from("abc"),
    ),
    max_size=8,
)


@given(MESSAGES, MESSAGES, MESSAGES, st.integers(1, 8))
def test_an_edit_loses_nothing(base: Any, ours: Any, theirs: Any, most: int) -> None:
    """Whatever was done, all of theirs is there in the end, in its order."""
    system = [message for message in base if message["role"] == "system"]
    others = [message for message in base if message["role"] != "system"]
    for there in ([*base, *theirs], [*system, *others[-most:], *theirs], theirs):
        for now in (base, [*base, *ours]):
            edit = edits.told(now, base, there)
            kept = now if edit is None else [*(base if edit.apart else now)[: edit.keep], *edit.new]
            # The system messages come first in what was trimmed.
            rest = iter([message for message in kept if message["role"] != "system"])
            assert all(message in rest for message in there if message["role"] != "system")


# The pointer (behaviour 3)


@pytest.mark.parametrize("pointer", ["gone", "../outside", "\0\xff", "", "x" * 5000])
def test_b03_a_pointer_that_leads_nowhere_is_no_matter(store: Store, folder: Path, pointer: str) -> None:
    store.create("one")
    store.create("two", session_id="b")
    store.close()
    (folder / ".latest").write_text(pointer)
    with opened(folder) as again:
        assert again.resume().name == "two"
        add(again.resume(), "Hello")
        assert (folder / ".latest").read_text() == "b"
        again.delete("two")
        assert (folder / ".latest").read_text() == again.resume("one").session_id
        again.delete("one")
        assert not (folder / ".latest").exists()


def test_b03_a_pointer_that_is_a_folder_is_told(store: Store, folder: Path) -> None:
    (folder / ".latest").mkdir()
    with pytest.warns(RuntimeWarning, match=r"\.latest is a folder"):
        store.create("one")
    assert store.resume().name == "one"


# The journal after an accident (behaviours 33, 34)


@pytest.mark.parametrize("left", [1, 40, -1])
def test_b33_a_line_that_was_cut_off_is_dropped(folder: Path, left: int) -> None:
    with opened(folder) as store:
        session = store.create("plan", session_id="a")
        add(session, "Hello")
        *_, before = journal(folder).read_bytes().splitlines(keepends=True)
        written = (folder / "a.json").read_bytes()
        add(session, "lost")
        whole = journal(folder).read_bytes()
    (folder / "a.json").write_bytes(written)
    start = whole.index(before) + len(before)
    journal(folder).write_bytes(whole[: start + left] if left > 0 else whole[:left])
    with opened(folder) as store:
        session = store.resume("plan")
        assert texts(session) == ["Hello"]
        add(session, "again")
        assert store.verify().ok
    with opened(folder) as store:
        assert texts(store.resume("plan")) == ["Hello", "again"]


def test_b34_a_line_that_is_damaged_is_named_and_kept(folder: Path) -> None:
    with opened(folder) as store:
        for name in ("one", "two", "three"):
            add(store.create(name, session_id=name), "Hello", f"sPoilt {name}", "more")
    data = journal(folder).read_bytes()
    damaged = data.replace(b"sPoilt two", b"spoilt two")
    journal(folder).write_bytes(damaged)
    (folder / "two.json").unlink()
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match=r"journal: line \d+ is damaged\. The rest can be read\."):
            store = opened(folder)
        assert texts(store.resume("one")) == ["Hello", "sPoilt one", "more"]
        with pytest.raises(nbs.DamagedTurn):
            _ = store.resume("two").messages
        assert any("is damaged" in line for line in store.backend.check())
        assert not store.verify().ok
        store.close()
    with pytest.warns(RuntimeWarning, match="is damaged"):
        store = opened(folder)
    # Before it, one can go on; and what is deleted goes, where it can be read.
    session = store.resume("two").rewind(0)
    add(session, "again")
    assert texts(session) == ["again"]
    store.delete("three")
    store.gc()
    store.close()
    assert b"spoilt two" in journal(folder).read_bytes()
    assert b"sPoilt three" not in journal(folder).read_bytes()
    with pytest.warns(RuntimeWarning, match="is damaged"):
        store = opened(folder)
    assert [record.name for record in store.list()] == ["two", "one"]
    store.close()


def test_b34_lines_that_are_missing_are_told(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("plan"), "a", "b", "c")
    lines = journal(folder).read_bytes().splitlines(keepends=True)
    del lines[3]
    journal(folder).write_bytes(b"".join(lines))
    with pytest.warns(RuntimeWarning, match="some are missing"):
        opened(folder).close()


def test_b34_a_session_whose_beginning_is_lost_comes_back_from_its_file(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("sPoilt", session_id="a"), "Hello", "more")
    data = journal(folder).read_bytes().replace(b"sPoilt", b"spoilt", 1)
    journal(folder).write_bytes(data)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        store = opened(folder)
    session = store.resume("a")
    assert (session.name, texts(session)) == ("sPoilt", ["Hello", "more"])
    assert len(session.turns) == 2
    store.close()


def test_b34_a_journal_of_a_newer_version_is_refused_untouched(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("plan"), "Hello")
    data = journal(folder).read_bytes().replace(b'"version":1', b'"version":9', 1)
    journal(folder).write_bytes(data)
    with pytest.raises(StoreTooNew, match="schema 9"):
        opened(folder)
    assert journal(folder).read_bytes() == data


def test_b34_a_line_that_a_newer_version_wrote_is_refused_untouched(folder: Path) -> None:
    with opened(folder) as store:
        backend = store.backend
        assert isinstance(backend, FileBackend)
        with backend._changing():
            backend._write([["dream", 1]])
    data = journal(folder).read_bytes()
    with pytest.raises(StoreTooNew):
        opened(folder)
    assert journal(folder).read_bytes() == data


@pytest.mark.parametrize("content", [b"mine\n", b"mine", b"\0" * 5000, b"{}\n{}\n"])
def test_b34_another_programs_journal_is_refused_untouched(folder: Path, content: bytes) -> None:
    journal(folder).parent.mkdir(parents=True)
    journal(folder).write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"no journal of nbsessions|left untouched"):
        opened(folder)
    assert journal(folder).read_bytes() == content


def test_b34_an_empty_journal_is_one_that_was_not_made_yet(folder: Path) -> None:
    journal(folder).parent.mkdir(parents=True)
    journal(folder).touch()
    with opened(folder) as store:
        add(store.create("plan"), "Hello")
    with opened(folder) as store:
        assert texts(store.resume("plan")) == ["Hello"]


def test_a_journal_that_is_lost_leaves_what_the_files_say(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("plan", session_id="a", metadata={"x": 1}), "Hello", "more")
    journal(folder).unlink()
    with opened(folder) as store:
        session = store.resume("plan")
        assert (texts(session), session.metadata) == (["Hello", "more"], {"x": 1})
        assert store.verify().ok


@pytest.mark.parametrize("what", ["folder", "journal", "ours"])
def test_what_is_removed_while_it_is_open_is_told(store: Store, folder: Path, what: str) -> None:
    session = store.create("plan")
    add(session, "Hello")
    away = {"folder": folder, "ours": folder / ".nbsessions", "journal": journal(folder)}[what]
    os.rename(away, folder.with_name("away"))
    with pytest.raises(StoreUnavailable, match=r"removed|replaced|no such"):
        add(session, "more")
    os.rename(folder.with_name("away"), away)
    add(session, "more")
    assert texts(store.resume("plan")) == ["Hello", "more"]


def test_another_folder_in_its_place_is_told(store: Store, folder: Path) -> None:
    session = store.create("plan")
    os.rename(folder, folder.with_name("away"))
    opened(folder).close()
    with pytest.raises(StoreUnavailable, match="replaced while it was open"):
        add(session, "more")


# Dying in between

DYING = """
import os, sys
import nbsessions as nbs
from nbsessions.stores.file import FileBackend, edits, projection, reading

store = nbs.open_store(f"file:{sys.argv[1]}")
session = store.resume("plan")
die = lambda *args: os._exit(0)
setattr(FileBackend, sys.argv[2], die)
exec(sys.argv[3])
"""


def die(folder: Path, at: str, doing: str) -> None:
    subprocess.run([sys.executable, "-c", DYING, str(folder), at, doing], cwd=ROOT, check=True)


def test_a_file_that_was_not_written_any_more_is_written_by_the_next(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("plan", session_id="a"), "Hello")
    die(folder, "project", "session.add_message({'role': 'user', 'content': 'more'})")
    assert said(folder / "a.json") == ["Hello"]
    with opened(folder) as store:
        assert texts(store.resume("plan")) == ["Hello", "more"]
        store.create("other")
        assert said(folder / "a.json") == ["Hello", "more"]
        assert len(store.resume("plan").log()) == 3


def test_a_file_that_was_not_removed_any_more_does_not_bring_its_session_back(folder: Path) -> None:
    with opened(folder) as store:
        add(store.create("plan", session_id="a"), "Hello")
    die(folder, "unlink", "store.delete('plan')")
    assert (folder / "a.json").exists()
    with opened(folder) as store:
        assert store.list() == []
        store.create("other")
        assert not (folder / "a.json").exists()
        assert [record.name for record in store.list()] == ["other"]


def test_a_file_that_was_not_redacted_any_more_is_by_the_next(folder: Path) -> None:
    with opened(folder) as store:
        session = store.create("plan", session_id="a")
        add(session, "My password is hunter2")
        session.fork("other")
    die(folder, "project", "session.redact(0)")
    assert "hunter2" in (folder / "a.json").read_text()
    with opened(folder) as store:
        assert texts(store.resume("plan")) == ["[redacted]"]
        store.create("third")
    assert not [path for path in folder.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_nothing_is_left_of_what_was_deleted_redacted_or_collected(store: Store, folder: Path) -> None:
    session = store.create("plan", session_id="a")
    session.send("hunter1", agent=lambda prompt: "hunter1")
    add(session, "hunter2")
    add(store.create("other"), "hunter3")
    session.rewind(2)
    session.redact(0)
    session.redact(1)
    store.delete("other")
    for run in session.runs():
        store.backend.redact_run(run.run_id)
    store.delete("plan")
    store.gc()
    store.close()
    for path in folder.rglob("*"):
        assert path.is_dir() or b"hunter" not in path.read_bytes(), path


def test_what_was_superseded_goes_from_the_journal(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbsessions.stores.file.transactions._SPARE", 20_000)
    session = store.create("plan")
    run = a_run(session.key)
    store.backend.start_run(run)
    for number in range(2000):
        store.backend.renew_lease(run.run_id, number)
        store.backend.save_progress(Progress(run.run_id, "chat", f'["{number}"]', SPENT))
    assert journal(folder).stat().st_size < 60_000
    with opened(folder) as again:
        assert again.backend.progress(run.run_id) == Progress(run.run_id, "chat", '["1999"]', SPENT)
    add(session, "Hello")


# Ctrl-C


CALLS: dict[str, Callable[[Store, Session], object]] = {
    "create": lambda store, session: store.create("other", session_id="b", state={"a": 1}),
    "message": lambda store, session: add(session, "more"),
    "rename": lambda store, session: session.rename("essay"),
    "change several": lambda store, session: store.backend.update_all(
        [Change(session.key, {"name": "essay"}, {"name": "plan"})], 1
    ),
    "delete": lambda store, session: store.delete("plan"),
    "redact": lambda store, session: session.redact(0),
    "take in": lambda store, session: store.list(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_interrupt_at_any_line_leaves_all_or_nothing(
    call: Callable[[Store, Session], object], tmp_path: Path
) -> None:
    for nth in count(1, 23):
        folder = tmp_path / str(nth)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store = opened(folder)
            session = store.create("plan", session_id="a")
            session.send("Hello", agent=lambda prompt: "Hi")
            (folder / "new.json").write_text(saved("new", "from outside"))
            interrupt = CtrlC(nth, _FILES)
            with suppress(KeyboardInterrupt), interrupt:
                call(store, session)
            if interrupt.where is None:
                break
            for again in (store, opened(folder)):
                assert again.verify().ok, interrupt.where
                seen = {record.session_id: texts(again.resume(record.session_id)) for record in again.list()}
                assert seen.pop("new") == ["from outside"], interrupt.where
                assert seen.get("a") in (
                    None,
                    ["Hello", "Hi"],
                    ["Hello", "Hi", "more"],
                    ["[redacted]", "Hi"],
                ), interrupt.where
                add(again.create("last"), "done")
                again.delete("last")
                for session_id, held in seen.items():
                    assert said(folder / f"{session_id}.json") == held, interrupt.where
                assert not (folder / ".nbsessions" / "begun").exists()
                again.close()
    assert nth > 20


# A disk that is full, or that cannot be written


def test_a_full_disk_refuses_and_loses_nothing(small_disk: SmallDisk) -> None:
    folder = small_disk.folder / "sessions"
    with opened(folder) as store:
        session = store.create("plan", session_id="a")
        add(session, "Hello")
        small_disk.fill()
        with pytest.raises(StoreUnavailable, match="is full: nothing was saved"):
            add(session, *(f"{number} {'x' * 20_000}" for number in range(20)))
        kept = texts(store.resume("plan"))
        assert [record.name for record in store.list()] == ["plan"]
        small_disk.free()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session.refresh()
            add(session, "again")
        assert texts(store.resume("plan")) == [*kept, "again"]
        assert said(folder / "a.json") == [*kept, "again"]
        assert store.verify().ok


def test_a_file_for_which_there_is_no_room_is_written_later(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create("plan", session_id="a")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("nbsessions.stores.file.folder.Folder.replace", full)
        with pytest.warns(RuntimeWarning, match=r"a\.json could not be written .* whole in \.nbsessions"):
            add(session, "Hello")
    assert texts(store.resume("plan")) == ["Hello"]
    assert said(folder / "a.json") == []
    store.create("other")
    assert said(folder / "a.json") == ["Hello"]


def test_what_cannot_be_written_can_be_read(small_disk: SmallDisk, python: Python) -> None:
    folder = small_disk.folder / "sessions"
    with opened(folder) as store:
        add(store.create("plan", session_id="a"), "Hello")
    (folder / "b.json").write_text(saved("b", "from outside"))
    small_disk.protect()
    before = journal(folder).read_bytes()
    with opened(folder) as store:
        for _ in range(2):
            assert sorted(record.session_id for record in store.list()) == ["a", "b"]
        assert texts(store.resume("b")) == ["from outside"]
        assert texts(store.resume("plan")) == ["Hello"]
        assert store.verify().ok
        assert len(store.search("outside")) == 1
        with pytest.raises(StoreUnavailable, match="is read-only: nothing was saved"):
            store.create("other")
        small_disk.unprotect()
        with opened(folder) as other:
            add(other.resume("plan"), "more")
        small_disk.protect()
        assert texts(store.resume("plan")) == ["Hello", "more"]
        assert texts(store.resume("b")) == ["from outside"]
    assert len(journal(folder).read_bytes()) > len(before)


def test_a_folder_of_webagents_can_be_read_where_nothing_can_be_written(small_disk: SmallDisk) -> None:
    folder = small_disk.folder / "sessions"
    folder.mkdir()
    (folder / "a.json").write_text(saved("a", "Hello"))
    small_disk.protect()
    with opened(folder) as store:
        assert texts(store.resume("a")) == ["Hello"]
        with pytest.raises(StoreUnavailable, match="is read-only"):
            add(store.resume("a"), "more")
    small_disk.unprotect()
    assert files(folder) == {"a.json"}


# Many at once


def test_what_another_process_wrote_is_seen_at_once(store: Store, folder: Path, python: Python) -> None:
    add(store.create("plan"), "Hello")
    code = """
import sys, nbsessions as nbs
with nbs.open_store(f"file:{sys.argv[1]}") as store:
    store.resume("plan").add_message({"role": "user", "content": "more"})
    store.create("other")
    store.delete("other")
"""
    for number in range(1, 3):
        python(code, folder)
        assert len(texts(store.resume("plan"))) == number + 1
        assert [record.name for record in store.list()] == ["plan"]
    with pytest.raises(SessionExists):
        store.create("plan")


def test_a_journal_that_others_cut_back_is_read_anew(folder: Path) -> None:
    """A line may be gone again that was read: who wrote it could not make it durable."""
    with opened(folder) as store, opened(folder) as other:
        session = store.create("plan", session_id="a")
        add(session, "Hello")
        size = journal(folder).stat().st_size
        add(session, "lost")
        assert texts(other.resume("plan")) == ["Hello", "lost"]
        with open(journal(folder), "r+b") as file:
            file.truncate(size)
        (folder / "a.json").unlink()
        with opened(folder) as third:
            add(third.resume("plan"), "another")
        assert texts(other.resume("plan")) == ["Hello", "another"]
        assert texts(store.resume("plan")) == ["Hello", "another"]


def test_closing_twice_is_allowed_and_what_comes_then_is_refused(store: Store) -> None:
    session = store.create("plan")
    store.close()
    store.close()
    for call in (store.list, lambda: add(session, "Hello"), lambda: store.create("other")):
        with pytest.raises(StoreUnavailable, match="is closed"):
            call()


def test_lines_of_the_journal_are_text(store: Store, folder: Path) -> None:
    add(store.create("plan"), "Hello ä")
    for line in journal(folder).read_text().splitlines():
        json.loads(line[18:])
    assert isinstance(Journal, type)
