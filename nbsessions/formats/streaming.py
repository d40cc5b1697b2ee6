"""
Large JSON files, read one value of their array at a time.

A value is found by its brackets and parsed on its own, as any other JSON. (The C parser of ijson 3.6 crashes
the process on a number of 5,000 digits, and its builder needs memory without end for what is nested so.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import advance
from nbsessions.formats.reading import parsed
from nbsessions.values import MAX_JSON_BYTES

_CHUNK: Final = 256 * 1024
# All up to where the depth changes or a text is cut; between the values of the array, to a comma, too.
_WITHIN: Final = re.compile(rb'(?:[^\[\]{}"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_BETWEEN: Final = re.compile(rb'(?:[^\[\]{}",]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SPACE: Final = b" \t\r\n"


def array_items(file: IO[bytes], where: object) -> Iterator[Any]:
    """Yield the values of a file that is a JSON array; of another JSON file, its one value.

    Of an array, one value at a time is in memory.

    Raises
    ------
    FormatError
        It is no JSON, ends in the middle, or one value is too large. The values before that came whole.

    Examples
    --------
    >>> from io import BytesIO
    >>> list(array_items(BytesIO(b'[{"a": 1.5}, "b, ]"]'), "chat.json"))
    [{'a': 1.5}, 'b, ]']
    """
    chunks = _chunks(file)
    start = b""
    for chunk in chunks:
        start = (start + chunk).removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
        if start:
            break
    if not start:
        raise FormatError(where, "it is empty")
    if start.startswith(b"["):
        for number, data in enumerate(_split(start[1:], chunks, where), 1):
            yield parsed(data, f"{where}, value {number}")
    else:
        yield parsed(_whole(start, chunks, where), where)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        advance(len(chunk))
        yield chunk


def _whole(start: bytes, chunks: Iterator[bytes], where: object) -> bytes:
    data = bytearray(start)
    for chunk in chunks:
        data += chunk
        _check_size(len(data), where)
    return bytes(data)


def _check_size(size: int, where: object) -> None:
    if size > MAX_JSON_BYTES:
        raise FormatError(where, f"one value of it has more than {MAX_JSON_BYTES:,} bytes")


def _split(chunk: bytes, chunks: Iterator[bytes], where: object) -> Iterator[bytes]:
    """Yield the texts of the values of an array, of which the beginning is read."""
    held = bytearray()
    depth, in_text, escaped, count = 0, False, False, 0
    while True:
        at = start = 0
        if escaped:
            at, escaped = 1, False
        while at < len(chunk):
            if in_text:
                at = _end(_TEXT, chunk, at)
                if at >= len(chunk):
                    break
                if chunk[at] == _BACKSLASH:  # the last byte: what it escapes comes with the next chunk
                    escaped = True
                    break
                in_text, at = False, at + 1
                continue
            at = _end(_WITHIN if depth else _BETWEEN, chunk, at) + 1
            mark = chunk[at - 1 : at]
            if not mark:
                break
            if mark == b'"':
                in_text = True
            elif mark in b"[{":
                depth += 1
            elif depth:
                depth -= 1
            else:
                value = bytes(held + chunk[start : at - 1]).strip(_SPACE)
                ends = mark != b","
                if value or count or not ends:
                    count += 1
                    yield value
                held, start = bytearray(), at
                if ends:
                    _check_end(mark, chunk[at:], chunks, where)
                    return
        held += chunk[start:]
        _check_size(len(held), where)
        following = next(chunks, None)
        if following is None:
            raise FormatError(where, "it ends in the middle")
        chunk = following


_BACKSLASH: Final = ord("\\")


def _end(pattern: re.Pattern[bytes], chunk: bytes, at: int) -> int:
    found = pattern.match(chunk, at)
    return at if found is None else found.end()


def _check_end(mark: bytes, rest: bytes, chunks: Iterator[bytes], where: object) -> None:
    if mark != b"]" or rest.strip(_SPACE) or any(chunk.strip(_SPACE) for chunk in chunks):
        raise FormatError(where, "it is no JSON: something follows its end")
