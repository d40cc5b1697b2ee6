"""Which notebook a kernel belongs to: a real Jupyter server is asked."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.kernels import kernel

PATH = (
    "from nbsessions.notebook import notebook_path\n"
    "path = notebook_path(get_ipython())\n"
    "open('path.txt', 'w').write(str(path))"
)


def test_vs_code_says_it(tmp_path: Path) -> None:
    with kernel(tmp_path) as lab:
        lab.run(f"__vsc_ipynb_file__ = {str(tmp_path / 'a b.ipynb')!r}")
        assert lab.run(PATH).error is None
    assert (tmp_path / "path.txt").read_text() == str(tmp_path / "a b.ipynb")


def test_a_renamed_notebook_is_not_certain(tmp_path: Path) -> None:
    (tmp_path / "nb.ipynb").write_text("{}")
    with kernel(tmp_path, JPY_SESSION_NAME=str(tmp_path / "nb.ipynb")) as lab:
        lab.run(PATH)
        assert (tmp_path / "path.txt").read_text() == str(tmp_path / "nb.ipynb")
        (tmp_path / "nb.ipynb").rename(tmp_path / "renamed.ipynb")
        lab.run(PATH)
        assert (tmp_path / "path.txt").read_text() == "None"
    with kernel(tmp_path, JPY_SESSION_NAME="7f3b2c1e-0d4a-4f6e-9a51-7c2d1e5b9a10") as lab:
        lab.run(PATH)
        assert (tmp_path / "path.txt").read_text() == "None"


def test_the_server_says_it_also_after_a_rename(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "nb.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, runtime = secrets.token_hex(16), tmp_path / "runtime"
    env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    options = [f"--port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    command = [
        sys.executable,
        "-m",
        "jupyter_server",
        "--no-browser",
        "--ip=127.0.0.1",
        "--allow-root",
        *options,
    ]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/api/status", token)
        body = {"path": "nb.ipynb", "name": "nb.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = _call("POST", f"http://127.0.0.1:{port}/api/sessions", token, body)
        path = _call(
            "PATCH", f"http://127.0.0.1:{port}/api/sessions/{session['id']}", token, {"path": "new.ipynb"}
        )
        assert path["path"] == "new.ipynb"
        connection = runtime / f"kernel-{session['kernel']['id']}.json"
        # A server that is too busy to answer at once is not waited for: the path is not certain then.
        for _ in range(10):
            _execute(connection, PATH)
            if (root / "path.txt").read_text() != "None":
                break
        assert (root / "path.txt").read_text() == str(root / "new.ipynb")
    finally:
        server.terminate()
        server.wait(30)


ODD = [
    "",
    "[]",
    "{}",
    '{"pid": "x", "url": "http://127.0.0.1:1/"}',
    '{"pid": 1e400, "url": "http://127.0.0.1:1/"}',
    '{"pid": PID}',
    '{"pid": PID, "url": 5}',
    '{"pid": PID, "url": "http://127.0.0.1:PORT/", "token": "", "root_dir": "/"}',
]
ANSWERS = [
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[",
    b"HTTP/1.1 200 OK\r\n\r\n[5, {}]",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_odd_servers_and_their_odd_files_are_passed_over(tmp_path: Path, answer: bytes) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as odd:
        threading.Thread(target=_answer, args=(odd, answer, asked), daemon=True).start()
        for number, text in enumerate(ODD):
            said = text.replace("PID", str(os.getpid())).replace("PORT", str(odd.getsockname()[1]))
            (runtime / f"jpserver-{number}.json").write_text(said)
        with kernel(tmp_path, JUPYTER_RUNTIME_DIR=str(runtime)) as lab:
            # A kernel of no server has no such id.
            lab.run("import nbsessions.notebook\nnbsessions.notebook._kernel_id = lambda: 'some-id'")
            shown = lab.run(PATH)
    assert shown.error is None
    assert (tmp_path / "path.txt").read_text() == "None"
    assert asked, "the last file is of a server that answers"


def _answer(server: socket.socket, answer: bytes, asked: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        with connection:
            asked.append(connection.recv(1 << 16))
            connection.sendall(answer)


def _call(method: str, url: str, token: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"token {token}"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert isinstance(answer, dict)
    return answer


def _wait(url: str, token: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            _call("GET", url, token)
            return
        except OSError:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.1)


def _wait_for(client: BlockingKernelClient) -> None:
    """Wait for a kernel, which counts as dead until its first heartbeat: a slow machine takes a second for it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.wait_for_ready(timeout=60)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _execute(connection: Path, code: str) -> None:
    client = BlockingKernelClient(connection_file=str(connection))
    client.load_connection_file()
    client.start_channels()
    try:
        _wait_for(client)
        reply = client.execute_interactive(code, timeout=60, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        client.context.destroy()
