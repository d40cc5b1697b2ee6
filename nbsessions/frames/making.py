"""How values of a store become those of a column: arrays in, an array out."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic_core import from_json

from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import InvalidInput
from nbsessions.stores._columns import Source, values

Array = np.ndarray[Any, np.dtype[Any]]
MISSING: Final = np.iinfo(np.int64).min
"""Stands for what is missing among whole numbers; NumPy reads it so, too, among times."""

_DIGITS: Final = b"0123456789-, "


def texts(values: list[Any]) -> Array:
    """Return texts as an array, None where there is none.

    Examples
    --------
    >>> texts(["a", None]).tolist()
    ['a', None]
    """
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def numbers(values: list[Any] | Array) -> Array:
    """Return whole numbers as an array, `MISSING` where there is none.

    Examples
    --------
    >>> numbers([1, None]).tolist() == [1, MISSING]
    True
    """
    if isinstance(values, np.ndarray):
        return values
    filled = [MISSING if value is None else value for value in values] if None in values else values
    return np.array(filled, dtype=np.int64)


def column(source: Source, found: list[Any] | str) -> list[Any] | Array:
    """Return values as a store tells them: text as a list, numbers as an array, without a Python number each.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> from nbsessions.stores._columns import SESSIONS
    >>> column(SESSIONS["cost"], "[1,null]").tolist() == [1, MISSING]
    True
    """
    if source.is_text or not isinstance(found, str):
        return values(source, found)
    filled = found.replace("null", str(MISSING)) if source.optional else found
    if filled.encode().translate(None, _DIGITS) != b"[]":
        return values(source, found)
    return np.fromstring(filled[1:-1], dtype=np.int64, sep=",")


def total(left: Array, right: Array) -> Array:
    """Return the sums.

    Examples
    --------
    >>> total(numbers([1]), numbers([2])).tolist()
    [3]
    """
    return left + right


def seconds(started: Array, finished: Array) -> Array:
    """Return how many seconds are between times in microseconds.

    Examples
    --------
    >>> seconds(numbers([0, 0]), numbers([1_500_000, None])).tolist()
    [1.5, nan]
    """
    known = (started != MISSING) & (finished != MISSING)
    return np.where(known, (finished - started) / 1e6, np.nan)


def dollars(nano: Array) -> Array:
    """Return billionths of a US dollar as dollars.

    Examples
    --------
    >>> dollars(numbers([1_500_000_000, None])).tolist()
    [1.5, nan]
    """
    return np.where(nano == MISSING, np.nan, nano / 1e9)


def tags(lists: Array) -> Array:
    """Return JSON arrays of tags as text; most sessions have the same few.

    Examples
    --------
    >>> tags(texts(['["a","b"]', "[]"])).tolist()
    ['a, b', '']
    """
    codes, found = pd.factorize(lists)
    return texts([", ".join(from_json(one)) for one in found])[codes]


def label(names: Array, ids: Array) -> Array:
    """Return what people are shown of sessions: their names or, where there are none, the ends of their ids.

    Examples
    --------
    >>> label(texts(["plan", None]), texts(["one", "0123456789"])).tolist()
    ['plan', '23456789']
    """
    return texts([name or (sid and sid[-8:]) for name, sid in zip(names, ids, strict=True)])


def prompt(prompts: Array, codecs: Array, bodies: Array) -> Array:
    """Return what was asked; a run that committed a turn keeps it in that turn alone.

    Examples
    --------
    >>> body = '[{"role":"user","content":"Hi"}]'
    >>> prompt(texts([None, "Well?"]), texts(["chat", None]), texts([body, None])).tolist()
    ['Hi', 'Well?']
    """
    rows = zip(prompts, codecs, bodies, strict=True)
    return texts([_asked(name, body) if text is None and body else text for text, name, body in rows])


def _asked(name: str, body: str) -> str | None:
    try:
        view = codec(name).view(body)
    except (InvalidInput, ValueError) as error:
        warnings.warn(f"What a run was asked cannot be read. {error}", RuntimeWarning, stacklevel=2)
        return None
    return next((message.text for message in view if is_prompt(message)), None)
