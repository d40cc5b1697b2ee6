"""
Session files of webagents' session skill, both ways.

Looked at: webagents 0.3.0, https://github.com/robutlerai/webagents (``agents/skills/local/session``). A
session is ``<agent>/.webagents/sessions/<id>.json`` or, of an A2A conversation,
``.webagents/sessions/a2a/<conversation>/<id>.json``: a JSON object of eight keys, its messages in the
OpenAI chat format. Times are of the machine that wrote them, without a timezone. The skill keeps no other
key when it saves, so that no other is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek
from nbsessions.formats.building import Building
from nbsessions.formats.reading import blamed, count_of, dict_of, list_of, moment, read_json, text_of
from nbsessions.formats.writing import messages_of, only
from nbsessions.records import Message, Usage
from nbsessions.stores.arguments import Bundle
from nbsessions.stores.file.reading import STAMP
from nbsessions.values import encode_json

NAME: Final = "webagents"
KEYS: Final = (
    "session_id",
    "agent_name",
    "created_at",
    "updated_at",
    "messages",
    "metadata",
    "input_tokens",
    "output_tokens",
)


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a file; one in a folder ``a2a/<conversation>`` is of that conversation.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "s1.json"
    ...     _ = path.write_text('{"session_id": "s1", "messages": [{"role": "user", "content": "Hi"}]}')
    ...     [bundle.record.session_id for bundle in read(path)]
    ['s1']
    """
    with blamed(path):
        yield built(read_json(path), path, conversation_id=conversation_of(path)).bundle()


def conversation_of(path: Path) -> str | None:
    """Return the A2A conversation that a session file belongs to, by where it is.

    Examples
    --------
    >>> conversation_of(Path("sessions/a2a/conv-1/s1.json")), conversation_of(Path("sessions/s1.json"))
    ('conv-1', None)
    """
    folder = path.absolute().parent
    return folder.name if folder.parent.name == "a2a" else None


def built(data: Any, where: object, *, conversation_id: str | None = None) -> Building:
    """Return what a session file says; what is none of its eight keys is kept in the metadata.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> data = {"session_id": "s1", "messages": [], "input_tokens": 3, "metadata": {"name": "nice"}}
    >>> building = built(data, "s1.json")
    >>> building.title, building.bundle().record.usage.input_tokens
    ('nice', 3)
    """
    session_id = text_of(dict_of(data).get("session_id"))
    if session_id is None:
        raise FormatError(where, "it is no session of webagents: it has no session_id")
    if not isinstance(data.get("messages", []), list):
        raise FormatError(where, "it is no session of webagents: its messages are no list")
    metadata = dict(dict_of(data.get("metadata")))
    metadata.pop(STAMP, None)  # the store in a folder notes there what it made the file from
    building = Building(
        NAME,
        session_id,
        agent_name=text_of(data.get("agent_name")) or NAME,
        title=text_of(metadata.pop("name", None)),
        metadata={**{key: value for key, value in data.items() if key not in KEYS}, **metadata},
        conversation_id=conversation_id,
        created_at=moment(data.get("created_at"), local=True),
        updated_at=moment(data.get("updated_at"), local=True),
    )
    for number, message in enumerate(list_of(data.get("messages")), 1):
        if not isinstance(message, dict):
            raise FormatError(where, f"its message {number} is none")
        building.add(message, at=moment(message.get("timestamp"), local=True))
    spent = Usage(
        input_tokens=count_of(data.get("input_tokens")), output_tokens=count_of(data.get("output_tokens"))
    )
    if spent.total_tokens:
        building.run("total", usage=spent)
    return building


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write one session, as the skill would.

    Raises
    ------
    InvalidInput
        There are several, or none.

    Examples
    --------
    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write([Building("example", "s1", agent_name="helper").bundle()], file)
    >>> list(json.loads(file.getvalue())) == list(KEYS)
    True
    """
    data = as_dict(only(bundles, NAME))
    encode_json(data, "session")  # what cannot be kept everywhere is refused before anything is written
    file.write(json.dumps(data, indent=2).encode())


def as_dict(bundle: Bundle) -> dict[str, Any]:
    """Return a session as the skill keeps it.

    Examples
    --------
    >>> as_dict(Building("example", "s1", agent_name="helper", name="nice").bundle())["metadata"]
    {'name': 'nice'}
    """
    record = bundle.record
    name = record.name or bundle.title
    return {
        "session_id": record.session_id,
        "agent_name": record.agent_name,
        "created_at": _local(record.created_at),
        "updated_at": _local(record.updated_at),
        "messages": [_said(message) for message in messages_of(bundle)],
        "metadata": {**record.metadata, **({"name": name} if name else {})},
        "input_tokens": record.usage.input_tokens,
        "output_tokens": record.usage.output_tokens,
    }


def _said(message: Message) -> Mapping[str, Any]:
    kept = message.to_dict()
    if message.timestamp is not None:
        kept["timestamp"] = _local(message.timestamp)
    elif "time" in kept:  # it is no time, and was read so
        kept["timestamp"] = kept.pop("time")
    return kept


def _local(at: datetime) -> str:
    return at.astimezone().replace(tzinfo=None).isoformat(timespec="microseconds")


def _guess(peek: Peek) -> bool:
    return {"session_id", "agent_name", "messages"} <= peek.keys and "conversation_id" not in peek.keys


FORMAT = Format(
    name=NAME,
    help="A session file of webagents' session skill.",
    suffixes=(".json",),
    read=read,
    write=write,
    guess=_guess,
    loses="branches, checkpoints, tags, state, and what each run spent",
    many=False,
)
