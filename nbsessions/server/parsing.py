"""What came with a request, read strictly: nothing is guessed, and nothing that is unknown is passed by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from nbsessions.exceptions import InvalidInput
from nbsessions.text import one_line

_Model = TypeVar("_Model", bound=BaseModel)
_JUPYTERS = frozenset({"token", "_xsrf", "no_track_activity"})
"""What Jupyter Server itself looks for in any URL."""


def query(model: type[_Model], given: Mapping[str, Sequence[bytes]]) -> _Model:
    """Return what a URL asks with, behind its ``?``.

    Raises
    ------
    InvalidInput
        It is no text, or something is given twice.
    pydantic.ValidationError

    Examples
    --------
    >>> class Page(BaseModel):
    ...     limit: int = 20
    >>> query(Page, {"limit": [b"3"]}).limit
    3
    """
    values = {}
    for name, found in given.items():
        # JupyterLab adds the time, so that nothing comes from a cache.
        if name in _JUPYTERS or (name.isdecimal() and found == [b""]):
            continue
        if len(found) > 1:
            raise InvalidInput(f"{one_line(name, 100)}: it is given {len(found)} times.")
        try:
            values[name] = found[0].decode()
        except UnicodeDecodeError:
            raise InvalidInput(f"{one_line(name, 100)}: it is not UTF-8.") from None
    return model.model_validate_strings(values)


def body(model: type[_Model], content: bytes) -> _Model:
    """Return the JSON object that a request brought.

    Raises
    ------
    InvalidInput
        It is no JSON in UTF-8, or no object; a key is there twice, or a number is none.
    pydantic.ValidationError

    Examples
    --------
    >>> class Named(BaseModel):
    ...     name: str
    >>> body(Named, b'{"name": "plan"}').name
    'plan'
    >>> body(Named, b'{"name": "plan", "name": "essay"}')
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: The body of the request is no JSON: the key 'name' is there twice.
    """
    try:
        value = json.loads(
            content.decode() or "{}", object_pairs_hook=_once, parse_constant=_no_number, parse_float=_number
        )
    except RecursionError:
        raise InvalidInput("The body of the request is nested too deeply.") from None
    except UnicodeDecodeError:
        raise InvalidInput("The body of the request is not UTF-8.") from None
    except ValueError as error:
        raise InvalidInput(f"The body of the request is no JSON: {str(error).rstrip('.')}.") from None
    if not isinstance(value, dict):
        raise InvalidInput("The body of the request must be a JSON object.")
    return model.model_validate(value)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # In one walk: a body may have very many.
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {one_line(twice, 100)!r} is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value
