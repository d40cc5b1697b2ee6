"""
Keys and passwords never reach a disk: what looks like one is replaced before anything is stored.

Known shapes, and the values of environment variables that are named like keys. A store asks for it with
everything that it is given to write, see `nbsessions.stores.base`.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from nbsessions.exceptions import InvalidInput
from nbsessions.hashes import content_hash

T = TypeVar("T")

_ENDS: Final = re.compile(
    r"(?:^|_)(?:API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|SECRET_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|PAT)$"
)
_IDS: Final = frozenset(
    {
        "session_id",
        "conversation_id",
        "parent_session_id",
        "run_id",
        "turn_id",
        "parent_id",
        "checkpoint_id",
        "cell_id",
        "retry_of",
    }
)
"""Fields by which things are found again: they cannot be replaced."""
_AS_KNOWN: Final = frozenset({"expected"})
"""Fields that tell what is stored already."""
_LONG: Final = 512
_RUN: Final = re.compile(r"[!-~]*")
_NAMED: Final = re.compile(
    r"""(?:authorization["'\\\s:=>]*(?:bearer|basic)?|bearer|session[_-]?token|access[ _-]?key)"""
    r"""["'\\\s:=>]*\Z""",
    re.IGNORECASE,
)
_BEFORE: Final = 64
# Each begins with a word that is found quickly, and holds a character without which nobody has to look.
_FILES: Final = {
    rare: re.compile(before + r"(?P<data>[A-Za-z0-9+/_-]{16,}={0,2})")
    for rare, before in (("6", r"""base64(?:,|\\*":\s?\\*")"""), ('"', r"""data\\*":\s?\\*\""""))
}
_MOST_HELD: Final = 65_536


class Secrets:
    """Finds keys and passwords in what is to be stored, and replaces them.

    Parameters
    ----------
    patterns : iterable of str
        Regular expressions of one's own, beside the known shapes; what they match has no space in it.

    Raises
    ------
    InvalidInput
        One of them is no regular expression.

    Examples
    --------
    >>> Secrets().clean("My key is AKIAIOSFODNN7EXAMPLE.")
    'My key is [secret: aws key id].'
    >>> Secrets([r"ACME-[0-9]{8}"]).clean("ACME-12345678")
    '[secret: own pattern]'
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._own: list[re.Pattern[str]] = []
        for pattern in patterns:
            try:
                self._own.append(re.compile(pattern))
            except (re.error, TypeError) as error:
                raise InvalidInput(f"{pattern!r:.80} is no pattern of secrets: {error}.") from None
        # A long text comes by several times on its way: it is looked through once.
        self._known: tuple[str, dict[str, str]] = ("", {})

    def clean(self, text: str) -> str:
        """Return a text with a marker for each secret; the same object where there is none.

        Examples
        --------
        >>> Secrets().clean("postgresql://ada:hunter2@localhost/agents")
        'postgresql://ada:[secret: password]@localhost/agents'
        """
        return self._clean(text, _values())

    def _clean(self, text: str, values: dict[str, str]) -> str:
        known, with_values = self._known  # another thread may put something else there meanwhile
        if text is known and values is with_values:
            return text
        # Not at the top: who only reads does not need what finds shapes.
        from nbsessions.secrets.anchors import without_shapes

        cleaned = text
        for value, name in values.items():
            if value in cleaned:
                cleaned = cleaned.replace(value, f"[secret: {name}]")
        cleaned = without_shapes(cleaned)
        for pattern in self._own:
            cleaned = pattern.sub("[secret: own pattern]", cleaned)
        for rare, file in _FILES.items():
            if rare in cleaned and file.search(cleaned) is not None:
                replaced = file.sub(lambda found: self._file(found[0], found["data"], values), cleaned)
                cleaned = cleaned if replaced == cleaned else replaced
        if len(cleaned) > _LONG:
            self._known = (cleaned, values)
        return cleaned

    def _file(self, whole: str, data: str, values: dict[str, str]) -> str:
        """Return a file that stands in a text in base64, where it is a text itself without its secrets."""
        url_safe = "-" in data or "_" in data
        try:
            text = b64decode(data, b"-_" if url_safe else None, validate=True).decode()
        except ValueError:
            return whole
        cleaned = self._clean(text, values)
        if cleaned == text:
            return whole
        packed = b64encode(cleaned.encode(), b"-_" if url_safe else None).decode()
        return whole.removesuffix(data) + packed

    def clean_all(self, value: T) -> T:
        """Return a record, or whatever holds some, with each of its texts clean; itself where they are.

        A turn keeps the hash of what it said, so that the chain of hashes stays whole.

        Raises
        ------
        InvalidInput
            A secret is where an id should be.

        Examples
        --------
        >>> Secrets().clean_all({"url": ["https://ada:hunter2@example.org"]})
        {'url': ['https://ada:[secret: password]@example.org']}
        """
        values = _values()
        known, with_values = self._known
        texts = [text for text in _texts(value) if text is not known or values is not with_values]
        # All that is short is looked through at once: what is found there may still be none. Where a text
        # begins and ends is only told by itself, which patterns of one's own may ask.
        apart = [text for text in texts if self._own or len(text) > _LONG]
        together = "" if self._own else "\n".join([text for text in texts if len(text) <= _LONG])
        if all(self._clean(text, values) is text for text in ([together, *apart] if together else apart)):
            return value
        cleaned: T = self._cleaned(value, "", values)
        return cleaned

    def held(self, text: str) -> int:
        """Return where the end of a text may be the beginning of a secret; its length where nothing is.

        Examples
        --------
        >>> Secrets().held("My key is sk-pro"), Secrets().held("My key is ")
        (10, 10)
        """
        from nbsessions.secrets.anchors import anchored

        end = text[-_MOST_HELD:]
        found = _RUN.match(end[::-1])
        start = len(end) - (0 if found is None else found.end())
        at = start if self._own else anchored(end, start)
        # What stands before it may be what makes it one.
        named = _NAMED.search(end[max(0, start - _BEFORE) : start])
        if named is not None:
            at = max(0, start - _BEFORE) + named.start()
        begun = end.rfind("-----BEGIN")
        if begun >= 0:
            closed = _closed(end[begun:])
            at = min(at, begun) if closed is None else max(at, begun + closed)
        for value in _values():
            at = min(at, len(end) - _begins(value, end))
        return len(text) - len(end) + at

    def _cleaned(self, value: Any, field: str, values: dict[str, str]) -> Any:
        if isinstance(value, str):
            cleaned = self._clean(value, values)
            if cleaned != value and field in _IDS:
                raise InvalidInput(f"A secret is no {field}, because ids are stored: {cleaned:.200}")
            return cleaned
        if field in _AS_KNOWN:
            return value
        if isinstance(value, BaseModel):
            update = self._fields(dict(value), values)
            return value.model_copy(update=update) if update else value
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            record: Any = value
            update = self._fields(record._asdict(), values)
            if "body" in update and "content_hash" in record._fields:
                update["content_hash"] = _tombstone(record, update["body"])
            return record._replace(**update) if update else value
        if isinstance(value, Mapping):
            return {
                self._cleaned(key, "", values): self._cleaned(one, str(key), values)
                for key, one in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            several = [self._cleaned(one, "", values) for one in value]
            return tuple(several) if isinstance(value, tuple) else several
        return value

    def _fields(self, fields: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
        cleaned = {name: self._cleaned(one, name, values) for name, one in fields.items()}
        return {name: one for name, one in cleaned.items() if one is not fields[name]}


def secrets_for(redact: bool | Iterable[str]) -> Secrets | None:
    """Return what replaces secrets, with these patterns of one's own; None where they may be stored.

    Examples
    --------
    >>> secrets_for(False) is None
    True
    """
    if isinstance(redact, bool):
        return Secrets() if redact else None
    if isinstance(redact, str) or not isinstance(redact, Iterable):
        raise InvalidInput(f"redact is True, False, or a list of patterns, not {redact!r:.80}.")
    return Secrets(redact)


def _values() -> dict[str, str]:
    """Return the values of environment variables that are named like keys, each with that name."""
    global _seen
    # `os.environ` decodes every name at each look, which took a tenth of a turn; what it holds does not.
    present: dict[Any, Any] = dict(getattr(os.environ, "_data", os.environ))
    if present != _seen[0]:
        named = ((name, os.environ.get(name, "")) for name in os.environ if _is_named_like_a_key(name))
        _seen = (present, _spelled(tuple(named)))
    return _seen[1]


_seen: tuple[dict[Any, Any], dict[str, str]] = ({}, {})


@lru_cache(maxsize=4_096)
def _is_named_like_a_key(name: str) -> bool:
    return _ENDS.search(name.upper()) is not None


@lru_cache(maxsize=64)
def _spelled(found: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return values as they may stand in a text, in JSON, or in JSON in JSON; the longest first."""
    spelled: dict[str, str] = {}
    for name, value in found:
        # A password such as "postgres" is a word as well, and a path is no secret.
        plain = value.isalpha() or value.isdigit()
        if len(value) < (16 if plain else 8) or os.path.exists(value):
            continue
        for ascii_only in (False, True):
            once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
            for spelling in (value, once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]):
                spelled.setdefault(spelling, name)
    return dict(sorted(spelled.items(), key=lambda one: -len(one[0])))


def _begins(value: str, text: str) -> int:
    """Return how much of the end of a text is the beginning of a value."""
    for length in range(min(len(value) - 1, len(text)), 0, -1):
        if text.endswith(value[:length]):
            return length
    return 0


def _closed(text: str) -> int | None:
    """Return where what begins like a private key ends, or is seen to be none; None where it may go on."""
    header = _HEADER.match(text)
    if header is None or header.end() == len(text):
        return None
    if "PRIVATE KEY" not in header[0]:
        return 0
    footer = _FOOTER.search(text)
    return None if footer is None else footer.end()


def _tombstone(turn: Any, body: str) -> bytes:
    said = content_hash(turn.codec, turn.body) if turn.content_hash is None else turn.content_hash[:32]
    return said + content_hash(turn.codec, body)


def _texts(value: Any) -> list[str]:
    """Return all texts in a record, or in whatever holds some."""
    texts: list[str] = []
    left = [value]
    for one in left:  # which grows meanwhile
        kind = type(one)
        if kind is str:
            texts.append(one)
        elif kind in _NO_TEXT:
            continue
        elif isinstance(one, (tuple, list)):
            left += one
        elif kind is dict:  # which others take longer to be told from
            left += one
            left += one.values()
        elif isinstance(one, BaseModel):
            left += one.__dict__.values()
            left += (one.__pydantic_extra__ or {}).values()
        elif isinstance(one, Mapping):
            left += one
            left += one.values()
        elif isinstance(one, str):
            texts.append(one)
        elif isinstance(one, Sequence) and not isinstance(one, bytes):
            left += one
    return texts


_NO_TEXT: Final = frozenset({int, float, bool, bytes, datetime, Decimal, type(None)})
_HEADER: Final = re.compile(r"-----BEGIN[A-Z0-9 ]{0,60}-{0,5}")
_FOOTER: Final = re.compile(r"-----END [A-Z0-9 ]{0,60}-----")
