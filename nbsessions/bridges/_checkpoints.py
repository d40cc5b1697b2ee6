"""
How the checkpoints of a LangGraph thread stand in a session's documents.

A value that does not change is kept once, and of a list of messages each message is: so a conversation
takes as much room as it is long. They are called by what they hold, so that two processes which write to one
thread never write over each other's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from langchain_core.messages import BaseMessage, messages_from_dict, messages_to_dict
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from nbsessions.adapters._langgraph_packed import pack, unpack
from nbsessions.exceptions import DamagedSession, InvalidInput
from nbsessions.stores.base import Backend, Document, Documents, Key
from nbsessions.values import encode_json

CHECKPOINTS: Final = "langgraph.checkpoints"
WRITES: Final = "langgraph.writes"
VALUES: Final = "langgraph.values"
MESSAGES: Final = "langgraph.messages"
ALL: Final = (VALUES, MESSAGES, CHECKPOINTS, WRITES)
_SMALL: Final = 200
"""A value of no more letters stands in its checkpoint."""
_MANY: Final = 100_000
_BETWEEN: Final = "\n"
"""Comes before all that is in an id, so that writes are in the order in which they are applied."""


class Kept(NamedTuple):
    """A checkpoint, as its document tells it.

    Attributes
    ----------
    ns, checkpoint_id : str
    parent : str or None
        The id of the one before it.
    checkpoint : dict
        Packed; without its values.
    metadata : dict
        Packed.
    values : dict
        Of each channel, the version, and where its value is.
    """

    ns: str
    checkpoint_id: str
    parent: str | None
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    values: dict[str, list[Any]]

    @classmethod
    def of(cls, document: Document) -> Kept:
        """Return the checkpoint of a document."""
        ns, _, checkpoint_id = document.name.rpartition(_BETWEEN)
        return cls(ns, checkpoint_id, **json.loads(document.body))

    @property
    def document(self) -> Document:
        """The document of it."""
        told = {name: getattr(self, name) for name in self._fields[2:]}
        return Document(CHECKPOINTS, place(self.ns, self.checkpoint_id), json.dumps(told))


def place(*parts: str) -> str:
    """Return the name of a checkpoint or a write; with an empty last part, what all of its kind begin with.

    Examples
    --------
    >>> place("", "1f0-a"), place("child:1", "1f0-a", "")
    ('\\n1f0-a', 'child:1\\n1f0-a\\n')
    """
    return _BETWEEN.join(parts)


class Packer:
    """What makes documents of values, and values of documents.

    Parameters
    ----------
    serde : SerializerProtocol
    """

    def __init__(self, serde: SerializerProtocol) -> None:
        self.serde = serde
        self._sound: set[str] = set()
        """Messages that are known to come back as they were."""

    def pack(self, value: object) -> dict[str, Any]:
        """Return a value as JSON holds it."""
        return pack(self.serde, value)

    def unpack(self, packed: Mapping[str, Any]) -> Any:
        """Return the value that was packed."""
        return unpack(self.serde, packed)

    def put(self, value: object) -> tuple[dict[str, Any], list[Document]]:
        """Return where a value is to be found, and the documents that hold it."""
        natives = self._natives(value)
        if natives:
            body = json.dumps([*natives])
            made = [Document(MESSAGES, name, native) for name, native in natives.items()]
            return {"messages": _digest(body)}, [*made, Document(VALUES, _digest(body), body)]
        packed = self.pack(value)
        body = encode_json(packed, "state")
        if len(body) <= _SMALL:
            return packed, []
        return {"value": _digest(body)}, [Document(VALUES, _digest(body), body)]

    def _natives(self, value: object) -> dict[str, str]:
        """Return messages as JSON, by name, where they are the same when they are read again; else none."""
        if not isinstance(value, list) or not all(isinstance(one, BaseMessage) for one in value):
            return {}
        try:
            natives = [encode_json(native, "message") for native in messages_to_dict(value)]
        except InvalidInput:
            return {}
        named = {_digest(native): (native, one) for native, one in zip(natives, value, strict=True)}
        new = [name for name in named if name not in self._sound]
        made = messages_from_dict([json.loads(named[name][0]) for name in new])
        if len(named) < len(value) or any(
            not _is_same(named[n][1], one) for n, one in zip(new, made, strict=True)
        ):
            return {}
        self._sound = {*(self._sound if len(self._sound) < _MANY else ()), *named}
        return {name: native for name, (native, _) in named.items()}

    def values(self, backend: Backend, key: Key, kept: Kept) -> dict[str, Any]:
        """Return the values of a checkpoint's channels.

        Raises
        ------
        DamagedSession
            One of them is not there any more.
        """
        where = {channel: told for channel, (_, told) in kept.values.items()}
        bodies = _bodies(backend, key, VALUES, value_names(kept))
        lists = {
            told["messages"]: json.loads(bodies[told["messages"]])
            for told in where.values()
            if "messages" in told
        }
        said = _bodies(backend, key, MESSAGES, {name for names in lists.values() for name in names})
        made = dict(zip(said, messages_from_dict([json.loads(body) for body in said.values()]), strict=True))

        def value(told: Mapping[str, Any]) -> Any:
            if "messages" in told:
                return [made[name] for name in lists[told["messages"]]]
            return self.unpack(json.loads(bodies[told["value"]]) if "value" in told else told)

        return {channel: value(told) for channel, told in where.items()}

    def kept(
        self,
        ns: str,
        parent: Kept | None,
        parent_id: str | None,
        checkpoint: Checkpoint,
        metadata: Mapping[str, Any],
        new: Iterable[str],
    ) -> tuple[Kept, list[Document]]:
        """Return a checkpoint as it is kept, and the documents of what is new in it."""
        rest = {name: part for name, part in checkpoint.items() if name != "channel_values"}
        versions, given = checkpoint["channel_versions"], checkpoint["channel_values"]
        values: dict[str, list[Any]] = {}
        documents: list[Document] = []
        for channel in {**versions, **given}:
            version = versions.get(channel)
            before = None if parent is None or channel in new else parent.values.get(channel)
            if before is not None and before[0] == version:
                values[channel] = before
            elif channel in given:
                told, made = self.put(given[channel])
                values[channel] = [version, told]
                documents += made
        kept = Kept(ns, checkpoint["id"], parent_id, self.pack(rest), self.pack(dict(metadata)), values)
        return kept, documents

    def write(
        self, at: tuple[str, str], path: str, task: str, number: int, channel: str, value: Any
    ) -> Document:
        """Return the document of what a task wrote after a checkpoint."""
        number = WRITES_IDX_MAP.get(channel, number)
        # Special ones are below zero, and come first.
        name = place(*at, path, task, f"{number + 1_000:06}")
        return Document(WRITES, name, json.dumps({"task": task, "channel": channel, **self.pack(value)}))

    def written(self, documents: Iterable[Document]) -> list[tuple[str, str, Any]]:
        """Return what tasks wrote: the task, the channel and the value."""
        told = [json.loads(document.body) for document in documents]
        return [(one["task"], one["channel"], self.unpack(one)) for one in told]


def value_names(kept: Kept) -> set[str]:
    """Return the names of the documents that a checkpoint's values are in."""
    return {told[kind] for _, told in kept.values.values() for kind in ("value", "messages") if kind in told}


def sweep(backend: Backend, key: Key) -> None:
    """Remove the values that no checkpoint of a session needs any more."""
    checkpoints = map(Kept.of, backend.documents(key, Documents(CHECKPOINTS)))
    needed = {name for kept in checkpoints for name in value_names(kept)}
    held = {one.name: one.body for one in backend.documents(key, Documents(VALUES))}
    lists = [held[name] for name in needed if held.get(name, "").startswith("[")]
    said = {name for body in lists for name in json.loads(body)}
    there = {one.name for one in backend.documents(key, Documents(MESSAGES))}
    backend.drop_documents(key, Documents(VALUES, names=[*(held.keys() - needed)]))
    backend.drop_documents(key, Documents(MESSAGES, names=[*(there - said)]))


def _is_same(one: BaseMessage, other: BaseMessage) -> bool:
    return type(one) is type(other) and one == other


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _bodies(backend: Backend, key: Key, collection: str, names: Iterable[str]) -> dict[str, str]:
    wanted = [*{*names}]
    found = backend.documents(key, Documents(collection, names=wanted)) if wanted else []
    if len(found) < len(wanted):
        raise DamagedSession(key.session_id, "checkpoint")
    return {one.name: one.body for one in found}
