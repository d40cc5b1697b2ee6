"""
Sessions of A3S Code's file store, both layouts.

Looked at: A3S Code 9.1 (``schema_version`` 1) and the older layout that it still reads,
https://github.com/A3S-Lab/Code (``core/src/store``, ``core/src/run.rs``, ``core/src/agent.rs``). One file is
``v1/sessions/id_<base64url of the id>.json``, with its runs in it; in the older layout ``<id>.json`` has its
runs beside it, in ``runs/<id>.json``. Sessions are in seconds, runs in milliseconds. Messages are of blocks,
as Anthropic has them.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import FormatError
from nbsessions.formats.anthropic import assistant_message, blocks_of, result_message, user_content
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.building import Building
from nbsessions.formats.reading import blamed, count_of, dict_of, list_of, moment, read_json, text_of
from nbsessions.formats.secrets import without_secrets
from nbsessions.pricing import SOURCE
from nbsessions.records import Event, Head, Run, RunStatus, Spent, Usage
from nbsessions.stores.arguments import Bundle
from nbsessions.text import counted

NAME: Final = "a3s"
_VERSION: Final = 1
_SEALED: Final = b"A3SE"
# Read into fields of ours, or told elsewhere.
_SESSION_KEYS: Final = (
    "id",
    "messages",
    "created_at",
    "updated_at",
    "total_usage",
    "total_cost",
    "parent_id",
)
_RUN_KEYS: Final = (
    "id",
    "session_id",
    "status",
    "prompt",
    "created_at_ms",
    "updated_at_ms",
    "error",
    "event_count",
)
_RESULT_KEYS: Final = ("type", "tool_use_id", "content", "is_error")
_ENDED: Final[dict[object, RunStatus]] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


class _Place(NamedTuple):
    """A turn that answers a prompt."""

    prompt: str
    turn_id: str
    above: str | None


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a file, with its runs. Keys and secrets of its configuration are left out.

    Raises
    ------
    FormatError
        Also of a later ``schema_version``, and of an encrypted file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "id_czE.json"
    ...     _ = path.write_text('{"schema_version": 1, "session": {"id": "s1", "messages": []}}')
    ...     [bundle.record.session_id for bundle in read(path)]
    ['s1']
    """
    with blamed(path):
        _check_open(path)
        snapshot = _snapshot(read_json(path), path)
        yield _bundle(snapshot, path)


def _check_open(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            sealed = file.read(len(_SEALED)) == _SEALED
    except OSError as error:
        raise FormatError(path, f"it cannot be read: {error.strerror}") from None
    if sealed:
        raise FormatError(path, "it is encrypted. A3S Code can open it, with its key")


def _snapshot(data: Any, path: Path) -> dict[str, Any]:
    """Return a session with its runs, in the shape of the newer layout."""
    snapshot = dict_of(data)
    if "schema_version" in snapshot or "session" in snapshot:
        version = snapshot.get("schema_version")
        if isinstance(version, int) and version > _VERSION:
            reason = f"a newer A3S Code wrote it (schema_version {version}, known is {_VERSION})"
            raise FormatError(path, f"{reason}. Upgrade nbsessions to read it")
        if isinstance(version, bool) or version != _VERSION:
            raise FormatError(path, "it is no session of A3S Code: it has no schema_version")
    else:
        snapshot = {"session": snapshot}
    session = dict_of(snapshot.get("session"))
    if text_of(session.get("id")) is None or not isinstance(session.get("messages"), list):
        raise FormatError(path, "it is no session of A3S Code: it has no id, or no messages")
    if "schema_version" not in snapshot:
        snapshot["run_records"] = _runs_beside(path, session["id"])
    return snapshot


def _runs_beside(path: Path, session_id: str) -> list[Any]:
    """Return the runs that the older layout keeps in a file of their own."""
    root = path.absolute().parent
    key = urlsafe_b64encode(session_id.encode()).decode().rstrip("=")
    older = session_id.replace("/", "_").replace("\\", "_").replace("..", "_")
    for beside in (root / "v1" / "runs" / f"id_{key}.json", root / "runs" / f"{older}.json"):
        try:
            linked, there = beside.is_symlink(), beside.is_file()
        except (OSError, ValueError):  # an id may be too long for the name of a file, or hold a NUL
            continue
        if linked:
            raise FormatError(beside, "it is a link, and links are not followed")
        if there:
            records = read_json(beside)
            if not isinstance(records, list):
                raise FormatError(beside, "it is no list of runs")
            return records
    return []


def _bundle(snapshot: dict[str, Any], path: Path) -> Bundle:
    session = snapshot["session"]
    config, llm = dict_of(session.get("config")), dict_of(session.get("llm_config"))
    prefix, _, short = (text_of(session.get("model_name")) or "").rpartition("/")
    model, provider = text_of(llm.get("model")) or short, text_of(llm.get("provider")) or prefix
    records = [_Record(record, path, provider) for record in list_of(snapshot.get("run_records"))]
    if len({record.key for record in records}) < len(records):
        raise FormatError(path, "two of its runs have one id")
    building = Building(
        NAME,
        session["id"],
        agent_name=text_of(session.get("agent_template_id")) or NAME,
        title=text_of(config.get("name")),
        metadata=_metadata(snapshot, session, records),
        parent_session_id=text_of(session.get("parent_id")) or text_of(config.get("parent_id")),
        created_at=moment(session.get("created_at")),
        updated_at=moment(session.get("updated_at")),
        model=model or None,
    )
    places = _add_messages(building, session, config, path)
    # A cost is told of the session alone: its runs have none beside it.
    by = None if _cost(session) is None else SOURCE
    for record in records:
        record.add_to(building, provider, priced_by=by)
    rest = _rest(session, records, provider)
    if rest is not None:
        building.run("total", usage=rest, provider=provider or None)
    return _placed(building.bundle(), records, places)


def _metadata(snapshot: dict[str, Any], session: dict[str, Any], records: list[_Record]) -> dict[str, Any]:
    if artifacts := list_of(snapshot.get("artifacts")):
        note(f"left out: {counted(len(artifacts), 'artifact')} of its tools")
    config = {k: v for k, v in dict_of(session.get("config")).items() if k not in ("name", "system_prompt")}
    kept = {key: value for key, value in session.items() if key not in _SESSION_KEYS}
    beside = ("session", "schema_version", "artifacts", "run_records")
    kept |= {key: value for key, value in snapshot.items() if key not in beside}
    kept["config"] = config
    kept["runs"] = {record.key: record.rest for record in records if record.rest}
    found, dropped = without_secrets(
        {key: value for key, value in kept.items() if value not in (None, [], {})}
    )
    if dropped:
        found["left_out"] = dropped
    return found


def _add_messages(
    building: Building, session: dict[str, Any], config: dict[str, Any], path: Path
) -> list[_Place]:
    """Add the messages, and return the turns that answer a prompt."""
    if system := text_of(config.get("system_prompt")):
        building.add({"role": "system", "content": system})
    places: list[_Place] = []
    prompt: str | None = None
    for number, message in enumerate(session["messages"], 1):
        if not isinstance(message, dict):
            raise FormatError(path, f"its message {number} is none")
        for said in _chat(message):
            if said.get("role") == "user":
                _close(building, places, prompt)
                content = said.get("content")
                prompt = content if isinstance(content, str) else _text(content)
            building.add(said)
    _close(building, places, prompt)
    return places


def _chat(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chat messages that a message of blocks stands for: results of tools, then what was said."""
    if not isinstance(message.get("content"), list):
        yield message
        return
    blocks = blocks_of(message["content"])
    more = {key: value for key, value in message.items() if key != "content"}
    if message.get("role") == "assistant":
        yield {**assistant_message(blocks), **more}
        return
    rest = [block for block in blocks if block.get("type") != "tool_result"]
    for block in blocks:
        if block.get("type") == "tool_result":
            yield {**{key: block[key] for key in block if key not in _RESULT_KEYS}, **result_message(block)}
    if rest or not blocks:
        yield {"content": user_content(rest), **more}


def _text(parts: Any) -> str:
    return "".join(str(part["text"]) for part in list_of(parts) if isinstance(dict_of(part).get("text"), str))


def _close(building: Building, places: list[_Place], prompt: str | None) -> None:
    if prompt is not None and (here := building.here) is not None:
        places.append(_Place(prompt, here, places[-1].turn_id if places else None))


class _Record:
    """A run as A3S Code records it."""

    def __init__(self, record: Any, path: Path, provider: str) -> None:
        self.snapshot = dict_of(dict_of(record).get("snapshot"))
        key = text_of(self.snapshot.get("id"))
        if key is None:
            raise FormatError(path, "one of its runs has no id")
        self.key, self.prompt = key, text_of(self.snapshot.get("prompt"))
        self.events = self._events(list_of(record.get("events")), path)
        # Of those that are kept, the last one is the last: another count cannot be true.
        told = count_of(self.snapshot.get("event_count"))
        self.event_count = self.events[-1].seq + 1 if self.events else told
        self.spent = self._spent(provider)

    def _events(self, records: list[Any], path: Path) -> list[Event]:
        """Return its events; the oldest ones may be gone."""
        events: list[Event] = []
        last = first = -1
        for place, record in enumerate(records):
            told = dict_of(record)
            event, sequence = dict_of(told.get("event")), told.get("sequence", place)
            if not isinstance(sequence, int) or not last < sequence < 2**53:
                raise FormatError(path, f"the events of its run {self.key!r} are not in order")
            last, first = sequence, sequence if place == 0 else first
            data = {**event, "sequence": sequence, "timestamp_ms": told.get("timestamp_ms")}
            events.append(Event(seq=first + place, type=text_of(event.get("type")) or "unknown", data=data))
        return events

    @property
    def rest(self) -> dict[str, Any]:
        """What it tells that a run of ours has no field for, and its events do not tell."""
        told = [event.data.get("text") for event in self.events if event.type == "agent_end"]
        known = (*_RUN_KEYS, *(["result_text"] if self.snapshot.get("result_text") in told else []))
        return {key: value for key, value in self.snapshot.items() if key not in known}

    def _spent(self, provider: str) -> list[Spent]:
        """Return what its requests spent or, where those are not kept, what its end says of them in all."""
        turns = [event for event in self.events if event.type == "turn_end"]
        ends = [event for event in self.events if event.type == "agent_end"][-1:]
        return [
            Spent(usage, provider=provider or None, at=moment(event.data.get("timestamp_ms")))
            for event in turns or ends
            if (usage := usage_of(event.data.get("usage"), provider, requests=1 if turns else 0)) != Usage()
        ]

    def add_to(self, building: Building, provider: str, *, priced_by: str | None) -> None:
        # What did not end when it was saved has no process any more that would end it.
        building.run(
            self.key,
            status=_ENDED.get(text_of(self.snapshot.get("status")), "interrupted"),
            prompt=self.prompt,
            started_at=moment(self.snapshot.get("created_at_ms")),
            finished_at=moment(self.snapshot.get("updated_at_ms")),
            spent=[one._replace(priced_by=priced_by) for one in self.spent],
            provider=provider or None,
            error=text_of(self.snapshot.get("error")),
            events=[(event.type, event.data) for event in self.events],
        )


def usage_of(told: object, provider: str, *, requests: int = 1) -> Usage:
    """Return A3S Code's count of one request; with Anthropic it counts what was cached apart.

    Examples
    --------
    >>> told = {"prompt_tokens": 5, "completion_tokens": 2, "cache_read_tokens": 100}
    >>> usage_of(told, "openai").input_tokens, usage_of(told, "anthropic").input_tokens
    (5, 105)
    """
    counts = dict_of(told)
    read, written = count_of(counts.get("cache_read_tokens")), count_of(counts.get("cache_write_tokens"))
    apart = read + written if provider == "anthropic" else 0
    return Usage(
        input_tokens=count_of(counts.get("prompt_tokens")) + apart,
        output_tokens=count_of(counts.get("completion_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        requests=requests if counts else 0,
    )


def _cost(session: dict[str, Any]) -> Decimal | None:
    cost = session.get("total_cost")
    known = isinstance(cost, (int, float)) and not isinstance(cost, bool) and 0 < cost < 1e9
    return Decimal(str(cost)) if known else None


def _rest(session: dict[str, Any], records: list[_Record], provider: str) -> Usage | None:
    """Return what the session spent that none of its runs tells; the cost is told of the session alone."""
    total = usage_of(session.get("total_usage"), provider)
    spent = sum((one.usage for record in records for one in record.spent), Usage())
    rest = Usage(
        **{
            name: max(0, getattr(total, name) - getattr(spent, name))
            for name in Usage.model_fields
            if name.endswith("_tokens")
        },
        cost=_cost(session),
    )
    return rest if rest.total_tokens or rest.cost is not None else None


def _placed(bundle: Bundle, records: list[_Record], places: list[_Place]) -> Bundle:
    """Return the session with each run at the turn that it made: prompts are answered in order."""
    at, last = 0, Head()
    asked: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        asked.setdefault(place.prompt, []).append(number)
    runs: list[Run] = []
    events = dict(bundle.events)
    for run, record in zip(bundle.runs, records, strict=False):
        same = asked.get(record.prompt or "", [])
        found = bisect_left(same, at)
        update: dict[str, Any] = {"base": last, "event_count": record.event_count}
        if found < len(same) and run.status == "completed":
            place, at = places[same[found]], same[found] + 1
            update |= {"base": Head(place.above), "turn_id": place.turn_id, "prompt": None}
            last = Head(place.turn_id)
        runs.append(run.model_copy(update=update))
        events[run.run_id] = record.events
    return bundle._replace(runs=[*runs, *bundle.runs[len(runs) :]], events=events)


def _guess(peek: Peek) -> bool:
    if peek.head.startswith(_SEALED) or {"schema_version", "session"} <= peek.keys:
        return True
    return {"id", "config", "messages"} <= peek.keys and '"workspace"' in peek.text


FORMAT = Format(
    name=NAME,
    help="A session of A3S Code's file store.",
    suffixes=(".json",),
    read=read,
    guess=_guess,
    many=False,
)
