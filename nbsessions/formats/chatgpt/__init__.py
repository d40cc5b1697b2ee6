"""
ChatGPT's export: the archive, or the ``conversations.json`` in it.

Looked at: exports as they were described from 2023 to February 2026, such as
https://github.com/mitkury/chatgpt-export-parser (its ``docs``) and
https://difegam.github.io/chatgpt-to-markdown/explanation/export-format; OpenAI publishes no description.
Newer archives have ``conversations-000.json`` and so on instead. Each is an array of conversations, and a
conversation is a tree: ``mapping`` has its nodes, and ``current_node`` is where it stands. What was left, by
an edit or another answer, are lines that the session's log leads back to. Numbers of tokens are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building
from nbsessions.formats.chatgpt.messages import Speaker
from nbsessions.formats.reading import alone, dict_of, moment, text_of
from nbsessions.formats.streaming import array_items
from nbsessions.stores.arguments import Bundle

NAME: Final = "chatgpt"
_PART: Final = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
_KNOWN: Final = ("id", "conversation_id", "title", "create_time", "update_time", "mapping", "current_node")


def read(path: Path) -> Iterator[Bundle]:
    """Yield the conversations of an export; one at a time is in memory.

    Raises
    ------
    FormatError
        Those before the one that is named came whole.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "conversations.json"
    ...     _ = path.write_text('[{"id": "c1", "title": "Greetings", "mapping": {}, "current_node": null}]')
    ...     [bundle.record.name for bundle in read(path)]
    ['Greetings']
    """
    try:
        if _is_archive(path):
            yield from _of_archive(path)
        else:
            with open(path, "rb") as file:
                yield from _conversations(array_items(file, path), path)
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None


def _is_archive(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\3\4"


def _of_archive(path: Path) -> Iterator[Bundle]:
    try:
        with ZipFile(path) as archive:
            names = sorted(filter(_PART.fullmatch, archive.namelist()))
            if not names:
                raise FormatError(path, "there is no conversations.json in it")
            for name in names:
                where = f"{path}, {name}"
                _check_member(archive.getinfo(name), where)
                with archive.open(name) as file:
                    yield from _conversations(array_items(file, where), where)
    except (BadZipFile, ZlibError, EOFError, NotImplementedError) as error:
        raise FormatError(path, f"its archive cannot be read: {error}") from None


def _check_member(member: ZipInfo, where: object) -> None:
    if member.flag_bits & 1:
        raise FormatError(where, "it is encrypted. Unpack the archive first")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise FormatError(where, "it is compressed in an unusual way. Unpack the archive first")


def _conversations(values: Iterator[Any], where: object) -> Iterator[Bundle]:
    number = 0
    for value in values:
        # Some exporters have one conversation in a file, or the array in an object.
        inner = value.get("conversations") if isinstance(value, dict) and "mapping" not in value else None
        for conversation in inner if isinstance(inner, list) else [value]:
            number += 1
            title = text_of(dict_of(conversation).get("title")) or "without a title"
            told = f"{where}, conversation {number} ({title[:60]})"
            yield from alone(told, _built, conversation)


def _built(conversation: Any) -> Bundle:
    nodes = dict_of(conversation).get("mapping")
    if not isinstance(nodes, dict):
        raise InvalidInput("it is no conversation of ChatGPT: it has no mapping.")
    building = Building(
        NAME,
        text_of(conversation.get("conversation_id")) or text_of(conversation.get("id")),
        agent_name=NAME,
        title=text_of(conversation.get("title")),
        metadata={k: v for k, v in conversation.items() if k not in _KNOWN and v not in (None, [], {}, "")},
        created_at=moment(conversation.get("create_time")),
        updated_at=moment(conversation.get("update_time")),
        model=text_of(conversation.get("default_model_slug")),
    )
    tree, branches = _Tree(nodes), Branches(building)
    for end in tree.ends(conversation.get("current_node")):
        tree.follow(end, branches)
    return building.bundle()


class _Tree:
    """The nodes of a conversation."""

    def __init__(self, nodes: dict[str, Any]) -> None:
        self._nodes = {key: dict_of(node) for key, node in nodes.items()}
        # A parent that is not there is none: what is left of a conversation begins below it.
        self._parents: dict[str, str | None] = {}
        for key, node in self._nodes.items():
            parent = node.get("parent")
            self._parents[key] = parent if isinstance(parent, str) and parent in self._nodes else None
        # Of each node that was followed: the last message up to it, and what is to be remembered then.
        self._followed: dict[str, tuple[Entry | None, Speaker]] = {}

    def ends(self, current: object) -> list[str]:
        """Return the ends of all lines, the one where the conversation stands last."""
        above = set(self._parents.values())
        ends = [key for key in self._nodes if key not in above]
        ends.sort(key=self._time)
        if self._nodes and not ends:
            raise InvalidInput("its messages go in a circle.")
        if isinstance(current, str) and current in self._nodes:
            return [*(key for key in ends if key != current), current]
        return ends

    def follow(self, end: str, branches: Branches) -> None:
        """Follow the line to this node, from where it leaves those that were followed before."""
        keys: dict[str, None] = {}
        at: str | None = end
        while at is not None and at not in self._followed:
            if at in keys:
                raise InvalidInput("its messages go in a circle.")
            keys[at] = None
            at = self._parents[at]
        last, speaker = (None, Speaker()) if at is None else self._followed[at]
        for key in reversed(keys):
            speaker = speaker.copy()
            entry = speaker.entry(key, self._message(key))
            last = last if entry is None else branches.add(entry, last)
            self._followed[key] = last, speaker
        rest = speaker.copy().rest()
        branches.stand(last if rest is None else branches.add(rest, last))

    def _message(self, key: str) -> dict[str, Any]:
        return dict_of(self._nodes[key].get("message"))

    def _time(self, key: str) -> float:
        at = moment(self._message(key).get("create_time"))
        return 0.0 if at is None else at.timestamp()


def _guess(peek: Peek) -> bool:
    if peek.head.startswith(b"PK\3\4"):
        try:
            with ZipFile(peek.path) as archive:
                return any(map(_PART.fullmatch, archive.namelist()))
        except (BadZipFile, NotImplementedError):
            return False
    told = '"mapping"' in peek.text and ('"current_node"' in peek.text or '"children"' in peek.text)
    return told and peek.text.lstrip()[:1] in ("[", "{")


FORMAT = Format(
    name=NAME,
    help="ChatGPT's export: the .zip, or the conversations.json in it.",
    suffixes=(".json", ".zip"),
    read=read,
    guess=_guess,
)
