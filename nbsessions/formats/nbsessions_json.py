"""
Our own JSON: sessions without any loss, for people and programs to read.

Version 2::

    {"format": "nbsessions", "version": 2, "sessions": [
        {"session": {...}, "turns": [...], "log": [...], "checkpoints": [...], "runs": [...],
         "events": [...], "progress": [...], "values": [...]}]}

What the parts are, `nbsessions.formats.documents` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats import documents
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.documents import Assembly, check_version
from nbsessions.formats.reading import alone, dict_of, list_of, parsed, read_json
from nbsessions.stores.arguments import Bundle

_PLURALS: Final = {kind: f"{kind}s" for kind in ("turn", "checkpoint", "run", "event", "value")}
_PLURALS.update(log="log", progress="progress")
_HEADER: Final = {"format": documents.FORMAT, "version": documents.VERSION}


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a file.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = store.export("plan", Path(folder) / "plan.json")
    ...     [bundle.record.name for bundle in read(path)]
    ['plan']
    """
    yield from _bundles(read_json(path), path)


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions, one after the other.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([], file)
    >>> file.getvalue().decode().split()
    ['{"format":', '"nbsessions",', '"version":', '2,', '"sessions":', '[', ']}']
    """
    header = json.dumps({**_HEADER, "sessions": []})[: -len("]}")]
    file.write(f"{header}\n".encode())
    for number, bundle in enumerate(bundles):
        file.write(b",\n" if number else b"")
        file.write(json.dumps(_document(bundle), ensure_ascii=False, indent=1, allow_nan=False).encode())
    file.write(b"\n]}\n")


def dumps(bundle: Bundle) -> str:
    """Return a session as one JSON text, on one line.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> text = dumps(Building("example", "chat-7", agent_name="helper").bundle())
    >>> loads(text, "here").record.session_id
    'chat-7'
    """
    document = {**_HEADER, "sessions": [_document(bundle)]}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def loads(text: str, where: object) -> Bundle:
    """Return the session of a JSON text; `where` is what to call it in an error.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> loads("{}", "here")
    Traceback (most recent call last):
    nbsessions.exceptions.FormatError: here: it is no export of nbsessions.
    """
    found = list(_bundles(parsed(text, where), where))
    if len(found) != 1:
        raise FormatError(where, f"it holds {len(found)} sessions, and not one")
    return found[0]


def _document(bundle: Bundle) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for kind, part in documents.parts(bundle):
        if kind == "session":
            document[kind] = part
        else:
            document.setdefault(_PLURALS[kind], []).append(part)
    return document


def _bundles(data: Any, where: object) -> Iterator[Bundle]:
    check_version(dict_of(data), where)
    if not isinstance(data.get("sessions"), list):
        raise FormatError(where, "it has no sessions")
    for document in data["sessions"]:
        yield from alone(where, _bundle, dict_of(document), where)


def _bundle(document: dict[str, Any], where: object) -> Bundle:
    assembly = Assembly(document.get("session"), where)
    for kind, plural in _PLURALS.items():
        for part in list_of(document.get(plural)):
            assembly.add(kind, part)
    return assembly.bundle()


def _guess(peek: Peek) -> bool:
    return {"format", "version", "sessions"} <= peek.keys and f'"{documents.FORMAT}"' in peek.text


FORMAT = Format(
    name="json",
    help="nbsessions' own JSON: all of a session, to be read by people and programs.",
    suffixes=(".json",),
    read=read,
    write=write,
    guess=_guess,
)
