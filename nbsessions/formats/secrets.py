"""Settings of other tools, without their keys."""

from __future__ import annotations

import re
from typing import Any

from nbsessions.text import masked

_SECRET = re.compile(
    r"api_?key|secret|passw(or)?d|passphrase|credential|authorization|private_?key|cookie|token$",
    re.IGNORECASE,
)


def without_secrets(value: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return settings without what a key says is secret, and what was left out; passwords in URLs are masked.

    Examples
    --------
    >>> without_secrets({"llm": {"api_key": "sk-1", "model": "gpt-4o"}, "max_tokens": 3})
    ({'llm': {'model': 'gpt-4o'}, 'max_tokens': 3}, ['llm.api_key'])
    """
    dropped: list[str] = []
    return _object(value, "", dropped), dropped


def _object(value: dict[str, Any], where: str, dropped: list[str]) -> dict[str, Any]:
    kept = {}
    for key, item in value.items():
        place = f"{where}.{key}" if where else key
        # That there is none of it is no secret.
        if _SECRET.search(key.replace("-", "_")) and item not in (None, "", False, [], {}):
            dropped.append(place)
        else:
            kept[key] = _clean(item, place, dropped)
    return kept


def _clean(value: Any, where: str, dropped: list[str]) -> Any:
    if isinstance(value, dict):
        return _object(value, where, dropped)
    if isinstance(value, list):
        return [_clean(item, where, dropped) for item in value]
    return masked(value) if isinstance(value, str) and "://" in value[:40] else value
