"""Exports and imports over HTTP: downloads and uploads, without any path."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

import nbsessions as nbs
from nbsessions import Session, Store, formats
from nbsessions.server.imports import ImportAsked, import_
from nbsessions.server.routes import Call
from tests.server.servers import Served

WRITABLE = [format.name for format in formats.all_formats() if format.write is not None]
READABLE = [name for name in WRITABLE if formats.find(name).read is not None]


@pytest.fixture(scope="module")
def session(server: Served) -> Session:
    with nbs.open_store(server.store) as opened:
        store = Store(opened.backend, "ada")
        session = store.create('../../<b>"pl&n" ä', session_id="exported", agent_name="exporter")
        session.send("<script>alert(1)</script>", agent=lambda prompt: "[x](javascript:alert(1))")
        store.create("beside", agent_name="exporter").add_message({"role": "user", "content": "Hello"})
        return session


@pytest.mark.parametrize("name", WRITABLE)
def test_every_format_is_downloaded(
    name: str, session: Session, client: httpx2.Client, tmp_path: Path
) -> None:
    answer = client.get("/sessions/exported/export", params={"format": name})
    assert answer.status_code == 200, answer.text
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="')
    assert not any(bad in disposition for bad in ("/", "\\", "<", "..", "\r", "\n"))
    assert disposition.count('"') == 2
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    path = tmp_path / f"x{formats.find(name).suffixes[0]}"
    path.write_bytes(answer.content)
    if name in READABLE:
        with nbs.open_store("memory:") as other:
            (record,) = other.import_(path, format=name)
            assert other.resume(record.session_id).messages[-1].text == "[x](javascript:alert(1))"


def test_many_sessions_are_downloaded_as_one_file(session: Session, client: httpx2.Client) -> None:
    answer = client.get("/export", params={"agent_name": "exporter"})
    assert "beside" in answer.text
    assert "javascript" in answer.text
    assert 'filename="sessions.jsonl"' in answer.headers["Content-Disposition"]
    assert client.get("/export", params={"format": "notebook"}).status_code == 400
    for wrong in ({"format": "docx"}, {"format": "agentry"}, {"path": "/tmp/x"}, {"format": "../x"}):
        assert client.get("/export", params=wrong).status_code == 400
        assert client.get("/sessions/exported/export", params=wrong).status_code == 400
    assert client.get("/sessions/nowhere/export").status_code == 404


@pytest.mark.parametrize("name", READABLE)
def test_what_was_downloaded_is_uploaded(
    name: str, session: Session, client: httpx2.Client, ada: httpx2.Client
) -> None:
    exported = client.get("/sessions/exported/export", params={"format": name}).content
    report = ada.post("/import", params={"rename": "true"}, content=exported).json()
    assert report["format"] == name, report
    assert len(report["sessions"]) + report["present"] >= 1
    again = ada.post("/import", params={"rename": "true"}, content=exported).json()
    assert (again["new"], again["present"]) == (0, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"{}",
        b"[" * 100_000,
        b"PK\x03\x04broken",
        b"SQLite format 3\0" + bytes(200),
        b"\xff\xfe\0",
    ],
)
def test_what_is_no_export_is_refused(content: bytes, client: httpx2.Client) -> None:
    for params in ({}, *({"format": name} for name in formats.NAMES)):
        answer = client.post("/import", content=content, params=params)
        assert answer.status_code in (400, 200 if params else 400), (params, answer.text)
        if answer.status_code == 400:
            assert set(answer.json()) == {"message", "error"}
        assert "/tmp" not in answer.text.replace("\\/", "/")
        assert "nbsessions-" not in answer.text


def test_a_name_that_is_taken_is_refused_or_numbered(client: httpx2.Client, ada: httpx2.Client) -> None:
    client.post("/sessions", json={"name": "numbered", "agent_name": "n"})
    (record,) = client.get("/sessions?name=numbered").json()["sessions"]
    exported = client.get(f"/sessions/{record['session_id']}/export").content
    ada.post("/sessions", json={"name": "numbered", "agent_name": "n"})
    assert ada.post("/import", content=exported).status_code == 409
    report = ada.post("/import?rename=true", content=exported).json()
    assert [one["name"] for one in report["sessions"]] == ["numbered (2)"]
    assert report["sessions"][0]["owner"] == "ada"


def test_an_archive_that_grows_without_end_is_refused(client: httpx2.Client) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b"[" + b" " * 600_000_000)
    answer = client.post("/import", content=file.getvalue())
    assert answer.status_code == 400, answer.text


def temporary(server: Served) -> list[str]:
    return [name for name in os.listdir(server.log.parent / "tmp") if name.startswith("nbsessions-")]


def test_nothing_is_left_of_an_upload(server: Served, client: httpx2.Client) -> None:
    client.post("/import", content=b"nonsense")
    client.get("/export?format=store")
    assert temporary(server) == []


def test_who_leaves_in_the_middle_of_an_upload_leaves_nothing(server: Served, client: httpx2.Client) -> None:
    where = urlsplit(server.api)
    head = (
        f"POST {where.path}/import HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: token {server.token}\r\n"
        "Content-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        connection.sendall(head.encode() + b"x" * 1000)
        while not temporary(server):
            pass
    while temporary(server):
        client.get("/")


def test_too_much_is_refused_before_it_is_read(server: Served, client: httpx2.Client) -> None:
    where = urlsplit(server.api)
    for path, size in (("/import", 300 * 1024 * 1024), ("/sessions", 2 * 1024 * 1024), ("/nowhere", 2**40)):
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
            connection.sendall(
                f"POST {where.path}{path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
                f"Authorization: token {server.token}\r\nContent-Length: {size}\r\n\r\n".encode()
            )
            answer = connection.recv(65536).decode()
        assert answer.startswith(("HTTP/1.1 413 ", "HTTP/1.1 400 ")), answer


def test_a_length_that_is_none_is_no_reason_to_fail(server: Served) -> None:
    where = urlsplit(server.api)
    for length in ("1, 1", "+1", "1_0", "-1", "x", "\u0661", "9" * 5000, ""):
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
            connection.sendall(
                f"POST {where.path}/sessions HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
                f"Authorization: token {server.token}\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536).decode()
        assert not answer.startswith("HTTP/1.1 5"), (length, answer)


def test_too_much_that_does_not_say_how_much_it_is_is_refused(client: httpx2.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 100_000

    try:
        answer = client.post("/sessions", content=endless())
    except httpx2.TransportError:  # the connection was closed before all was sent
        return
    assert answer.status_code == 413


def test_the_store_of_the_kernel_is_whole(kernel_store: Store) -> None:
    assert kernel_store.verify().ok


def test_an_import_that_takes_long_writes_nothing_to_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("nbsessions.transfers.sources._PATIENCE", 0.0)
    file = tmp_path / "upload"
    file.write_text('[{"role": "user", "content": "Hello"}]')
    import_(Call(nbs.open_store("memory:"), query=ImportAsked.model_validate({}), upload=file))
    assert capsys.readouterr() == ("", "")
