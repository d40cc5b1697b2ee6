"""The arguments of a command as values, such as JSON brings them: held against what the command declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from nbsessions.arguments import Argument
from nbsessions.exceptions import InvalidInput

_TYPES = {"number": "integer", "flag": "boolean", "words": "array"}


def check(
    arguments: Sequence[Argument], given: Mapping[str, object], *, typed: bool = False
) -> dict[str, Any]:
    """Return the values that were given, by the names of the function's parameters.

    Null is as if it were not there. With `typed`, a person wrote them as ``key=value``: all of them are
    text.

    Raises
    ------
    InvalidInput
        One is unknown, missing, of another type or none of its choices; nothing was run.

    Examples
    --------
    >>> limit = Argument(name="--limit", help="how many", kind="number")
    >>> check([limit], {"limit": 5}), check([limit], {"limit": "5"}, typed=True)
    ({'limit': 5}, {'limit': 5})
    >>> check([limit], {"limit": "5"})
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: limit must be a whole number, not '5'.
    >>> check([limit], {"limits": 5})
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: There is no argument 'limits'. Did you mean 'limit'?
    """
    known = {argument.key: argument for argument in arguments}
    for name in given:
        if name not in known:
            raise InvalidInput(_unknown(name, list(known)))
    present = {name: value for name, value in given.items() if value is not None}
    values: dict[str, Any] = {}
    for name, argument in known.items():
        if name in present:
            values[name] = _value(argument, _read(argument, present[name]) if typed else present[name])
        elif argument.required:
            raise InvalidInput(f"{name} is missing: {argument.help}.")
    return values


def schema(arguments: Sequence[Argument]) -> dict[str, Any]:
    """Return the JSON schema of what `check` takes.

    Examples
    --------
    >>> schema([Argument(name="--limit", help="how many", kind="number", required=True)])["properties"]
    {'limit': {'description': 'how many', 'type': 'integer'}}
    """
    made: dict[str, Any] = {
        "type": "object",
        "properties": {argument.key: _property(argument) for argument in arguments},
        "additionalProperties": False,
    }
    required = [argument.key for argument in arguments if argument.required]
    return made | ({"required": required} if required else {})


def _property(argument: Argument) -> dict[str, Any]:
    name = _TYPES.get(argument.kind, "string")
    made: dict[str, Any] = {
        "description": argument.help,
        "type": name if argument.required else [name, "null"],
    }
    if argument.kind == "words":
        made["items"] = {"type": "string"}
        made |= {"minItems": 1} if argument.required else {}
    if argument.choices:
        made["enum"] = [*argument.choices, *([] if argument.required else [None])]
    if argument.default is not None:
        made["default"] = argument.default
    return made


def _unknown(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"There is no argument {_shown(name)}. Did you mean {near[0]!r}?"
    takes = f"It takes {', '.join(known)}." if known else "It takes none."
    return f"There is no argument {_shown(name)}. {takes}"


def _read(argument: Argument, value: object) -> object:
    """Return what a text that a person typed says, where that is a value of the argument's type."""
    if not isinstance(value, str):
        return value
    if argument.kind == "flag":
        return {"true": True, "false": False}.get(value.lower(), value)
    if argument.kind == "number":
        digits = value.strip()
        return int(digits) if digits.lstrip("+-").isdecimal() and len(digits) < 20 else value
    return value.split() if argument.kind == "words" else value


def _value(argument: Argument, value: object) -> object:
    name = argument.key
    if argument.kind == "flag":
        if not isinstance(value, bool):
            raise InvalidInput(f"{name} must be true or false, not {_shown(value)}.")
        return value
    if argument.kind == "number":
        return _number(name, value)
    if argument.kind == "words":
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise InvalidInput(f"{name} must be a list of texts, not {_shown(value)}.")
        if argument.required and not value:
            raise InvalidInput(f"{name} is empty: {argument.help}.")
        return [_text(name, word) for word in value]
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text, not {_shown(value)}.")
    if argument.choices and value not in argument.choices:
        raise InvalidInput(f"{name} must be one of {', '.join(argument.choices)}, not {_shown(value)}.")
    return _text(name, value) or (None if argument.kind == "rest" and not argument.required else value)


def _number(name: str, value: object) -> int:
    # JSON does not tell 20 from 20.0.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} must be a whole number, not {_shown(value)}.")
    return value


def _text(name: str, value: str) -> str:
    from nbsessions.values import check_text

    return check_text(value, name)


def _shown(value: object) -> str:
    from nbsessions.text import one_line

    kinds = {dict: "an object", list: "a list", bool: str(value).lower()}
    return kinds.get(type(value)) or one_line(repr(value), 60)
