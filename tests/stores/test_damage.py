"""What is damaged in a database file is named, and the rest stays readable."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import nbsessions as nbs
from nbsessions import DamagedRun, DamagedSession, DamagedTurn, Message, Store, StoreError
from nbsessions.stores.base import Document, Key
from nbsessions.stores.sqlite import PAGE_SIZE
from tests.conftest import add, texts


def damage(path: Path, sql: str) -> None:
    """Change a database behind the store's back, as a bad disk does."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(sql)
        db.commit()


@pytest.fixture
def written(path: Path) -> Path:
    """A database of two sessions, closed."""
    with nbs.open_store(path) as store:
        other = store.create("other")
        add(other, "not mine")
        session = store.create("plan", tags=["draft"], state={"step": 0}, metadata={"a": 1})
        for number in range(4):
            session.send(f"prompt {number}", agent=lambda prompt: f"{prompt} answered")
            session.state = {"step": number + 1}
        session.checkpoint("here")
        session.kv()["a"] = "value"
        store.backend.put_documents(session.key, [Document("c", "a", "{}"), Document("c", "b", "{}")])
    return path


@pytest.fixture
def opened(written: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    damage(written, request.param)
    with nbs.open_store(written) as store:
        yield store


MIDDLE = "(SELECT id FROM turns WHERE body LIKE '%prompt 1%')"
LAST = "(SELECT id FROM turns WHERE body LIKE '%prompt 3%')"
TURNS = [
    f"UPDATE turns SET parent = id WHERE id = {LAST}",
    f"UPDATE turns SET parent = id WHERE id = {MIDDLE}",
    f"UPDATE turns SET parent = 999 WHERE id = {LAST}",
    f"UPDATE turns SET parent = NULL WHERE id = {LAST}",
    f"UPDATE turns SET total_messages = -1 WHERE id = {MIDDLE}",
    f"UPDATE turns SET total_messages = 99 WHERE id = {LAST}",
    f"UPDATE turns SET message_count = 9 WHERE id = {LAST}",
    f"UPDATE turns SET depth = 9 WHERE id = {MIDDLE}",
    f"UPDATE turns SET created_at = created_at + 1 WHERE id = {LAST}",
    f"UPDATE turns SET cell_id = 'x' WHERE id = {LAST}",
    f"UPDATE turns SET has_system = 1 WHERE id = {LAST}",
    f"UPDATE turns SET total_turns = 7 WHERE id = {LAST}",
    f"UPDATE turns SET codec = 'pydantic-ai' WHERE id = {LAST}",
    f"UPDATE turns SET hash = x'00' WHERE id = {LAST}",
    f"UPDATE turns SET content_hash = x'00' WHERE id = {LAST}",
    f"UPDATE turns SET body = CAST(x'5bff5d' AS TEXT) WHERE id = {LAST}",
    f"UPDATE turns SET turn_id = 'x' WHERE id = {LAST}",
    f"UPDATE turns SET system = id WHERE id = {LAST}",
]


@pytest.mark.parametrize("opened", TURNS, indirect=True)
def test_a_damaged_turn_is_named_and_the_rest_is_there(opened: Store) -> None:
    whole = [text for number in range(4) for text in (f"prompt {number}", f"prompt {number} answered")]
    session = opened.resume("plan")
    reads: list[Callable[[], list[Message]]] = [
        lambda: session.messages,
        lambda: opened.resume("plan").history(2),
    ]
    for read in reads:
        with suppress(DamagedTurn):
            found = texts(read())
            assert found == whole[-len(found) :]
    assert texts(opened.resume("other")) == ["not mine"]
    opened.verify()


def test_a_turn_that_is_said_to_stand_on_a_later_one_is_named(written: Path) -> None:
    damage(written, f"UPDATE turns SET parent = {LAST} WHERE id = {MIDDLE}")
    with closing(sqlite3.connect(written)) as db:
        (name,) = db.execute(f"SELECT turn_id FROM turns WHERE id = {MIDDLE}").fetchone()
    with nbs.open_store(written) as store, pytest.raises(DamagedTurn) as caught:
        store.resume("plan").messages  # noqa: B018 - reading them is what fails
    assert caught.value.turn_id == name


PLACES = [
    "head_turn = 'x'",
    "head_keep = 1",
    "message_count = 2",
    "turn_count = 9",
    "entry = 999",
    "entry = 1",
    "draft_entry = 1",
    "input_tokens = 9",
    "cost = 9",
    "model = 'x'",
    "updated_at = updated_at + 1",
    "entry_count = 1",
    "ended_run_count = 1",
]


@pytest.mark.parametrize("column", PLACES)
def test_a_damaged_place_or_usage_is_told_and_the_log_says_where_it_stands(
    written: Path, column: str
) -> None:
    damage(written, f"UPDATE sessions SET {column} WHERE name = 'plan'")
    with nbs.open_store(written) as store:
        with pytest.warns(RuntimeWarning, match="its place, usage or model is not what was written"):
            store.list()
        with pytest.warns(RuntimeWarning):
            session = store.resume("plan")
        assert (session.message_count, texts(session)[-1]) == (8, "prompt 3 answered")
        assert not store.verify().ok


@pytest.mark.filterwarnings("ignore:Session .* is damaged")
def test_a_damaged_usage_goes_on_to_be_told(written: Path) -> None:
    damage(written, "UPDATE sessions SET requests = 9 WHERE name = 'plan'")
    with nbs.open_store(written) as store:
        add(store.resume("plan"), "and on")
        store.resume("plan").kv()["b"] = 1
        with pytest.warns(RuntimeWarning, match="usage"):
            assert texts(store.resume("plan"))[-1] == "and on"


@pytest.mark.parametrize("opened", [*TURNS[:16], TURNS[17]], indirect=True)
def test_one_can_go_back_before_a_damaged_turn_and_go_on(opened: Store) -> None:
    session = opened.resume("plan")
    session.rewind(2)
    assert texts(session) == ["prompt 0", "prompt 0 answered"]
    add(session, "and on")
    assert texts(opened.resume("plan"))[-1] == "and on"


@pytest.mark.parametrize("opened", [TURNS[2], TURNS[4], TURNS[13], TURNS[15]], indirect=True)
def test_verifying_names_the_damage(opened: Store) -> None:
    result = opened.verify()
    assert not result.ok
    assert any(damage.turn_id for damage in result.damages)
    assert "Damaged: " in str(result)


SESSIONS = [
    "UPDATE sessions SET name = 'plam' WHERE name = 'plan'",
    "UPDATE sessions SET tags = '[\"craft\"]' WHERE name = 'plan'",
    "UPDATE sessions SET metadata = '{\"a\":2}' WHERE name = 'plan'",
    "UPDATE sessions SET agent_name = 'locale' WHERE name = 'plan'",
]


@pytest.mark.parametrize("opened", SESSIONS, indirect=True)
def test_a_damaged_record_is_told_and_its_messages_can_be_read(opened: Store) -> None:
    with pytest.warns(RuntimeWarning, match="its name, tags or metadata is not what was written"):
        (record,) = [one for one in opened.list() if one.name != "other"]
    with pytest.warns(RuntimeWarning):
        assert opened.resume(record.session_id).message_count == 8
    assert "its name, tags or metadata" in str(opened.verify())


UNREADABLE = [
    "UPDATE sessions SET tags = 'x' WHERE name = 'plan'",
    "UPDATE sessions SET metadata = '{' WHERE name = 'plan'",
    "UPDATE sessions SET created_at = 9223372036854775807 WHERE name = 'plan'",
    "UPDATE states SET body = '{' WHERE id = (SELECT state FROM sessions WHERE name = 'plan')",
    "UPDATE states SET body = '{\"step\":9}' WHERE id = (SELECT state FROM sessions WHERE name = 'plan')",
    "UPDATE sessions SET name = CAST(x'ff' AS TEXT) WHERE name = 'plan'",
]


@pytest.mark.parametrize("opened", UNREADABLE, indirect=True)
@pytest.mark.filterwarnings("ignore:Session .* is damaged")
def test_a_record_that_cannot_be_read_hides_no_other(opened: Store) -> None:
    assert "other" in [record.name for record in opened.list()]
    assert texts(opened.resume("other")) == ["not mine"]
    assert not opened.verify().ok


@pytest.mark.filterwarnings("ignore:Session .* is damaged")
@pytest.mark.parametrize(
    "opened",
    [
        "UPDATE heads SET turn = 1 WHERE id = (SELECT max(id) - 1 FROM heads)",
        "UPDATE heads SET message_count = 1 WHERE id = (SELECT max(id) FROM heads)",
        "UPDATE heads SET state = 0 WHERE id = (SELECT max(id) FROM heads)",
        "UPDATE sessions SET entry = 999 WHERE name = 'plan'",
        "UPDATE sessions SET entry = 1 WHERE name = 'plan'",
    ],
    indirect=True,
)
def test_an_undo_over_a_damaged_log_brings_nobody_elses_words(opened: Store) -> None:
    session = opened.resume("plan")
    with suppress(DamagedSession, nbs.SessionConflict):
        session.undo()
    assert "not mine" not in texts(opened.resume("plan"))
    assert not opened.verify().ok


RUNS = [
    "UPDATE runs SET status = 'nonsense'",
    "UPDATE runs SET status = 'failed'",
    "UPDATE runs SET input_tokens = 5",
    "UPDATE runs SET started_at = 9223372036854775807",
    "UPDATE runs SET agent_name = 'x'",
    "UPDATE runs SET error = 'x'",
]


@pytest.mark.parametrize("opened", RUNS, indirect=True)
def test_damaged_runs_are_told_and_left_out(opened: Store) -> None:
    session = opened.resume("plan")
    with pytest.warns(RuntimeWarning, match="its record is not what was written"):
        assert session.runs() == []
    assert session.message_count == 8


@pytest.mark.parametrize("sql", ["type = 'X'", "data = '{'", "data = replace(data, 'prompt', 'promise')"])
def test_a_damaged_event_is_named(written: Path, sql: str) -> None:
    damage(
        written, f"UPDATE events SET {sql} WHERE id = (SELECT min(id) FROM events WHERE data LIKE '%prompt%')"
    )
    with nbs.open_store(written) as store:
        session = store.resume("plan")
        runs = session.runs()
        with pytest.raises(DamagedRun, match="event"):
            [session.run_events(run.run_id) for run in runs]
        assert texts(session)[0] == "prompt 0"
        assert not store.verify().ok


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE checkpoints SET name = 'there'",
        "UPDATE checkpoints SET keep = 1",
        "UPDATE checkpoints SET turn = 1",
        "UPDATE key_values SET value = '\"other\"'",
        "UPDATE documents SET body = '[]'",
        "UPDATE documents SET name = 'c' WHERE name = 'b'",
    ],
)
def test_damaged_checkpoints_and_values_are_named(written: Path, sql: str) -> None:
    damage(written, sql)
    with nbs.open_store(written) as store:
        session = store.resume("plan")
        with pytest.raises(DamagedSession):
            (session.checkpoints(), dict(session.kv()), store.backend.documents(session.key))
        assert session.message_count == 8


LOST = {
    "DELETE FROM heads WHERE id = (SELECT max(id) - 1 FROM heads)": "number of log entries",
    "DELETE FROM heads WHERE id = (SELECT min(id) FROM heads WHERE session = 2)": "log",
    "DELETE FROM runs WHERE id = 2": "number of runs",
    "DELETE FROM checkpoints": "number of checkpoints",
    "DELETE FROM key_values": "number of key-values",
    "UPDATE heads SET session = 1 WHERE id = (SELECT max(id) FROM heads)": "log",
    "UPDATE runs SET session = 1 WHERE id = 2": "number of runs",
    "UPDATE key_values SET session = 1": "number of key-values",
    "DELETE FROM documents WHERE name = 'a'": "number of documents",
    "UPDATE documents SET session = 1": "number of documents",
    "UPDATE states SET id = 99 WHERE id = (SELECT max(id) FROM states)": "state",
    "UPDATE runs SET progressed = 1 WHERE id = 2": "record",
    "DELETE FROM events WHERE id = (SELECT max(id) FROM events)": "events are missing",
}


@pytest.mark.parametrize("sql", LOST)
def test_what_is_lost_or_of_another_is_missed(written: Path, sql: str) -> None:
    damage(written, sql)
    with nbs.open_store(written) as store:
        assert LOST[sql] in str(store.verify())
        said, gaps = read_all(store)
    assert LOST[sql] in said or gaps


def read_all(store: Store) -> tuple[str, bool]:
    """Read all of a session, and return what was told of it, and whether events are missing."""
    gaps: list[bool] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            session = store.resume("plan")
            session.log()
            gaps = [session.run_events(run.run_id).gap for run in session.runs()]
            session.checkpoints()
            dict(session.kv())
            store.backend.documents(session.key)
        except DamagedSession as error:
            return str(error), False
    return "\n".join(str(warning.message) for warning in told), any(gaps)


def test_a_session_that_its_index_has_lost_is_found(written: Path) -> None:
    with nbs.open_store(written) as store:
        one = store.resume("plan").session_id
    with closing(sqlite3.connect(written)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_sessions_1'"
        ).fetchone()
    _empty_page(written, root)
    with nbs.open_store(written) as store, pytest.warns(RuntimeWarning, match="its entry in the index"):
        record = store.backend.get(Key("", one))
    assert record is not None
    assert record.name == "plan"


def test_runs_that_their_index_has_lost_are_found(written: Path) -> None:
    with closing(sqlite3.connect(written)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs_of_session'").fetchone()
    _empty_page(written, root)
    with nbs.open_store(written) as store:
        assert len(store.resume("plan").runs()) == 4
        assert not store.verify().ok


def _empty_page(path: Path, number: int) -> None:
    """Make a page of an index one without entries: https://www.sqlite.org/fileformat2.html#b_tree_pages."""
    data = bytearray(path.read_bytes())
    start = (number - 1) * PAGE_SIZE
    data[start : start + 8] = bytes([10, 0, 0, 0, 0, PAGE_SIZE >> 8, PAGE_SIZE & 255, 0])
    path.write_bytes(data)


def test_a_damaged_schema_is_told(written: Path) -> None:
    damage(written, "ALTER TABLE runs RENAME COLUMN status TO state")
    with pytest.warns(RuntimeWarning, match=r"is damaged: its tables are not as they were made\."):
        store = nbs.open_store(written)
    with store, pytest.raises(StoreError, match="is damaged, or no database"):
        store.runs("plan")


def test_a_search_passes_over_what_is_damaged(written: Path) -> None:
    damage(written, TURNS[13])
    with nbs.open_store(written) as store:
        assert len(store.search("answered")) == 3
        store.delete("plan")
        assert store.gc() == 4
        assert [hit.session.name for hit in store.search("mine")] == ["other"]


def test_a_turn_that_is_gone_is_missed(written: Path) -> None:
    damage(written, f"DELETE FROM turns WHERE id = {LAST}")
    with nbs.open_store(written) as store:
        session = store.resume("plan")
        with pytest.raises(DamagedTurn):
            session.messages  # noqa: B018
        assert not store.verify().ok
        with pytest.warns(RuntimeWarning, match="of log entry .* is damaged: its turn"):
            assert len(texts(session.rewind(6))) == 6


@pytest.mark.parametrize("sql", [TURNS[13], TURNS[15], f"DELETE FROM turns WHERE id = {LAST}"])
def test_a_prompt_that_cannot_be_read_is_told_and_the_other_runs_are_there(written: Path, sql: str) -> None:
    damage(written, sql)
    with nbs.open_store(written) as store:
        with pytest.warns(RuntimeWarning, match="was asked cannot be read. Turn .* is damaged"):
            runs = store.runs("plan")
        assert [run.prompt for run in runs] == ["prompt 0", "prompt 1", "prompt 2", None]


@pytest.mark.parametrize("which", ["max(seq)", "1"])
def test_events_that_are_gone_are_missed(written: Path, which: str) -> None:
    with nbs.open_store(written) as store:
        run = store.runs("plan")[0]
        store.runs("plan")
    damage(written, f"DELETE FROM events WHERE run = 1 AND seq = (SELECT {which} FROM events WHERE run = 1)")
    with nbs.open_store(written) as store:
        assert store.events(run.run_id).gap
        (found,) = store.verify().damages
        assert found.what == f"Run {run.run_id}: some of its events are missing"


SHAPES = [
    ("id INTEGER PRIMARY", "id INTEGES PRIMARY"),
    ("entry BIGINT", "entrz BIGINT"),
    ("owner TEXT", "owner TEXU"),
]


@pytest.mark.parametrize(("made", "now"), SHAPES)
def test_tables_that_are_not_as_they_were_made_are_told(written: Path, made: str, now: str) -> None:
    with closing(sqlite3.connect(written, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        change = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'visits'"
        db.execute(change, (made, now))
    with pytest.warns(RuntimeWarning, match=r"is damaged: its tables are not as they were made\."):
        nbs.open_store(written).close()
