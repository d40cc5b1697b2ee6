"""
What cannot be kept is refused before anything is written; all else is read back as it was, on every store.

The property: the same words bring the same outcome on each kind of store, an error of the same type and
text or the same value read back, and after an error the store holds what it held before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, NbsessionsError, Session, Store, values
from nbsessions.stores.base import Key, Query
from nbsessions.workers import default_owner
from tests.conftest import texts
from tests.postgres import Server

Write = Callable[[Store, Session, Any], object]
"""Gives a value to a session of a store; returns what can be read back then, to be held against it."""


class Outcome(NamedTuple):
    """What came of it: an error, or what was read back."""

    error: str | None
    read: object = None


class Bench:
    """A store with one session in it, which is made anew after each change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._session: Session | None = None
        self._last = 0

    def outcome(self, write: Write, value: Any) -> Outcome:
        """Do it, and say what came of it; where that is an error, nothing has changed."""
        session, self._session = self._ready(), None
        try:
            return Outcome(None, write(self.store, session, value))
        except NbsessionsError as error:
            text = f"{type(error).__name__}: {error}"
        assert text.isprintable()
        assert self._dump() == self._before
        self._session = session
        return Outcome(text)

    def _ready(self) -> Session:
        if self._session is None:
            self.clear()
            self._session = self.store.create("plan", agent_name="bad", session_id="the one")
            self._session.add_message({"role": "user", "content": "Hello"})
            self._before = self._dump()
        return self._session

    def clear(self) -> None:
        self.store.delete_all(self.store.list(None, conversation_id="*"))
        self._session = None
        while found := self.store.backend.scan(self._last, 1_000):
            self._last = found[-1][0]

    def _dump(self) -> object:
        """Return all that is stored, as it can be read."""
        backend, held = self.store.backend, []
        for record in backend.find(Query(conversation_id=None)):
            key = Key.of(record)
            turns = [] if record.head.turn_id is None else backend.chain(record.head.turn_id)
            kept = (backend.values(key, 0), backend.checkpoints(key, None), backend.runs(key))
            held.append((record, turns, backend.log(key), kept))
        return held, backend.runs(last=1), backend.scan(self._last, 10)


@pytest.fixture(scope="module")
def stores(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """One store of each kind, shared by all examples."""
    schema = postgres.new_schema()
    file = tmp_path_factory.mktemp("bad") / "agents.db"
    urls = ["memory:", f"sqlite:///{file}?synchronous=normal", postgres.url(schema)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBSESSIONS_OWNER", "ada")
        benches = [Bench(nbs.open_store(url)) for url in urls]
    yield benches
    for bench in benches:
        bench.store.close()
    postgres.drop(schema)


def again(store: Store, session: Session) -> Session:
    """Return the session as somebody else finds it."""
    return store.resume(session.session_id)


def _named(store: Store, session: Session, value: Any) -> object:
    session.rename(value)
    assert store.resume(value).session_id == session.session_id
    assert store.exists(value)
    return again(store, session).name


def _created(store: Store, session: Session, value: Any) -> object:
    made = store.create(session_id=value, conversation_id=value, agent_name=value, parent_session_id=value)
    found = store.resume(value, conversation_id=value)
    assert [record.session_id for record in store.list(agent_name=value, conversation_id=value)] == [value]
    assert found.record == made.record
    assert found.conversation_id == found.agent_name == found.record.parent_session_id == value
    return found.session_id


def _tagged(store: Store, session: Session, value: Any) -> object:
    session.tag(value)
    assert [record.session_id for record in store.list(tag=value)] == [session.session_id]
    (tag,) = again(store, session).tags
    return tag


def _checkpoint(store: Store, session: Session, value: Any) -> object:
    session.checkpoint(value)
    session.rewind(0)
    found = again(store, session)
    assert found.rewind(value).message_count == 1
    return found.checkpoints()[0].name


def _key(store: Store, session: Session, value: Any) -> object:
    session.kv()[value] = 1
    assert again(store, session).kv()[value] == 1
    (key,) = again(store, session).kv()
    return key


def _forked(store: Store, session: Session, value: Any) -> object:
    made = session.fork(value)
    return again(store, made).name


def _saved(store: Store, session: Session, value: Any) -> object:
    store.save(session.record.model_copy(update={"name": value}))
    return again(store, session).name


NAMES: dict[str, Write] = {
    "name": _named,
    "ids": _created,
    "tag": _tagged,
    "checkpoint": _checkpoint,
    "key": _key,
    "fork": _forked,
    "saved name": _saved,
}


def _metadata(store: Store, session: Session, value: Any) -> object:
    session.metadata = {"x": value}
    return again(store, session).metadata["x"]


def _metadata_key(store: Store, session: Session, value: Any) -> object:
    session.metadata = {value: 1}
    (key,) = again(store, session).metadata
    return key


def _state(store: Store, session: Session, value: Any) -> object:
    session.state = {"x": value}
    return again(store, session).state["x"]


def _created_with(store: Store, session: Session, value: Any) -> object:
    made = again(store, store.create(metadata={"x": value}, state={"y": value}))
    assert repr(made.metadata["x"]) == repr(made.state["y"])
    return made.state["y"]


def _value(store: Store, session: Session, value: Any) -> object:
    session.kv()["x"] = value
    return again(store, session).kv()["x"]


def _field(store: Store, session: Session, value: Any) -> object:
    session.add_message({"role": "user", "content": "x", "more": value})
    return again(store, session).messages[-1]["more"]


def _content(store: Store, session: Session, value: Any) -> object:
    session.add_message({"role": "user", "content": value})
    return again(store, session).messages[-1].content


def _replaced(store: Store, session: Session, value: Any) -> object:
    session.messages = [{"role": "assistant", "content": value, "name": value, "tool_call_id": value}]
    (message,) = again(store, session).messages
    assert message.name == message.tool_call_id == message.content
    return message.content


def _prompt(store: Store, session: Session, value: Any) -> object:
    run = session.send(value, agent=lambda prompt: prompt)
    assert run.output == run.prompt == value
    assert [run.prompt for run in again(store, session).runs()] == [value]
    assert texts(again(store, session))[1:] == [value, value]
    return texts(again(store, session))[-1]


JSON: dict[str, Write] = {
    "metadata": _metadata,
    "state": _state,
    "create": _created_with,
    "key-value": _value,
    "field": _field,
}
TEXTS: dict[str, Write] = {
    "content": _content,
    "fields": _replaced,
    "prompt": _prompt,
    "metadata key": _metadata_key,
} | JSON


def check(stores: list[Bench], write: Write, value: Any) -> Outcome:
    """Hold the stores against each other, and what is read back against what was given."""
    found = [bench.outcome(write, value) for bench in stores]
    # As Python writes them: 1, 1.0 and True are not the same.
    read = repr(value) if found[0].error is None else repr(None)
    assert [(one.error, repr(one.read)) for one in found] == [(found[0].error, read)] * len(found)
    return found[0]


ANY_TEXT = st.text(st.characters(exclude_categories=()))
# Mostly what can be a name, with now and then what cannot: both sides of the line are looked at.
NAMELIKE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=220)
NASTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ue4f0",
    "\ue4f1\ue4f0\ue4f1",
    "\ud800",
    "\udcff",
    "a\nb",
    "a\tb",
    "a\r",
    "a\x85b",
    "a\u2028b",
    "\x1b[31mred",
    "\u202eabc",
    "\ufeff",
    "\uffff",
    "e\u0301",
    "\xe9",
    "İ",
    "ß",
    "😀" * 200,
    "x" * 200,
    "x" * 201,
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "C:\\a",
    "con",
    "NUL",
    ".latest",
    "latest",
    "LATEST",
    "*",
    "%",
    "_",
    "?",
    "'",
    '"',
    '"; DROP TABLE sessions; --',
    "$1",
    "{{x}}",
    "-1",
    "--help",
    "0",
    "None",
    "null",
    "true",
    "\\u0000",
    "\u0661",
    " lead",
    "trail ",
]


@pytest.mark.parametrize("what", NAMES)
def test_a_nasty_name_is_kept_or_refused_alike(stores: list[Bench], what: str) -> None:
    for text in NASTY:
        check(stores, NAMES[what], text)


@pytest.mark.parametrize("what", NAMES)
def test_any_name_is_kept_or_refused_alike(stores: list[Bench], what: str) -> None:
    @settings(max_examples=10)
    @given(NAMELIKE | ANY_TEXT)
    def any_name(text: str) -> None:
        check(stores, NAMES[what], text)

    any_name()


@pytest.mark.parametrize("text", ["a", "ü", "😀 x", "a/b", "'", "%", "x" * 200, "\ue4f0"])
def test_a_name_that_can_be_one_is_not_refused(stores: list[Bench], text: str) -> None:
    for what in NAMES:
        assert check(stores, NAMES[what], text).error is None or (what, text) == ("tag", "x" * 200)


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\ud800", "a\nb", "\x1b[31mred", "\u202eabc", "x" * 201, "latest"], ids=ascii
)
def test_a_name_that_can_be_none_is_refused(stores: list[Bench], text: str) -> None:
    for what in NAMES:
        assert str(check(stores, NAMES[what], text).error).startswith("InvalidInput") or (
            (what, text) == ("tag", "latest")
        )


@pytest.mark.parametrize("what", TEXTS)
def test_a_nasty_text_is_kept_or_refused_alike(stores: list[Bench], what: str) -> None:
    for text in NASTY:
        refused = text in ("\ud800", "\udcff") or (what == "prompt" and not text.strip())
        assert (check(stores, TEXTS[what], text).error is not None) == refused, ascii(text)


@pytest.mark.parametrize("what", TEXTS)
def test_any_text_is_kept_or_refused_alike(stores: list[Bench], what: str) -> None:
    @settings(max_examples=10)
    @given(ANY_TEXT)
    def any_text(text: str) -> None:
        check(stores, TEXTS[what], text)

    any_text()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("what", JSON)
def test_any_value_is_kept_or_refused_alike(stores: list[Bench], what: str) -> None:
    @settings(max_examples=12)
    @given(ANY_JSON)
    @example(float("nan"))
    @example([{"a": float("-inf")}])
    @example(10**400)
    @example(-0.0)
    @example(5e-324)
    @example(2**70)
    def any_value(value: Any) -> None:
        check(stores, JSON[what], value)

    any_value()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("what", JSON)
@pytest.mark.parametrize("depth", [100, 190, 196, 200, 210, 500, 1_000, 100_000])
def test_a_deep_value_is_kept_or_refused_alike(stores: list[Bench], what: str, depth: int) -> None:
    found = [bench.outcome(JSON[what], nested(depth)) for bench in stores]
    assert [one.error for one in found] == [found[0].error] * len(found)
    if depth <= 190:
        assert [one.read for one in found] == [nested(depth)] * len(found)
    elif depth >= 210:
        assert str(found[0].error).startswith("InvalidInput")
    elif found[0].error is None:
        assert all(repr(one.read) == repr(nested(depth)) for one in found)


NO_JSON: dict[str, Any] = {
    "nan": float("nan"),
    "inf": float("inf"),
    "bytes": b"x",
    "object": object(),
    "set": {1},
    "a key that is a number": {1: 2},
    "a key that is None": {None: 2},
    "half a character": {"a": ["\ud800"]},
    "half a character as a key": {"\udfff": 1},
    "a datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "a number of 5,000 digits": 10**5000,
}


@pytest.mark.parametrize("what", JSON)
@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_is_refused(stores: list[Bench], what: str, name: str) -> None:
    found = check(stores, JSON[what], NO_JSON[name])
    assert str(found.error).startswith("InvalidInput: ")


@pytest.mark.parametrize("what", TEXTS)
def test_what_is_too_large_is_refused(
    stores: list[Bench], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MAX_JSON_BYTES", 2_000)
    assert check(stores, TEXTS[what], "ä" * 200).error is None
    assert "the limit is 2,000" in str(check(stores, TEXTS[what], "ä" * 1_100).error)


def test_a_message_of_129_mb_is_refused(sqlite_store: Store, path: Path) -> None:
    session = sqlite_store.create("plan")
    size = path.stat().st_size
    with pytest.raises(InvalidInput, match="message has 135,266,"):
        session.add_message({"role": "user", "content": "x" * (129 * 1024 * 1024)})
    assert session.messages == sqlite_store.resume("plan").messages == []
    assert path.stat().st_size == size


# What is looked for


def asked(store: Store, what: str, text: str) -> object:
    try:
        return LOOKING[what](store, text)
    except NbsessionsError as error:
        found = f"{type(error).__name__}: {error}"
    assert found.isprintable()
    return found


@pytest.fixture(scope="module")
def filled(stores: list[Bench]) -> Iterator[list[Store]]:
    """The same few sessions on each."""
    said = [
        "Where does the night owl live?",
        "Ünder the Straße, 北京",
        "a-b c_d 'e' \"f\" \0 \ue4f0 100%",
        "",
    ]
    for bench in stores:
        bench.clear()
        for number, text in enumerate(said):
            session = bench.store.create(f"s{number}", session_id=f"id-{number}", tags=["a", "ä"])
            session.add_message({"role": "user", "content": text})
    yield [bench.store for bench in stores]
    for bench in stores:
        bench.clear()


LOOKING: dict[str, Callable[[Store, Any], object]] = {
    "search": lambda store, text: [(hit.session.name, hit.number, hit.snippet) for hit in store.search(text)],
    "search tag": lambda store, text: [hit.session.name for hit in store.search("the", tag=text)],
    "search agent": lambda store, text: [hit.session.name for hit in store.search("the", agent_name=text)],
    "search owner": lambda store, text: [hit.session.name for hit in store.search("the", owner=text)],
    "search conversation": lambda store, text: len(store.search("the", conversation_id=text)),
    "search role": lambda store, text: len(store.search("the", role=text)),
    "search ref": lambda store, text: len(store.search("the", ref=text)),
    "resume": lambda store, text: store.resume(text).name,
    "resume conversation": lambda store, text: store.resume("s1", conversation_id=text).name,
    "resume agent": lambda store, text: store.resume("latest", agent_name=text).name,
    "resume notebook": lambda store, text: store.resume("latest", notebook=text).name,
    "exists": lambda store, text: store.exists(text),
    "list agent": lambda store, text: [record.name for record in store.list(agent_name=text)],
    "list tag": lambda store, text: [record.name for record in store.list(tag=text)],
    "list conversation": lambda store, text: [record.name for record in store.list(conversation_id=text)],
    "run": lambda store, text: store.run(f"nosuch{text}"),
    "runs": lambda store, text: store.runs(text),
    "events": lambda store, text: store.events(text),
    "run events": lambda store, text: store.resume("s1").run_events(text),
    "resume run": lambda store, text: store.resume("s1").resume_run(text),
    "place": lambda store, text: store.resume("s1").place(text),
    "delete": lambda store, text: store.delete(f"nosuch{text}", missing_ok=True),
    "prune": lambda store, text: len(store.prune(empty=True, agent_name=text, dry_run=True)),
    "clear": lambda store, text: store.clear(f"nosuch{text}", confirm=True),
    "untag": lambda store, text: store.resume("s1").untag(f"nosuch{text}"),
    "key": lambda store, text: store.resume("s1").kv().get(text),
}
QUERIES = [
    '"night owl"',
    "ow*",
    "*",
    '"',
    '""',
    '"a',
    "a-b",
    "AND",
    "NOT owl",
    "owl OR",
    "role:user",
    "(owl)",
    "é",
    "STRASSE",
]


@pytest.mark.parametrize("what", LOOKING)
def test_nasty_text_is_looked_for_alike(filled: list[Store], what: str) -> None:
    for text in [*NASTY, *QUERIES]:
        first, *others = [asked(store, what, text) for store in filled]
        assert others == [first] * len(others), ascii(text)


@pytest.mark.parametrize("what", LOOKING)
def test_any_text_is_looked_for_alike(filled: list[Store], what: str) -> None:
    @settings(max_examples=15)
    @given(ANY_TEXT)
    def any_text(text: str) -> None:
        first, *others = [asked(store, what, text) for store in filled]
        assert others == [first] * len(others)

    any_text()


# What is of another type


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


WRONG: list[Any] = [None, b"x", 1.5, float("nan"), True, -1, 10**30, Odd(), [], {}, timedelta.max, ("a",)]


def call(name: str, *args: Any, of: str = "", option: str | None = None) -> Write:
    """Return a call of a method with a value as its last argument, or as an option."""

    def made(store: Store, session: Session, value: Any) -> object:
        owner = session if of == "session" else store
        fixed = {"agent": str.upper} if name == "send" else {}
        given = {option: value} if option else {}
        return getattr(owner, name)(*args, *([] if option else [value]), **fixed, **given)

    return made


def options(name: str, *args: Any, of: str = "", names: str) -> dict[str, Write]:
    return {f"{of} {name} {one}".strip(): call(name, *args, of=of, option=one) for one in names.split()}


HANDLE = "max_messages max_events on_conflict"
PLACES = "conversation_id agent_name notebook"
TYPED: dict[str, Write] = {
    **options("create", names=f"name tags session_id metadata state parent_session_id {PLACES} {HANDLE}"),
    **options("resume", "plan", names=f"{PLACES} {HANDLE}"),
    **options("record", "latest", names=PLACES),
    **options("list", names="limit agent_name tag since conversation_id"),
    **options("search", "Hello", names="limit ref agent_name tag owner role conversation_id"),
    **options("prune", names="older_than keep"),
    "prune tags": lambda store, _, value: store.prune(empty=True, keep_tags=value),
    "prune agent": lambda store, _, value: store.prune(empty=True, agent_name=value),
    **{
        f"{name} ref": call(name)
        for name in [
            "resume",
            "get",
            "record",
            "exists",
            "save",
            "delete",
            "fork",
            "tag",
            "untag",
            "runs",
            "run",
            "events",
            "search",
        ]
    },
    **{
        f"{name} conversation": call(name, "plan", option="conversation_id")
        for name in ["get", "record", "exists", "fork", "tag", "untag", "runs", "delete"]
    },
    "rewind ref": lambda store, _, value: store.rewind(value, 0),
    "rename ref": lambda store, _, value: store.rename(value, "other"),
    "fork name": call("fork", "plan"),
    "fork at": call("fork", "plan", option="at"),
    "rewind to": call("rewind", "plan"),
    "store tag": call("tag", "plan"),
    "store rename": call("rename", "plan"),
    "clear": call("clear", option="agent_name"),
    "clear agent": lambda store, _, value: store.clear(value, confirm=True),
    "clear confirm": call("clear", "nosuch", option="confirm"),
    "owner": lambda store, _, value: Store(store.backend, value).owner,
    "add": call("add_message", of="session"),
    "add role": lambda _, session, value: session.add_message({"role": value, "content": "x"}),
    "add content": lambda _, session, value: session.add_message({"role": "user", "content": value}),
    "add timestamp": lambda _, session, value: session.add_message({"role": "user", "timestamp": value}),
    "add calls": lambda _, session, value: session.add_message({"role": "assistant", "tool_calls": value}),
    "messages": lambda _, session, value: setattr(session, "messages", value),
    "metadata": lambda _, session, value: setattr(session, "metadata", value),
    "state": lambda _, session, value: setattr(session, "state", value),
    **{
        f"session {name}": call(name, of="session")
        for name in [
            "rename",
            "tag",
            "untag",
            "save",
            "fork",
            "rewind",
            "place",
            "checkpoint",
            "checkpoints",
            "redact",
            "history",
            "visible",
            "run_events",
            "resume_run",
            "clear_history",
        ]
    },
    "session fork at": call("fork", of="session", option="at"),
    "session clear_history keep_last": call("clear_history", of="session", option="keep_last"),
    "send": call("send", of="session"),
    **options("send", "x", of="session", names="model max_messages cell_id base retry_of"),
    "kv max_entries": lambda _, session, value: len(session.kv(max_entries=value)),
    "kv ttl": lambda _, session, value: session.kv(ttl=value).set("a", 1),
    "kv set": lambda _, session, value: session.kv().set(value, 1),
    "kv value": lambda _, session, value: session.kv().set("a", value),
    "kv set ttl": lambda _, session, value: session.kv().set("a", 1, ttl=value),
    "commit codec": lambda _, session, value: session.commit("message", value, "[]", prompts=0),
}


@pytest.mark.parametrize("what", TYPED)
def test_a_value_of_any_type_is_taken_or_one_line_alike(stores: list[Bench], what: str) -> None:
    for value in WRONG:
        errors = [bench.outcome(TYPED[what], value).error for bench in stores]
        assert errors == [errors[0]] * len(errors), value


@pytest.mark.parametrize("option", ["after", "limit"])
def test_a_page_of_events_is_asked_for_with_numbers(store: Store, option: str) -> None:
    session = store.create("plan")
    run = session.send("Hello", agent=str.upper)
    wrong: list[Any] = [b"x", 1.5, -2, Odd(), []]
    for value in wrong:
        for events in (store.events, session.run_events):
            with pytest.raises(InvalidInput, match=f"{option} must be"):
                events(run.run_id, **{option: value})


def test_a_backup_goes_to_a_path(store: Store) -> None:
    wrong: list[Any] = [1.5, True, -1, Odd(), []]
    for value in [None, *wrong]:
        with pytest.raises(InvalidInput):
            store.backup(value)
    for value in wrong:
        with pytest.raises(InvalidInput, match="named by its path or URL"):
            nbs.open_store(value)


NEVER: dict[str, Any] = {
    "create name": [b"x", 1.5, True, -1, Odd(), []],
    "resume ref": [None, b"x", 1.5, True, -1, 10**30, Odd(), []],
    "rewind to": [None, b"x", 1.5, -1, Odd(), []],
    "list limit": [b"x", 1.5, -1, Odd(), []],
    "list tag": [b"x", 1.5, True, -1, 10**30, Odd(), []],
    "prune older_than": [b"x", 1.5, True, -1, Odd(), [], timedelta(-1)],
    "events ref": [None, b"x", 1.5, True, -1, 10**30, Odd(), []],
    "send": [None, b"x", 1.5, True, -1, Odd(), []],
    "session send base": [b"x", 1.5, True, -1, Odd(), []],
    "kv set ttl": [b"x", 1.5, True, -1, Odd(), [], timedelta(0), timedelta(-1)],
    "search ref": [b"x", 1.5, True, -1, Odd(), []],
}


@pytest.mark.parametrize("what", NEVER)
def test_a_value_of_a_wrong_type_is_never_taken(stores: list[Bench], what: str) -> None:
    for value in NEVER[what]:
        assert stores[0].outcome(TYPED[what], value).error is not None, value


@pytest.mark.parametrize("limit", [-1, 1.5, "x"])
def test_the_log_takes_numbers_alone(store: Store, limit: Any) -> None:
    with pytest.raises(InvalidInput, match="limit must be"):
        store.create("plan").log(limit)


def test_the_log_takes_numbers_larger_than_any_store(sqlite_store: Store) -> None:
    assert len(sqlite_store.create("plan").log(10**30)) == 1


# Ways and lengths


@pytest.mark.parametrize("age", ["999999w", timedelta.max, timedelta(days=10**6)])
def test_nothing_is_older_than_all_dates(store: Store, age: Any) -> None:
    store.create("plan")
    assert store.prune(older_than=age) == []
    assert store.exists("plan")


@pytest.mark.parametrize("ttl", [timedelta.max, timedelta(microseconds=1), timedelta(days=10**6)])
def test_a_value_may_be_kept_for_any_time(store: Store, ttl: timedelta) -> None:
    kv = store.create("plan").kv(ttl=ttl)
    kv["a"] = 1
    assert kv.get("a") == (None if ttl < timedelta(seconds=1) else 1)


@pytest.mark.parametrize("place", ["a\0b", "\ud800", "~nosuchuser/x.db", b"a\0b"], ids=ascii)
def test_what_is_no_path_is_one_line(sqlite_store: Store, place: Any) -> None:
    for call in (nbs.open_store, sqlite_store.backup):
        with pytest.raises(InvalidInput) as told:
            call(place)
        assert len(str(told.value).splitlines()) == 1


def test_an_owner_that_is_no_text_is_one_all_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBSESSIONS_OWNER", "ad\udce9")  # what os.environ has of a byte that is no UTF-8
    mine = Store(store.backend, default_owner())
    mine.create("plan")
    assert mine.resume("latest").owner == "ad\ufffd"


@pytest.mark.parametrize("length", [600, 601])
def test_a_cell_whose_id_is_too_long_is_refused_before_the_agent_is_asked(store: Store, length: int) -> None:
    """PostgreSQL has no index of longer ones, and an answer that was paid for could not be stored."""
    asked: list[str] = []

    def agent(prompt: str) -> str:
        asked.append(prompt)
        return "fine"

    cell_id = "".join(chr(0x20000 + 7919 * number % 40_000) for number in range(length))
    session = store.create("plan")
    if length > 600:
        with pytest.raises(InvalidInput, match="the limit is 600"):
            session.send("Hello", agent=agent, cell_id=cell_id)
        assert asked == []
        return
    run = session.send("Hello", agent=agent, cell_id=cell_id)
    assert store.resume("plan").turns[0].cell_id == run.cell_id == cell_id
