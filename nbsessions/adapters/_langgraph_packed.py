"""
What LangGraph packs, as JSON in which each text stands as it is, and packed again.

So a store that takes keys out of texts finds those in a state, too.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol

_TAG: Final = ""
"""The one name in an object that stands for what JSON does not have."""
_OPTION: Final = ormsgpack.OPT_NON_STR_KEYS


class _Ext(NamedTuple):
    code: int
    data: bytes


def pack(serde: SerializerProtocol, value: object) -> dict[str, Any]:
    """Return a value as JSON holds it.

    Raises
    ------
    TypeError, ValueError
        It cannot be written down.

    Examples
    --------
    >>> from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    >>> serde = JsonPlusSerializer()
    >>> pack(serde, {"said": "Hello", 2: b"two"})
    {'type': 'msgpack', 'data': {'': ['map', [['said', 'Hello'], [2, {'': ['text', 'two']}]]]}}
    >>> unpack(serde, pack(serde, {"said": "Hello", 2: b"two"}))
    {'said': 'Hello', 2: b'two'}
    """
    kind, data = serde.dumps_typed(value)
    opened = _opened(_unpackb(data) if kind == "msgpack" else bytes(data))
    return {"type": kind, "data": opened}


def unpack(serde: SerializerProtocol, packed: Mapping[str, Any]) -> Any:
    """Return the value that was packed."""
    kind, value = packed["type"], _closed(packed["data"])
    return serde.loads_typed((kind, _packb(value) if kind == "msgpack" else value))


def _opened(value: Any) -> Any:
    if isinstance(value, _Ext):
        return {_TAG: ["ext", value.code, _opened(_unpackb(value.data))]}
    if isinstance(value, bytes):
        try:
            return {_TAG: ["text", value.decode()]}
        except UnicodeDecodeError:
            return {_TAG: ["bytes", b64encode(value).decode()]}
    if isinstance(value, float) and not isfinite(value):
        return {_TAG: ["float", repr(value)]}
    if isinstance(value, dict):
        if all(isinstance(key, str) and key != _TAG for key in value):
            return {key: _opened(one) for key, one in value.items()}
        return {_TAG: ["map", [[_opened(key), _opened(one)] for key, one in value.items()]]}
    if isinstance(value, list | tuple):
        return [_opened(one) for one in value]
    return value


def _closed(value: Any) -> Any:
    if isinstance(value, list):
        return [_closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: _closed(one) for key, one in value.items()}
    kind, *rest = value[_TAG]
    if kind == "ext":
        return ormsgpack.Ext(rest[0], _packb(_closed(rest[1])))
    if kind == "text":
        return str(rest[0]).encode()
    if kind == "bytes":
        return b64decode(rest[0])
    if kind == "float":
        return float(rest[0])
    return {_key(_closed(key)): _closed(one) for key, one in rest[0]}


def _key(value: Any) -> Any:
    return tuple(map(_key, value)) if isinstance(value, list) else value


def _unpackb(data: bytes) -> Any:
    return ormsgpack.unpackb(data, ext_hook=_Ext, option=_OPTION)


def _packb(value: Any) -> bytes:
    return ormsgpack.packb(value, option=_OPTION)
