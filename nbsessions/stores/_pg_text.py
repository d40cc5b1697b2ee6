"""What PostgreSQL spells otherwise: placeholders, and text that holds NUL."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.types.numeric import Int8Dumper

# PostgreSQL's text holds every character but NUL. Two characters of the private use area write it, and
# both are written twice themselves. So whatever one text begins or ends with, its writing does too.
_FIRST: Final = "\ue4f0"
_SECOND: Final = "\ue4f1"
_WRITTEN: Final = {"\0": _FIRST + _SECOND, _FIRST: _FIRST * 2, _SECOND: _SECOND * 2}
_READ: Final = {written: character for character, written in _WRITTEN.items()}
_TO_WRITE: Final = re.compile(f"[\0{_FIRST}{_SECOND}]")
_TO_READ: Final = re.compile(f"[{_FIRST}{_SECOND}]{{2}}")
_QUOTED_OR_MARK: Final = re.compile(r"""'[^']*'|"[^"]*"|\?""")


@lru_cache(maxsize=1024)
def numbered(sql: str) -> str:
    """Return a statement with ``$1``, ``$2``... for each ``?`` that is not quoted.

    Examples
    --------
    >>> numbered("SELECT '?' WHERE a = ? AND b = ?")
    "SELECT '?' WHERE a = $1 AND b = $2"
    """
    parts, count, end = [], 0, 0
    for found in _QUOTED_OR_MARK.finditer(sql):
        if found.group() == "?":
            count += 1
            parts += [sql[end : found.start()], f"${count}"]
            end = found.end()
    return "".join([*parts, sql[end:]])


def written(text: str) -> str:
    r"""Return how a text is written in the database.

    Examples
    --------
    >>> written("plain")
    'plain'
    >>> "\0" in written("a\0b"), read(written("a\0b"))
    (False, 'a\x00b')
    """
    # Three looks for one character cost less than one look for any of three.
    if "\0" in text or _FIRST in text or _SECOND in text:
        return _TO_WRITE.sub(lambda found: _WRITTEN[found.group()], text)
    return text


def read(text: str) -> str:
    r"""Return the text that was written so.

    Examples
    --------
    >>> read(written("\ue4f0\0\ue4f1")) == "\ue4f0\0\ue4f1"
    True
    """
    if _FIRST in text or _SECOND in text:
        return _TO_READ.sub(lambda found: _READ.get(found.group(), found.group()), text)
    return text


def in_json(text: str) -> str:
    r"""Return JSON whose texts were written so, with the texts themselves.

    Examples
    --------
    >>> in_json(written('["a\0b"]'))
    '["a\\u0000b"]'
    """
    return read(text).replace("\0", "\\u0000")


class _TextDumper(Dumper):
    def dump(self, obj: str) -> bytes:
        return written(obj).encode()


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        # Bytes that are no text are damage: the hash of a turn tells.
        return read(str(data, "utf-8", "replace"))


def adapters() -> AdaptersMap:
    """Return how values of ours come to the database and back."""
    found = AdaptersMap(psycopg.adapters)
    found.register_dumper(str, _TextDumper)
    # One type for all integers: else a statement is prepared anew for each size of each.
    found.register_dumper(int, Int8Dumper)
    found.register_loader("text", _TextLoader)
    return found
