"""
Our own JSON lines: sessions without any loss, however large, a line for each part.

Version 2: the first line is ``{"format": "nbsessions", "version": 2}``; each of the others is an object of
one key, the kind of a part, as `nbsessions.formats.documents` says. A session begins with ``session`` and
ends with ``{"end": {"session_id": ..., "parts": N}}``, so that one that was cut is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nbsessions.exceptions import FormatError
from nbsessions.formats import documents
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.documents import Assembly, check_version
from nbsessions.formats.reading import dict_of, json_lines
from nbsessions.stores.arguments import Bundle
from nbsessions.values import encode_json


def read(path: Path) -> Iterator[Bundle]:
    """Yield the sessions of a file; one at a time is held in memory.

    Raises
    ------
    FormatError
        Those before the line that is named came whole.

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> _ = store.create("plan")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = store.export("plan", Path(folder) / "plan.jsonl")
    ...     [bundle.record.name for bundle in read(path)]
    ['plan']
    """
    lines = json_lines(path)
    _, header = next(lines, (0, None))
    check_version(dict_of(header), path)
    assembly, count = None, 0
    for number, line in lines:
        where = f"{path}, line {number}"
        kind, part = _one(line, where)
        if kind == "session" and assembly is None:
            assembly, count = Assembly(part, where), 1
        elif assembly is None or kind == "session":
            raise FormatError(where, f"a {kind} stands where none can be")
        elif kind == "end":
            if dict_of(part).get("parts") != count:
                raise FormatError(where, "parts of the session before it are missing")
            yield assembly.bundle()
            assembly = None
        else:
            assembly.add(kind, part)
            count += 1
    if assembly is not None:
        raise FormatError(path, "it ends in the middle of a session")


def _one(line: Any, where: object) -> tuple[str, Any]:
    if not isinstance(line, dict) or len(line) != 1:
        raise FormatError(where, "it is no part of a session")
    ((kind, part),) = line.items()
    return kind, part


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions, one after the other.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([], file)
    >>> file.getvalue()
    b'{"format":"nbsessions","version":2}\\n'
    """
    _write_line(file, {"format": documents.FORMAT, "version": documents.VERSION})
    for bundle in bundles:
        count = 0
        for kind, part in documents.parts(bundle):
            _write_line(file, {kind: part})
            count += 1
        _write_line(file, {"end": {"session_id": bundle.record.session_id, "parts": count}})


def _write_line(file: BinaryIO, value: dict[str, Any]) -> None:
    file.write(encode_json(value, "session").encode() + b"\n")


def _guess(peek: Peek) -> bool:
    first = dict_of(peek.first)
    return first.get("format") == documents.FORMAT and "version" in first and "sessions" not in first


FORMAT = Format(
    name="jsonl",
    help="nbsessions' own JSON lines: all of many sessions, however large.",
    suffixes=(".jsonl",),
    read=read,
    write=write,
    guess=_guess,
)
