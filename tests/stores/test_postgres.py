from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import nbsessions as nbs
from nbsessions import InvalidInput, NbsessionsError, SessionExists, Store, StoreTooNew, StoreUnavailable
from nbsessions.stores import postgres as module
from nbsessions.stores._pg_url import parse
from tests.conftest import Python, add, texts
from tests.postgres import CAREFUL, Server

ODD = [
    "a\0b",
    "\0",
    "\ue4f0\ue4f1\0\ue4f0",
    "\ue4f1",
    "\uf8ff \U0010ffff \ufdd0",
    "e\u0301 é \u202e \U0001f600",
    "'\"\\%s $1 ?",
]


# Its URL


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@db.example.org:5433/agents", "postgresql://ada:***@db.example.org:5433/agents"),
        ("postgres://ada:se%40cret@db/agents?schema=team", "postgresql://ada:***@db/agents?schema=team"),
        ("postgresql://db/agents?user=ada&password=secret", "postgresql://ada:***@db/agents"),
        ("postgresql://ada@/agents?host=/run/pg", "postgresql://ada@/agents?host=/run/pg"),
        ("postgresql://a:1,b:2/agents?sslpassword=secret", "postgresql://a:1,b:2/agents?sslpassword=***"),
        ("postgresql://ada:secret@[::1]:5432/agents", "postgresql://ada:***@[::1]:5432/agents"),
        ("postgresql://", "postgresql:///"),
    ],
)  # fmt: skip
def test_its_url_is_shown_without_a_password(url: str, shown: str) -> None:
    target = parse(url)
    assert target.shown == shown
    assert "secret" not in repr(target)
    assert parse(shown).shown == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:agents",
        "postgresql://ada:sec/ret@db/agents",
        "postgresql://ada:sec@ret@db/agents",
        "postgresql://ada:sec?ret@db/agents",
        "postgresql://ada:sec:ret@db:x/agents",
        "postgresql://ada:secret%zz@db/agents",
        "postgresql://ada:secret@db/agents?nonsense=1",
        "postgresql://ada:secret@db/agents?schema=",
        "postgresql://ada:secret@db/agents?schema=pg_catalog",
        "postgresql://ada:secret@db/agents?schema=information_schema",
        "postgresql://ada:secret@db/agents?schema=a&schema=b",
        "postgresql://ada:secret@db/agents?schema=a%00b",
        f"postgresql://ada:secret@db/agents?schema={'x' * 64}",
        "postgresql://ada:sec\0ret@db/agents",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        nbs.open_store(url)
    assert "\n" not in str(caught.value)
    assert "sec" not in str(caught.value).lower()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or not isinstance(caught.value.__context__, psycopg.Error)


def test_a_password_is_nowhere(postgres: Server, postgres_url: str) -> None:
    with postgres.connect() as db:
        db.execute(f"DROP ROLE IF EXISTS {CAREFUL}")
        db.execute(f"CREATE ROLE {CAREFUL} LOGIN SUPERUSER PASSWORD 'open sesame'")
    url = postgres_url.replace("postgres@", f"{CAREFUL}:open%20sesame@")
    with nbs.open_store(url) as store:
        add(store.create("plan"), "Hello")
        assert store.url.startswith(f"postgresql://{CAREFUL}:***@/postgres?")
        backend = store.backend
        with backend._reading() as db:  # type: ignore[attr-defined]
            shown = [repr(store), repr(backend), str(backend), repr(db), repr(db.db), store.url]
    for wrong in (url.replace("sesame", "barley"), url.replace(":open%20sesame", "")):
        with pytest.raises(StoreUnavailable, match="Check user and password") as caught:
            nbs.open_store(wrong)
        shown += ["".join(traceback.format_exception(caught.value))]
        assert "\n" not in str(caught.value)
    for text in shown:
        assert "sesame" not in text
        assert "barley" not in text


def test_it_opens_by_both_schemes(postgres_url: str) -> None:
    with nbs.open_store(postgres_url) as store:
        store.create("plan")
    with nbs.open_store(postgres_url.replace("postgresql:", "postgres:")) as store:
        assert store.exists("plan")
        assert store.backend.persistent


def test_other_stores_do_not_need_it(path: Path, python: Python) -> None:
    python(
        """
import sys
import nbsessions as nbs, nbsessions.session
for url in ("memory:", sys.argv[1]):
    with nbs.open_store(url) as store:
        store.create("plan").add_message({"role": "user", "content": "Hello"})
assert not [name for name in sys.modules if name.startswith("psycopg")]
sys.modules["psycopg"] = None
try:
    nbs.open_store("postgresql://localhost/agents")
except nbs.MissingExtra as error:
    assert str(error).startswith("The store postgresql: needs an extra"), error
    assert "nbsessions[postgres]" in str(error), error
else:
    raise AssertionError
""",
        path,
    )


# Its schema


def _tables(postgres: Server, schema: str) -> list[str]:
    with postgres.connect() as db:
        found = db.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1", (schema,)
        ).fetchall()
    return [str(row[0]) for row in found]


@pytest.fixture
def schemas(postgres: Server) -> Iterator[Callable[[str], str]]:
    """Return the URL of a schema of any name, dropped afterwards."""
    used: list[str] = []

    def url(name: str) -> str:
        used.append(name)
        return postgres.url(name)

    yield url
    for name in used:
        postgres.drop(name.replace('"', '""'))


@pytest.mark.parametrize("name", ["nbsessions", "My Schema", 'a"b; DROP', "über😀", "select", "x" * 63])
def test_its_tables_are_in_a_schema_of_their_own(
    postgres: Server, schemas: Callable[[str], str], name: str
) -> None:
    before = _tables(postgres, "public")
    with nbs.open_store(schemas(name)) as store:
        add(store.create("plan"), "Hello")
    with nbs.open_store(postgres.url() if name == "nbsessions" else schemas(name)) as store:
        assert texts(store.resume("plan")) == ["Hello"]
    assert {"sessions", "turns", "nbsessions_version"} <= {*_tables(postgres, name)}
    assert _tables(postgres, "public") == before


def test_two_schemas_are_two_stores(postgres: Server, schemas: Callable[[str], str]) -> None:
    with nbs.open_store(schemas("one")) as one, nbs.open_store(schemas("two")) as two:
        one.create("plan")
        assert two.list() == []
        two.create("plan")


def test_a_newer_schema_is_refused_untouched(postgres: Server, postgres_url: str) -> None:
    nbs.open_store(postgres_url).close()
    schema = parse(postgres_url).schema
    with postgres.connect() as db:
        db.execute(f"UPDATE {schema}.nbsessions_version SET version = 99")
        db.execute(f"DROP TABLE {schema}.visits")
    before = _tables(postgres, schema)
    with pytest.raises(StoreTooNew, match="schema 99"):
        nbs.open_store(postgres_url)
    assert _tables(postgres, schema) == before
    with postgres.connect() as db:
        assert db.execute(f"SELECT version FROM {schema}.nbsessions_version").fetchall() == [(99,)]


def test_an_older_schema_is_brought_up_to_date(
    postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nbs.open_store(postgres_url) as store:
        add(store.create("plan"), "Hello")
    known = module.MIGRATIONS
    broken = ("CREATE TABLE later (x INTEGER)", "CREATE TABLE later (x INTEGER)")
    monkeypatch.setattr(module, "MIGRATIONS", (*known, broken))
    with pytest.raises(StoreUnavailable, match="already exists"):
        nbs.open_store(postgres_url)
    assert "later" not in _tables(postgres, parse(postgres_url).schema)
    monkeypatch.setattr(module, "MIGRATIONS", (*known, broken[:1]))
    for _ in range(2):
        with nbs.open_store(postgres_url) as store:
            assert texts(store.resume("plan")) == ["Hello"]
    assert "later" in _tables(postgres, parse(postgres_url).schema)
    monkeypatch.setattr(module, "MIGRATIONS", known)
    with pytest.raises(StoreTooNew):
        nbs.open_store(postgres_url)


def test_tables_of_another_program_are_refused_untouched(postgres: Server, postgres_url: str) -> None:
    schema = parse(postgres_url).schema
    with postgres.connect() as db:
        db.execute(f"CREATE SCHEMA {schema}")
        db.execute(f"CREATE TABLE {schema}.sessions (x INTEGER)")
    with pytest.raises(StoreUnavailable, match="another program's tables"):
        nbs.open_store(postgres_url)
    assert _tables(postgres, schema) == ["sessions"]


def test_who_may_make_no_schema_can_use_one(postgres: Server, postgres_url: str) -> None:
    schema = parse(postgres_url).schema
    url = postgres_url.replace("postgres@", "guest@")
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS guest")
        db.execute("CREATE ROLE guest LOGIN")
        with pytest.raises(StoreUnavailable, match="permission denied for database"):
            nbs.open_store(url)
        db.execute(f"CREATE SCHEMA {schema} AUTHORIZATION guest")
        with nbs.open_store(url) as store:
            add(store.create("plan"), "Hello")
        postgres.drop(schema)
        db.execute("DROP ROLE guest")


# What it keeps


@pytest.mark.parametrize("odd", ODD)
def test_any_text_comes_back(postgres_store: Store, odd: str) -> None:
    session = postgres_store.create("plan", metadata={"a": odd, odd: [odd]}, state={odd: odd})
    session.send(odd, agent=lambda prompt: f"{prompt}|{odd}")
    add(session, odd)
    with pytest.raises(nbs.RunFailed):
        session.send(odd, agent=_failing)
    fresh = postgres_store.resume("plan")
    assert texts(fresh) == [odd, f"{odd}|{odd}", odd]
    assert fresh.record.metadata == {"a": odd, odd: [odd]}
    assert fresh.state == {odd: odd}
    assert fresh.runs()[-1].prompt == odd
    assert odd in str(fresh.runs()[-1].error) or "\0" in odd or "\u202e" in odd


def _failing(prompt: str) -> str:
    raise ValueError(prompt)


@pytest.mark.parametrize("odd", [odd for odd in ODD if "\0" not in odd and "\u202e" not in odd])
def test_any_name_is_found(postgres_store: Store, odd: str) -> None:
    postgres_store.create("x", session_id="\ue4f1x", tags=["x"])
    session_id = f"1{odd}2"
    session = postgres_store.create(odd, session_id=session_id, tags=[odd, "b"])
    assert (session.name, session.tags) == (odd, [odd, "b"])
    for ref in (odd, session_id, session_id[:-1], session_id[1:]):
        assert postgres_store.resume(ref).session_id == session_id
    assert [record.session_id for record in postgres_store.list(tag=odd)] == [session_id]
    with pytest.raises(SessionExists, match="exists already") as caught:
        postgres_store.create(odd)
    assert caught.value.ref == odd


def test_a_damaged_turn_is_named(postgres: Server, postgres_store: Store, postgres_url: str) -> None:
    session = postgres_store.create("plan")
    add(session, "first", "second", "third")
    with postgres.connect() as db:
        db.execute(f"UPDATE {parse(postgres_url).schema}.turns SET body = replace(body, 'second', 'sEcond')")
    with pytest.raises(nbs.DamagedTurn, match="damaged"):
        _ = postgres_store.resume("plan").messages
    assert texts(postgres_store.rewind("plan", 1)) == ["first"]


# What it says when it cannot


def _fails(store: Store, says: str) -> None:
    session = store.resume("plan")
    calls: list[Callable[[], object]] = [
        lambda: add(session, "more"),
        lambda: setattr(session, "state", {"a": 1}),
        lambda: store.create("other"),
        lambda: store.tag("plan", "a"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match=says) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert "postgresql://" in str(caught.value)
        assert texts(store.resume("plan")) == ["Hello"]
    assert len(store.list()) == 1


def _raising(schema: str, code: str, table: str) -> str:
    """Make every write fail as the server would."""
    return f"""
        CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END $$;
        CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {schema}.{table}
        FOR EACH ROW EXECUTE FUNCTION {schema}.fail();
    """


@pytest.mark.parametrize(
    ("code", "says"),
    [("53100", "disk of the store .* is full"), ("25006", "is read-only"), ("55P03", "is locked")],
)
def test_a_server_that_cannot_write_says_so(
    postgres: Server, postgres_store: Store, postgres_url: str, code: str, says: str
) -> None:
    add(postgres_store.create("plan"), "Hello")
    with postgres.connect() as db:
        db.execute(_raising(parse(postgres_url).schema, code, "sessions"))
    _fails(postgres_store, says)


def test_a_read_only_database_can_be_read(postgres_store: Store, postgres_url: str) -> None:
    add(postgres_store.create("plan"), "Hello")
    read_only = f"{postgres_url}&options=-c%20default_transaction_read_only%3Don"
    with nbs.open_store(read_only) as store:
        _fails(store, "is read-only: nothing was saved")


def test_a_lock_of_another_program_says_so(
    postgres: Server, postgres_store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(postgres_store.create("plan"), "Hello")
    monkeypatch.setattr(module, "_SETTINGS", "SET lock_timeout = '50ms'")
    with nbs.open_store(postgres_url) as store, postgres.connect() as db, db.transaction():
        db.execute(f"LOCK TABLE {parse(postgres_url).schema}.sessions IN EXCLUSIVE MODE")
        _fails(store, "is locked")


def test_tables_that_are_gone_say_so(postgres: Server, postgres_store: Store, postgres_url: str) -> None:
    session = postgres_store.create("plan")
    postgres.drop(parse(postgres_url).schema)
    for call in (lambda: add(session, "Hello"), postgres_store.list):
        with pytest.raises(StoreUnavailable, match="are gone"):
            call()


def test_a_closed_store_says_so(postgres_store: Store) -> None:
    session = postgres_store.create("plan")
    postgres_store.close()
    for call in (lambda: add(session, "Hello"), postgres_store.list):
        with pytest.raises(StoreUnavailable, match=r"is closed\. Open it again"):
            call()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://postgres@/nowhere?host={host}", "database \"nowhere\" does not exist.*createdb"),
        ("postgresql://nobody@/postgres?host={host}", "role \"nobody\" does not exist.*Check user"),
        ("postgresql://ada:secret@/postgres?host=/nowhere", "Cannot reach .*Is its server running"),
        ("postgresql://ada:secret@127.0.0.1:1/agents", "Cannot reach .*Is its server running"),
        ("postgresql://ada:secret@nowhere.invalid/agents", "Cannot reach .*Is its server running"),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_opened_says_so_at_once(postgres: Server, url: str, says: str) -> None:
    with pytest.raises(StoreUnavailable, match=says) as caught:
        nbs.open_store(url.format(host=postgres.data))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_has_no_room_says_so(postgres: Server, postgres_url: str) -> None:
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS one_too_many")
        db.execute("CREATE ROLE one_too_many LOGIN CONNECTION LIMIT 0")
    with pytest.raises(StoreUnavailable, match="has no room for another connection"):
        nbs.open_store(postgres_url.replace("postgres@", "one_too_many@"))


def test_a_database_in_another_encoding_is_refused(postgres: Server) -> None:
    with postgres.connect() as db:
        db.execute("DROP DATABASE IF EXISTS latin")
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreUnavailable, match=r"LATIN1.*createdb --encoding=UTF8"):
        nbs.open_store(postgres.url(database="latin"))


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("secret pass"), psycopg.errors.InternalError_("x pass")]
)
def test_what_the_server_says_is_shown_without_the_password(error: psycopg.Error) -> None:
    from nbsessions.stores._pg_failures import explained

    target = parse("postgresql://ada:pass@db/agents")
    found: NbsessionsError = explained(target, error)
    assert "pass" not in str(found)
    assert not isinstance(found, SessionExists)
