"""No key reaches a disk."""

from __future__ import annotations

import json
import logging
import random
import re
import signal
import sqlite3
import uuid
import warnings
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

import nbsessions as nbs
from nbsessions import InvalidInput, Store
from nbsessions.formats import all_formats
from nbsessions.secrets import Secrets
from nbsessions.stores.base import WRITTEN, Backend
from tests import planting
from tests.conftest import Python
from tests.planting import SHAPES, Key

SECRETS = Secrets()


@pytest.fixture(params=SHAPES)
def key(request: pytest.FixtureRequest) -> Key:
    return SHAPES[request.param](random.Random(request.param))


# What is one


def test_a_key_is_replaced_wherever_it_stands(key: Key) -> None:
    for text in (
        key.text,
        f"My key is {key.text} and so on",
        f"\n{key.text}\n",
        f"('{key.text}')",
        f"é{key.text}",
    ):
        cleaned = SECRETS.clean(text)
        assert "[secret: " in cleaned
        assert key.core not in cleaned
        assert SECRETS.clean(cleaned) is cleaned


def test_json_stays_json(key: Key) -> None:
    value: Any = {"content": f"a\n{key.text}\nb", "list": [key.text]}
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)
        twice = json.dumps({"arguments": once}, ensure_ascii=ascii_only)
        assert key.core not in json.dumps(json.loads(SECRETS.clean(once)))
        inner = json.loads(json.loads(SECRETS.clean(twice))["arguments"])
        assert set(inner) == set(value)
        assert key.core not in json.dumps(inner)


def test_a_key_may_come_in_two_pieces(key: Key) -> None:
    for text in (f"It is {key.text} and more", key.text, json.dumps(key.text)):
        whole = SECRETS.clean(text)
        for cut in range(len(text) + 1):
            held = SECRETS.held(text[:cut])
            assert SECRETS.clean(text[:held]) + SECRETS.clean(text[held:]) == whole


def test_a_key_is_found_wherever_it_stands_in_a_long_text(key: Key) -> None:
    # A long text is looked through in pieces.
    edges = range(28_000 - len(key.text) - 1, 28_000 + 2)
    for before in (*edges, 200_000):
        cleaned = SECRETS.clean(f"{'~' * before} {key.text} {'~' * 70_000}")
        assert key.core not in cleaned


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_file_that_is_text_is_clean_too(key: Key, encode: Any) -> None:
    text = encode(f"é: {key.text} and ÿÿ>>??".encode()).decode()
    for native in ({"data": text}, {"base64": text}, {"url": f"data:text/plain;base64,{text}"}):
        once = json.dumps(native)
        for whole in (once, json.dumps({"arguments": once})):
            cleaned = SECRETS.clean(whole)
            assert text not in cleaned
            assert SECRETS.clean(cleaned) is cleaned
            assert not any(key.core.encode() in data for data in _unpacked(cleaned.encode()))


# What is none


@given(st.text())
def test_other_text_stays_as_it_is(text: str) -> None:
    assert SECRETS.clean(text) is text
    assert 0 <= SECRETS.held(text) <= len(text)


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_other_values_stay_as_they_are(value: object) -> None:
    assert SECRETS.clean_all(value) is value


@given(st.binary(min_size=20, max_size=2_000), st.uuids())
def test_hashes_ids_and_pictures_stay(data: bytes, one: uuid.UUID) -> None:
    picture = b64encode(data).decode()
    for text in (
        *(str(one), one.hex, sha256(data).hexdigest(), picture, f"data:image/png;base64,{picture}"),
        *(f"call_{one.hex[:24]}", f"toolu_01{one.hex[:22]}", f"chatcmpl-{one.hex}", f"msg_{one.hex}"),
        json.dumps({"data": picture, "base64": picture}),
        json.dumps({"session_id": str(one), "url": f"https://example.com:8080/@{one}/a?b=c&sig=1"}),
    ):
        assert SECRETS.clean(text) is text


@pytest.mark.parametrize(
    "text",
    [
        "A task-0123456789abcdef0123 in the risk-register",
        "bearer of bad news, Bearer authentication-with-tokens",
        "Basic understanding1 of self.hf_something",
        "postgresql://ada:***@host/agents and https://localhost:8080/path@2x.png",
        "https://user:<password>@example.com and https://user:$PASSWORD@example.com",
        "access_key_id, secret_access_key: see the docs",
        "eyJust a word. -----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----",
        "sk-learn is not a key, sk-estimator-with-a-very-long-name neither",
    ],
)
def test_what_only_looks_a_little_like_a_key_stays(text: str) -> None:
    assert SECRETS.clean(text) is text


# Of the environment


def test_values_of_variables_that_are_named_like_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", 'quo"te \\ ünd 12')
    monkeypatch.setenv("DB_PASSWORD", "postgres")
    monkeypatch.setenv("SHORT_TOKEN", "abc1")
    monkeypatch.setenv("ACME_URL", "https-and-1-more")
    monkeypatch.setenv("KEY_TOKEN", __file__)
    value = 'quo"te \\ ünd 12'
    for text in (
        value,
        json.dumps(value),
        json.dumps(json.dumps(value)),
        json.dumps(value, ensure_ascii=False),
    ):
        assert SECRETS.clean(text).strip('"\\') == "[secret: ACME_API_KEY]"
    for plain in ("postgres abc1 https-and-1-more", __file__):
        assert SECRETS.clean(plain) is plain
    for cut in range(len(value)):
        assert SECRETS.held(f"It is {value[:cut]}") == 6
    monkeypatch.delenv("ACME_API_KEY")
    assert SECRETS.clean(value) is value


# Records


def test_an_id_cannot_be_a_secret(store: Store) -> None:
    key = SHAPES["openai"](random.Random(1))
    with pytest.raises(InvalidInput, match="A secret is no session_id") as caught:
        store.create(session_id=key.text)
    assert key.core not in str(caught.value)
    session = store.create("plan")
    with pytest.raises(InvalidInput, match="no cell_id"):
        session.send("Hello", agent=lambda prompt: "Hi", cell_id=key.text)


def test_every_primitive_that_writes_is_told() -> None:
    reads = """
        ancestors asked_by chain checkpoints close collect continue_run current delete documents drop_documents
        drop_events drop_values entry events find get get_run last_visit log origin progress redact_run
        renew_lease runs scan state_before system_turns turn values
    """
    assert {*Backend.__abstractmethods__, "update_all"} == {*WRITTEN, *reads.split()}


def test_what_a_session_knows_is_what_is_stored(store: Store) -> None:
    key = SHAPES["anthropic"](random.Random(1))
    session = store.create("plan", metadata={"key": key.text}, state={"key": key.text}, tags=[key.text[:90]])
    session.send(f"Use {key.text}", agent=lambda prompt: prompt)
    session.send("And?", agent=lambda prompt, history: str([m.text for m in history]))
    session.state = {"again": key.text}
    other = store.resume("plan")
    assert session.messages == other.messages
    assert (session.metadata, session.state, session.tags) == (other.metadata, other.state, other.tags)
    assert session.turns == other.turns
    assert key.core not in repr((session.record, session.messages, session.runs()))
    assert session.messages[0].text == "Use [secret: anthropic key]"
    assert store.verify().ok


def test_what_was_stored_before_can_still_be_redacted(sqlite_store: Store) -> None:
    key = SHAPES["anthropic"](random.Random(1))
    sqlite_store.backend.secrets = None
    session = sqlite_store.create("plan")
    session.add_message({"role": "user", "content": key.text})
    session.add_message({"role": "user", "content": f"Again {key.text}"})
    assert session.messages[0].text == key.text
    sqlite_store.backend.secrets = Secrets()
    session.redact(0)
    session.add_message({"role": "user", "content": key.text})
    assert [m.text for m in session.messages] == [
        "[redacted]",
        f"Again {key.text}",
        "[secret: anthropic key]",
    ]
    assert sqlite_store.verify().ok


def test_what_is_imported_twice_is_there_once(store: Store, tmp_path: Path) -> None:
    key = SHAPES["github"](random.Random(1))
    with nbs.open_store("memory:", redact=False) as other:
        theirs = other.create("plan")
        theirs.send(key.text, agent=lambda prompt: prompt)
        other.export("plan", tmp_path / "plan.json")
        store.import_(tmp_path / "plan.json")
        assert not len(store.import_(tmp_path / "plan.json"))
        theirs.send("More", agent=lambda prompt: "More")
        other.export("plan", tmp_path / "plan.json", overwrite=True)
    store.import_(tmp_path / "plan.json")
    assert [m.text for m in store.resume("plan").messages] == [
        *["[secret: github token]"] * 2,
        "More",
        "More",
    ]
    assert store.verify().ok


def test_it_can_be_turned_off_and_has_patterns_of_ones_own() -> None:
    key = SHAPES["openai"](random.Random(1))
    with nbs.open_store("memory:", redact=False) as store:
        assert store.create("plan", metadata={"key": key.text}).metadata == {"key": key.text}
    with nbs.open_store("memory:", redact=[r"ACME-\d+"]) as store:
        session = store.create("plan", metadata={"key": f"{key.text} ACME-17"})
        assert session.metadata == {"key": "[secret: openai key] [secret: own pattern]"}
    with nbs.open_store("memory:", redact=["^hunter2$"]) as store:
        metadata = {"key": "hunter2", "other": "hunter2 was here"}
        assert store.create("plan", metadata=metadata).metadata == {
            **metadata,
            "key": "[secret: own pattern]",
        }
    for wrong in ("ACME", 3, ["("]):
        with pytest.raises(InvalidInput):
            nbs.open_store("memory:", redact=wrong)  # type: ignore[arg-type]


def test_a_notebook_can_turn_it_off(magics: Any) -> None:
    key = SHAPES["openai"](random.Random(1))
    magics.run_line_magic("config", "SessionMagics.redact_secrets = False")
    magics.run_line_magic("session", "store memory:")
    magics.user_ns["echo"] = lambda prompt: prompt
    magics.run_cell_magic("agent", "echo --into said", f"Use {key.text}")
    found = magics.run_line_magic("session", "search Use")
    assert key.core in found["snippet"].iloc[0]
    magics.run_line_magic("config", "SessionMagics.redact_secrets = True")
    magics.run_cell_magic("agent", "echo --new", f"Again {key.text}")
    assert "[secret: openai key]" in magics.run_line_magic("session", "search Again")["snippet"].iloc[0]


@pytest.fixture
def magics(capsys: pytest.CaptureFixture[str]) -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    nbs.load_ipython_extension(shell)
    yield shell
    nbs.unload_ipython_extension(shell)
    shell.config.pop("SessionMagics", None)


def test_a_cell_that_is_replayed_is_known_by_its_redacted_prompt(magics: Any) -> None:
    key = SHAPES["openai"](random.Random(1))
    magics.run_line_magic("session", "store memory:")
    asked: list[str] = []

    def echo(prompt: str) -> str:
        asked.append(prompt)
        return "Hi"

    magics.user_ns["echo"] = echo
    for _ in range(2):
        magics.run_cell_magic("agent", "echo --rerun replay", f"Use {key.text}")
        magics.execution_count += 1
    # In this very run the agent gets it whole.
    assert asked == [f"Use {key.text}"]


# All of it


@pytest.mark.parametrize(
    ("kind", "count"), [("sqlite", 1_000), ("memory", 200), ("postgres", 200), ("file", 200)]
)
def test_of_a_thousand_planted_keys_none_is_found(
    kind: str, count: int, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = planting.keys(count)
    assert len({key.core for key in told}) == count
    url = f"file:{tmp_path}/folder" if kind == "file" else None
    store = nbs.open_store(url) if url else request.getfixturevalue(f"{kind}_store")
    (tmp_path / "imports").mkdir()
    caplog.set_level(logging.INFO)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        planting.plant(store, told, tmp_path / "imports")
    found: dict[str, bytes] = {"log": f"{caplog.text} {[str(one.message) for one in warned]}".encode()}
    exports = tmp_path / "exports"
    exports.mkdir()
    longest = sorted(store.list(None, conversation_id="*"), key=lambda record: -record.message_count)
    for number, record in enumerate(longest[:6]):
        for format in all_formats():
            if format.write is not None:
                path = exports / f"{number}-{format.name}{format.suffixes[0]}"
                store.export(record, path, format=format.name)
    store.export_parquet(exports / "parquet")
    frames = [nbs.sessions_df(store), nbs.runs_df(store), nbs.messages_df(store), nbs.events_df(store)]
    found["frames"] = "".join(frame.to_csv() for frame in frames).encode(errors="replace")
    found |= {str(one): one.read_bytes() for one in exports.rglob("*") if one.is_file()}
    found |= {f"rows of {name}": rows for name, rows in _rows(kind, store, tmp_path, exports)}
    assert store.verify().ok
    _find(told, found)
    said = found["frames"].decode(errors="replace")
    assert said.count("[secret: ") > 1_000
    store.close()
    # After it is closed, too.
    _find(told, {str(one): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()})


@pytest.fixture
def memory_store() -> Store:
    return nbs.open_store("memory:")


def _find(told: list[Key], found: dict[str, bytes]) -> None:
    leaks = set()
    for where, data in found.items():
        # Each is letters and digits alone, 16 at least.
        runs = b" ".join({*re.findall(rb"[A-Za-z0-9]{16,}", data), *_unpacked(data)})
        leaks |= {(where, key.text[:30]) for key in told if key.core.encode() in runs}
    assert not leaks


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what may be written in base64, begun at each letter of four."""
    for run in set(re.findall(rb"[A-Za-z0-9+/_-]{24,}", data)):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for start in range(4):
            yield b64decode(plain[start : start + (len(plain) - start) // 4 * 4])


def _rows(kind: str, store: Store, folder: Path, exports: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that a store has on a disk, and each value in its tables."""
    if kind == "postgres":
        schema = store.url.partition("schema=")[2]
        with psycopg.connect(store.url.partition("&schema=")[0]) as server:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
            for (name,) in server.execute(tables, [schema]).fetchall():
                rows = server.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall()
                yield name, _joined(rows)
    for path in folder.rglob("*"):
        if path.is_file() and exports not in path.parents:
            yield str(path), path.read_bytes()
            if path.suffix == ".db":
                db = sqlite3.connect(path)
                names = [
                    name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                ]
                for name in names:
                    yield name, _joined(db.execute(f'SELECT * FROM "{name}"').fetchall())
                db.close()


def _joined(rows: list[Any]) -> bytes:
    values = [one for row in rows for one in row]
    return b"\n".join(bytes(v) if isinstance(v, (bytes, memoryview)) else str(v).encode() for v in values)


_DYING = """
import os, signal, sys, time
import nbsessions as nbs
from tests.planting import keys

told = keys(48)

def agent(prompt):
    for key in told:
        half = len(key.text) // 2
        yield f"This is {key.text[:half]}"
        time.sleep(0.12)
        yield f"{key.text[half:]} and "
    yield told[0].text[:-3]
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)

nbs.open_store(sys.argv[1]).create("plan").send(f"Use {told[1].text}", agent=agent)
"""


@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_a_process_that_is_killed_leaves_no_key(kind: str, tmp_path: Path, python: Python) -> None:
    url = f"file:{tmp_path}/folder" if kind == "file" else str(tmp_path / "agents.db")
    process = python.start(_DYING, url)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    told = planting.keys(48)
    left = told[0].core[:-3]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [key.text for key in told if key.core.encode() in data], path
            assert left.encode() not in data
    with nbs.open_store(url) as store:
        (run,) = store.runs("plan")
        assert run.status == "interrupted"
        said = "".join(event.data.get("delta", "") for event in store.events(run.run_id))
        assert said.count("[secret: ") == 48
