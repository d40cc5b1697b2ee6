"""The store in a folder and webagents' own SessionManager, on the same sessions, in both directions."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsessions as nbs
from nbsessions import Session, Store
from tests.conftest import add, texts
from tests.stores.webagents import WebAgents

AT = "2024-01-15T10:30:00.000000"
EIGHT = [
    "session_id",
    "agent_name",
    "created_at",
    "updated_at",
    "messages",
    "metadata",
    "input_tokens",
    "output_tokens",
]


@pytest.fixture(scope="session")
def webagents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAgents]:
    """Webagents in an environment that is made for this run of the tests."""
    running = WebAgents(tmp_path_factory.mktemp("webagents") / "env")
    yield running
    running.close()


class Agent:
    """One agent of webagents: its folder, and what its SessionManager does there."""

    def __init__(self, webagents: WebAgents, path: Path) -> None:
        self._webagents, self.path = webagents, path
        self.folder = path / ".webagents" / "sessions"

    def __call__(self, what: str, **more: Any) -> Any:
        return self._webagents.ask(self.path, what, **more)

    def goes_on(self, *said: str, handle: object = 0, conversation: str | None = None, **more: Any) -> None:
        """Add a question and an answer for each text to the session in memory, and save that."""
        messages = [message for text in said for message in (user(f"{text}?"), assistant(f"{text}!"))]
        self("say", messages=messages, handle=handle, **more)
        self("save", handle=handle, conversation=conversation)

    def file(self, session_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{session_id}.json").read_text())
        return found

    @property
    def latest(self) -> str:
        return (self.folder / ".latest").read_text()


@pytest.fixture
def agent(webagents: WebAgents, tmp_path: Path) -> Agent:
    return Agent(webagents, tmp_path / "agent")


@pytest.fixture
def store(agent: Agent) -> Iterator[Store]:
    with nbs.open_store(f"file:{agent.folder}") as store:
        yield store


_minute = iter(range(10_000))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text, "timestamp": _time()}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "timestamp": _time()}


def _time() -> str:
    minute = next(_minute)
    return f"2024-01-{16 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00.000001"


CALL = {"id": "call_1", "type": "function", "function": {"name": "sum", "arguments": '{"col": "a"}'}}
RICH = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Sum column a", "timestamp": AT},
    {"role": "assistant", "content": "", "tool_calls": [CALL], "timestamp": "2024-01-15T10:30:02.000000"},
    {
        "role": "tool",
        "content": "6 ä 😀",
        "tool_call_id": "call_1",
        "timestamp": "2024-01-15T10:30:03.000000",
    },
    {"role": "assistant", "content": "6.", "timestamp": "2024-01-15T10:30:05.000000", "unknown": {"a": [1]}},
]


def said(session: dict[str, Any]) -> list[str]:
    return [message["content"] for message in session["messages"]]


# What webagents wrote


def test_b01_all_that_webagents_saved_is_here(agent: Agent, store: Store) -> None:
    agent("begin", id="chat-1", at=AT, metadata={"name": "nice", "mood": "good"})
    agent("say", messages=RICH, spent=[100, 50])
    agent("save")
    session = store.resume("nice")
    assert session.session_id == "chat-1"
    assert session.agent_name == "my-agent"
    assert session.metadata == {"mood": "good"}
    assert session.created_at.astimezone().replace(tzinfo=None).isoformat() == AT[:-7]
    assert (session.usage.input_tokens, session.usage.output_tokens) == (100, 50)
    assert session.usage.unpriced_tokens == 150
    assert texts(session) == ["Be brief.", "Sum column a", "", "6 ä 😀", "6."]
    assert session.messages[2].calls[0].name == "sum"
    assert session.messages[3].tool_call_id == "call_1"
    assert session.messages[4]["unknown"] == {"a": [1]}
    assert session.turn_count == 1
    assert session.owner == store.owner
    assert store.verify().ok
    # And nothing was written: what is read stays as it is.
    assert "nbsessions" not in agent.file("chat-1")["metadata"]


def test_b01_all_eight_keys_come_back_when_we_have_written(agent: Agent, store: Store) -> None:
    agent("begin", id="chat-1", at=AT, metadata={"name": "nice", "mood": "good"})
    agent("say", messages=RICH, spent=[100, 50])
    agent("save")
    store.tag("nice", "draft")
    found = agent("hold", id="chat-1")
    assert list(found) == EIGHT
    assert found["messages"] == RICH
    assert (found["session_id"], found["agent_name"], found["created_at"]) == ("chat-1", "my-agent", AT)
    assert (found["metadata"]["name"], found["metadata"]["mood"]) == ("nice", "good")
    assert (found["input_tokens"], found["output_tokens"]) == (100, 50)


def test_a_session_is_known_again_by_who_opens_the_folder_later(agent: Agent, store: Store) -> None:
    agent("begin", id="chat-1", at=AT)
    agent.goes_on("a")
    turns = [turn.turn_id for turn in store.resume("chat-1").turns]
    store.close()
    with nbs.open_store(f"file:{agent.folder}") as again:
        session = again.resume("chat-1")
        assert [turn.turn_id for turn in session.turns] == turns
        assert [entry.action for entry in session.log()] == ["import", "create"]


# What we wrote


def test_b01_webagents_loads_what_we_wrote(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7", agent_name="my-agent")
    session.send("Where does the owl live? ä😀", agent=lambda prompt: "In a tree.")
    assert agent.latest == "chat-7"
    for found in (agent("hold", id="chat-7"), agent("hold")):
        assert said(found) == ["Where does the owl live? ä😀", "In a tree."]
        assert found["metadata"]["name"] == "plan"
    assert [one["session_id"] for one in agent("list")] == ["chat-7"]
    assert agent("list")[0]["message_count"] == 2


def test_b03_the_latest_is_the_same_on_both_sides(agent: Agent, store: Store) -> None:
    for name in ("a", "b", "c"):
        store.create(name, session_id=name)
    add(store.resume("b"), "Hello")
    assert (agent.latest, store.resume().name) == ("b", "b")
    agent("hold", id="a")
    agent.goes_on("again")
    assert (agent.latest, store.resume().name) == ("a", "a")
    store.delete("a")
    assert (agent.latest, agent("hold")["session_id"], store.resume().name) == ("b", "b", "b")
    listed = [one["session_id"] for one in agent("list")]
    assert listed == [record.session_id for record in store.list()] == ["b", "c"]


def test_b10_each_interaction_is_saved_also_one_that_failed(agent: Agent, store: Store) -> None:
    def broken(prompt: str) -> str:
        raise ValueError("no idea")

    session = store.create("plan", session_id="chat-7", metadata={"mood": "good"})
    created = agent.file("chat-7")["created_at"]
    for number, answer in enumerate(("one", "two", None, "four"), 1):
        if answer is None:
            with pytest.raises(nbs.RunFailed):
                session.send(f"{number}?", agent=broken)
        else:
            session.send(f"{number}?", agent=lambda prompt, answer=answer: answer)
        with nbs.open_store(f"file:{agent.folder}") as other:
            assert len(other.runs("plan")) == number
            assert texts(other.resume()) == said(agent("hold"))
    found = agent.file("chat-7")
    assert said(found) == ["1?", "one", "2?", "two", "4?", "four"]
    assert [run.prompt for run in session.runs() if run.status == "failed"] == ["3?"]
    assert (found["created_at"], found["metadata"]["name"]) == (created, "plan")
    assert found["metadata"]["mood"] == "good"


# Edits


def test_webagents_goes_on_with_our_session(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7", tags=["draft"], state={"step": 1})
    add(session, "Hello")
    agent("hold")
    agent.goes_on("a", "b", spent=[10, 5])
    found = store.resume("plan")
    assert texts(found) == ["Hello", "a?", "a!", "b?", "b!"]
    assert [turn.message_count for turn in found.turns] == [1, 2, 2]
    assert (found.tags, found.state) == (["draft"], {"step": 1})
    assert (found.usage.input_tokens, found.usage.output_tokens) == (10, 5)
    assert found.log()[0].action == "import"
    assert found.undo() == "import"
    assert texts(found) == ["Hello"]
    assert store.verify().ok


def test_webagents_saves_again_and_again_what_it_has_in_memory(agent: Agent, store: Store) -> None:
    add(store.create("plan", session_id="chat-7"), "Hello")
    agent("hold")
    for number in range(4):
        agent.goes_on(str(number), spent=[10, 5])
        session = store.resume("plan")
        assert len(session.messages) == 3 + 2 * number
        assert session.usage.input_tokens == 10 * (number + 1)
    assert len(store.list(None)) == 1
    assert [turn.message_count for turn in store.resume("plan").turns] == [1, 2, 2, 2, 2]


def test_both_go_on_in_turns(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    for number in range(5):
        session.send(f"ours {number}", agent=lambda prompt: prompt.upper())
        agent("hold")
        agent.goes_on(f"theirs {number}")
        session.refresh()
    assert len(store.list(None)) == 1
    assert len(session.messages) == len(agent("hold")["messages"]) == 20
    assert texts(session)[-4:] == ["ours 4", "OURS 4", "theirs 4?", "theirs 4!"]


@pytest.mark.parametrize("system", [0, 3])
def test_b09_what_webagents_trimmed_is_not_lost(agent: Agent, store: Store, system: int) -> None:
    session = store.create("plan", session_id="chat-7")
    head = [{"role": "system", "content": f"rule {n}"} for n in range(system)]
    session.messages = [*head, *({"role": "user", "content": str(n)} for n in range(247))]
    before = texts(session)
    assert len(agent("hold")["messages"]) == 100
    agent.goes_on("new")
    assert len(agent.file("chat-7")["messages"]) == 102
    assert texts(store.resume("plan")) == [*before, "new?", "new!"]
    # And webagents' own file is whole again.
    assert len(agent.file("chat-7")["messages"]) == 249 + system
    # What it still has in memory is trimmed, too, and is saved once more.
    agent.goes_on("newer")
    assert texts(store.resume("plan")) == [*before, "new?", "new!", "newer?", "newer!"]
    assert len(store.list(None)) == 1


def test_who_was_overtaken_is_kept_on_a_fork(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "Hello")
    agent("hold")
    add(session, "ours")
    agent.goes_on("theirs", spent=[10, 5])
    with pytest.warns(RuntimeWarning, match=r"kept on 'plan \(fork\)'"):
        records = store.list(None)
    assert {record.name: texts(store.resume(record.session_id)) for record in records} == {
        "plan": ["Hello", "ours"],
        "plan (fork)": ["Hello", "theirs?", "theirs!"],
    }
    # The file says what the session says, and webagents finds the fork beside it.
    assert said(agent.file("chat-7")) == ["Hello", "ours"]
    fork = store.resume("plan (fork)")
    assert fork.record.parent_session_id == "chat-7"
    assert fork.usage.input_tokens == 10
    assert said(agent("hold", id=fork.session_id, handle=1)) == ["Hello", "theirs?", "theirs!"]
    # Who goes on from memory goes on there.
    agent.goes_on("more")
    assert texts(store.resume("plan (fork)")) == ["Hello", "theirs?", "theirs!", "more?", "more!"]
    assert texts(store.resume("plan")) == ["Hello", "ours"]
    assert len(store.list(None)) == 2
    assert store.verify().ok


def test_a_handle_that_was_overtaken_by_webagents_forks_as_ever(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "Hello")
    agent("hold")
    agent.goes_on("theirs")
    session.send("ours", agent=lambda prompt: "Hi")
    assert session.notice is not None
    assert texts(store.resume("plan")) == ["Hello", "theirs?", "theirs!"]
    assert texts(store.resume("plan (fork)")) == ["Hello", "ours", "Hi"]


def test_a_list_that_webagents_replaced_is_a_new_line(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "a", "b", "c")
    agent("hold")
    agent("replace", messages=[{"role": "user", "content": "x"}])
    agent("save")
    found = store.resume("plan")
    assert texts(found) == ["x"]
    found.undo()
    assert texts(found) == ["a", "b", "c"]
    assert said(agent.file("chat-7")) == ["a", "b", "c"]


def test_a_list_that_webagents_emptied_or_cut_comes_back_by_undo(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "a", "b", "c")
    for kept in (2, 0):
        held = agent("hold")
        agent("replace", messages=held["messages"][:kept])
        agent("save")
        found = store.resume("plan")
        assert len(texts(found)) == kept
        found.undo()
        assert texts(found) == ["a", "b", "c"]


def test_saving_without_a_change_changes_nothing(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "a")
    agent("hold")
    agent("save")
    found = store.resume("plan")
    assert [entry.action for entry in found.log()] == ["message", "create"]
    # Also where it is not the newest state that is saved.
    add(found, "b")
    agent("save")
    assert texts(store.resume("plan")) == ["a", "b"]
    assert len(store.list(None)) == 1
    assert said(agent("hold")) == ["a", "b"]


def test_names_and_metadata_that_webagents_changed_come_in(agent: Agent, store: Store) -> None:
    store.create("plan", session_id="chat-7", metadata={"a": 1, "name": "mine", "nbsessions": 2})
    store.create("essay", session_id="chat-8")
    agent("hold", id="chat-7")
    agent("name", name="better")
    agent("note", metadata={"a": 2, "b": [1]})
    agent("save")
    record = store.record("chat-7")
    assert record.name == "better"
    assert record.metadata == {"a": 2, "b": [1], "name": "mine", "nbsessions": 2}
    agent("name", name="essay")  # which is taken
    agent("save")
    assert store.record("chat-7").name == "essay (2)"


def test_what_was_redacted_does_not_come_back_from_webagents_memory(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    add(session, "My password is hunter2", "b")
    agent("hold")
    session.redact(0)
    assert "hunter2" not in (agent.folder / "chat-7.json").read_text()
    agent.goes_on("new")
    found = store.resume("plan")
    assert texts(found) == ["[redacted]", "b", "new?", "new!"]
    store.close()
    for path in agent.folder.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


# Deleting


def test_what_webagents_deleted_is_kept_and_comes_back_with_its_next_change(
    agent: Agent, store: Store
) -> None:
    add(store.create("plan", session_id="chat-7"), "Hello")
    add(store.create("essay", session_id="chat-8"), "Hello")
    agent("clear")
    assert agent("list") == []
    store.close()
    with nbs.open_store(f"file:{agent.folder}") as again:
        assert [record.name for record in again.list()] == ["essay", "plan"]
        assert agent("list") == []
        assert "removed the files of 2 sessions" in (again.backend.note or "")
        assert again.verify().ok
        add(again.resume("plan"), "more")
        assert [one["session_id"] for one in agent("list")] == ["chat-7"]
        assert agent.latest == "chat-7"
        again.delete("essay")
        assert not again.exists("essay")


def test_what_we_deleted_webagents_brings_back_only_by_saving_it(agent: Agent, store: Store) -> None:
    add(store.create("plan", session_id="chat-7"), "Hello")
    agent("hold")
    store.delete("plan")
    assert agent("list") == []
    assert agent("hold", handle=1) is None
    agent("save")
    assert texts(store.resume("plan")) == ["Hello"]


@pytest.mark.parametrize("confirm", [False, "false", "no", "true", 1, None])
def test_b07_clearing_needs_a_real_confirmation(agent: Agent, store: Store, confirm: Any) -> None:
    store.create("plan", session_id="a", agent_name="my-agent")
    store.create("other", session_id="b", agent_name="another")
    store.create("child", session_id="c", agent_name="my-agent", conversation_id="conv-1")
    with pytest.raises(nbs.InvalidInput, match="confirm=True"):
        store.clear("my-agent", confirm=confirm)
    assert len(agent("list")) == 2
    # Somebody else's are not cleared, nor are those of a conversation.
    assert Store(store.backend, "bob").clear("my-agent", confirm=True) == 0
    assert store.clear("my-agent", confirm=True) == 1
    assert [one["session_id"] for one in agent("list")] == ["b"]
    assert [one["session_id"] for one in agent("list", conversation="conv-1")] == ["c"]


# A2A


def test_b08_conversations_are_apart_on_both_sides(agent: Agent, store: Store) -> None:
    for conversation in ("conv-1", "conv-2"):
        agent("begin", id="chat-1", at=AT, handle=conversation)
        agent.goes_on(conversation, handle=conversation, conversation=conversation)
        session = store.resume("chat-1", conversation_id=conversation)
        assert texts(session)[0] == f"{conversation}?"
        add(session, "more")
    store.create("ours", session_id="chat-2", conversation_id="conv-1")
    assert store.list() == []
    assert len(store.list(None, conversation_id="*")) == 3
    assert (agent.folder / "a2a" / "conv-1" / ".latest").read_text() == "chat-2"
    assert (agent.folder / "a2a" / "conv-2" / ".latest").read_text() == "chat-1"
    assert not (agent.folder / ".latest").exists()
    assert said(agent("hold", conversation="conv-2")) == ["conv-2?", "conv-2!", "more"]
    agent("clear", conversation="conv-1")
    assert len(agent("list", conversation="conv-2")) == 1


def test_a_conversation_with_a_strange_name_is_one_folder(agent: Agent, store: Store) -> None:
    agent("begin", id="chat-1", at=AT)
    agent.goes_on("a", conversation="agent:ä b")
    session = store.resume("chat-1", conversation_id="agent:ä b")
    add(session, "more")
    store.create(session_id="chat-2", conversation_id="agent:ä b")
    assert {one["session_id"] for one in agent("list", conversation="agent:ä b")} == {"chat-1", "chat-2"}
    assert len(list((agent.folder / "a2a").iterdir())) == 1


# Races


def test_nothing_is_lost_while_both_write_at_once(agent: Agent, store: Store) -> None:
    session = store.create("plan", session_id="chat-7")
    stop = threading.Event()

    def ours() -> None:
        own = store.resume("plan")
        number = 0
        while not stop.is_set():
            own.add_message({"role": "user", "content": f"ours {number}"})
            number += 1
            if own.session_id != "chat-7":
                own = store.resume("plan")
        counts.append(number)

    counts: list[int] = []
    thread = threading.Thread(target=ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that something was kept on a fork
        thread.start()
        try:
            for number in range(40):
                agent("hold", id="chat-7")
                agent.goes_on(f"theirs {number}")
        finally:
            stop.set()
            thread.join()
        store.list(None)
    found = {text for record in store.list(None) for text in texts(store.resume(record.session_id))}
    assert {f"ours {number}" for number in range(counts[0])} <= found
    assert {f"theirs {number}?" for number in range(40)} <= found
    assert session.session_id == "chat-7"
    assert store.verify().ok


def test_two_stores_let_one_edit_in_once(agent: Agent, store: Store) -> None:
    add(store.create("plan", session_id="chat-7"), "Hello")
    with nbs.open_store(f"file:{agent.folder}") as other:
        agent("hold")
        agent.goes_on("a")
        sessions: list[Session] = [one.resume("plan") for one in (store, other)]
        assert [texts(session) for session in sessions] == [["Hello", "a?", "a!"]] * 2
        assert len(sessions[0].log()) == len(sessions[1].log()) == 3
