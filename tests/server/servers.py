"""A real Jupyter Server in a process of its own, on this machine alone, with nothing of the real user's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

_ROOT = Path(__file__).parent.parent.parent
SECONDS = 120


@dataclass
class Served:
    """A server that runs: where it is, where its store is, and how it is asked."""

    url: str
    token: str
    store: str
    log: Path
    pid: int
    _clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"{self.url}/nbsessions/api"

    def client(self, token: str | None = None, **headers: str) -> httpx2.Client:
        """Return a client that asks below ``/nbsessions/api``, as whoever has this token; "": nobody."""
        token = self.token if token is None else token
        who = {"Authorization": f"token {token}"} if token else {}
        made = httpx2.Client(base_url=self.api, headers={**who, **headers}, timeout=SECONDS)
        self._clients.append(made)
        return made

    def said(self) -> str:
        """Return what it has logged."""
        return self.log.read_text()


@contextmanager
def served(folder: Path, store: str, *, module: str = "jupyter_server", **config: Any) -> Iterator[Served]:
    """Start a server whose extension is the one that is installed; `config` is by the name of a class."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = "secret-token"
    merged = {
        "ServerApp": {"ip": "127.0.0.1", "port": port, "port_retries": 0, "open_browser": False}
        | {"root_dir": str(folder), "allow_root": True}
        | config.pop("ServerApp", {}),
        "IdentityProvider": {"token": token} | config.pop("IdentityProvider", {}),
        **config,
    }
    places = {name: str(folder / name) for name in ("config", "data", "runtime")}
    for place in places.values():
        Path(place).mkdir(exist_ok=True)
    Path(places["config"], "jupyter_server_config.json").write_text(json.dumps(merged))
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    env = {
        **os.environ,
        **{f"JUPYTER_{name.upper()}_DIR": place for name, place in places.items()},
        "JUPYTER_PLATFORM_DIRS": "1",
        "NBSESSIONS_STORE": store,
        "NBSESSIONS_OWNER": "ada",
        "PYTHONPATH": str(_ROOT),
        "TMPDIR": str(temporary),
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    base = merged["ServerApp"].get("base_url", "/").rstrip("/")
    found = Served(f"http://127.0.0.1:{port}{base}", token, store, log, process.pid)
    try:
        _wait(found, process)
        yield found
    finally:
        for client in found._clients:
            client.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Served, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, server.said()[-4000:]
        try:
            httpx2.get(f"{server.url}/api", timeout=5)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(server.said()[-4000:])
