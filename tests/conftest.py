"""Fixtures for all tests: a store of each kind, other processes, and nothing of the real user's data."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import nbsessions as nbs
from nbsessions import Message, Session, Store
from tests.disks import SmallDisk
from tests.postgres import Server

ROOT = Path(__file__).parent.parent
STUCK_SECONDS = 60
"""Another process that takes longer than this does not end at all."""

# A shell that was asked to run the tests in the background ignores Ctrl-C for them and all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Readline told the process that starts the workers how wide its window is; theirs are as wide as a test says.
for size in ("COLUMNS", "LINES"):
    os.environ.pop(size, None)

# No test depends on how fast a machine is, or leaves examples behind.
settings.register_profile(
    "nbsessions",
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("nbsessions")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the whole suite on all cores, and what somebody names in this process."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        config.option.dist = "no"
        return 0
    # One more than there are cores: many tests wait for a kernel, a browser or another process.
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that a test has taken, also where it passed on another core."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test, and the processes that it starts, away from the real user's sessions."""
    monkeypatch.setenv("NBSESSIONS_OWNER", "ada")
    monkeypatch.setenv("NBSESSIONS_STORE", str(tmp_path / "default" / "sessions.db"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "default"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "default"))
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.delenv("NBSESSIONS_PRICES", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of an SQLite store goes."""
    return tmp_path / "agents.db"


@pytest.fixture
def sqlite_store(path: Path) -> Iterator[Store]:
    with nbs.open_store(path) as store:
        yield store


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test asks for it."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres: Server) -> Iterator[str]:
    """The URL of a store that is not made yet, in a schema of its own."""
    schema = postgres.new_schema()
    yield postgres.url(schema)
    postgres.drop(schema)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    with nbs.open_store(postgres_url) as store:
        yield store


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A new store; the test runs on each kind."""
    if request.param == "memory":
        with nbs.open_store("memory:") as store:
            yield store
    else:
        yield request.getfixturevalue(f"{request.param}_store")


class Python:
    """Runs code in other processes; its arguments are `sys.argv[1:]` there."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, code: str, *args: object) -> str:
        """Run `code` to its end, and return what it printed."""
        return self.finish(self.start(code, *args))

    def start(self, code: str, *args: object) -> subprocess.Popen[str]:
        command: Sequence[str] = [sys.executable, "-c", code, *map(str, args)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, start_new_session=True
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], said: str | None = None) -> str:
        try:
            out, err = process.communicate(said, timeout=STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill(process)
            pytest.fail(f"It did not end: {process.args!r}")
        assert process.returncode == 0, err
        return out

    def _kill(self, process: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with the children that it may have
        process.communicate()

    def close(self) -> None:
        for process in self._started:
            self._kill(process)


@pytest.fixture
def python() -> Iterator[Python]:
    runner = Python()
    yield runner
    runner.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    disk = SmallDisk(folder)
    yield disk
    disk.close()


def texts(session: Session | Sequence[Message]) -> list[str]:
    """Return what the messages say, oldest first."""
    messages = session.messages if isinstance(session, Session) else session
    return [message.text for message in messages]


def add(session: Session, *said: str, role: str = "user") -> None:
    """Add messages one by one."""
    for text in said:
        session.add_message({"role": role, "content": text})
