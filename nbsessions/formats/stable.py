"""Ids that follow from what was said and where: what is imported twice is the same twice."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from nbsessions.values import encode_json

_NAMESPACE: Final = UUID("5f1f7c9e-6d0b-5c55-9a52-6e6273657373")


def stable_id(*parts: object) -> str:
    """Return an id that is the same each time for the same parts: a UUID of version 5 (RFC 9562).

    Examples
    --------
    >>> stable_id("llm", "a") == stable_id("llm", "a") != stable_id("llm", "b")
    True
    """
    return str(uuid5(_NAMESPACE, encode_json([str(part) for part in parts], "id")))
