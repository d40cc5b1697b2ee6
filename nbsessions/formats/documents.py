"""
A session as JSON, without any loss: the parts that the formats ``json`` and ``jsonl`` are made of.

Each part is a JSON object of its own kind::

    session     the fields of `SessionRecord`; ``head`` and ``draft`` are ``[turn_id, keep]``
    turn        turn_id, parent_id, codec, messages (or ``body``, where that JSON has another spelling),
                message_count, prompts, has_system, cell_id, created_at, hash, content_hash, state
    log         entry_id, action, done, head, message_count, turn_count, state, at, before, draft, base
    checkpoint  the fields of `Checkpoint`
    run         the fields of `Run`; ``shares`` are ``[day, model, provider, usage]``, and add up to ``usage``
    event       run_id, seq, type, data
    progress    run_id, codec, body, usage
    value       name, value, at, expires_at

Times are ISO 8601 in UTC. ``messages`` are those of the codec: chat messages in the codec ``chat``. ``hash``
is the SHA-256 of the parent's hash (none: nothing) and of the SHA-256 of the codec's name, a newline and the
messages as JSON without spaces, in UTF-8, with no character escaped that needs not be: what was edited or
damaged is noticed. A turn comes after its parent.

Version 1 (nbsessions 0.3 and earlier) had no ``shares``, ``priced_by`` and ``unpriced_tokens``; what had no
cost there is unpriced here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from nbsessions.chains import make_turn
from nbsessions.codecs import is_standing
from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats.base import note
from nbsessions.formats.sound import check_head, check_number, sound, view, whole
from nbsessions.hashes import is_intact
from nbsessions.names import check_id, check_name, check_notebook, check_tags
from nbsessions.records import Checkpoint, Event, Head, LogEntry, Run, SessionRecord, Turn, Usage
from nbsessions.stores.arguments import Bundle, Progress, Value
from nbsessions.values import check_stored, check_text, encode_json, from_micros, micros

FORMAT: Final = "nbsessions"
VERSION: Final = 2
_Model = TypeVar("_Model", bound=BaseModel)
_HEAD: Final = TypeAdapter(Head)
_MOMENT: Final = TypeAdapter(datetime)

Part = tuple[str, dict[str, Any]]
"""A kind and its object."""


def check_version(header: Mapping[str, Any], where: object) -> None:
    """Refuse what is no document of ours, or one of a later version.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> check_version({"format": "nbsessions", "version": 9}, "chat.json")
    Traceback (most recent call last):
    nbsessions.exceptions.FormatError: chat.json: a newer nbsessions wrote it (version 9, ...
    """
    version = header.get("version")
    if (
        header.get("format") != FORMAT
        or isinstance(version, bool)
        or not isinstance(version, int)
        or version < 1
    ):
        raise FormatError(where, "it is no export of nbsessions")
    if version > VERSION:
        reason = (
            f"a newer nbsessions wrote it (version {version}, this one reads {VERSION}). Upgrade to read it"
        )
        raise FormatError(where, reason)


def parts(bundle: Bundle) -> Iterator[Part]:
    """Yield the parts of a session, the session itself first.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> [kind for kind, _ in parts(Building("example", "chat-7", agent_name="helper").bundle())]
    ['session', 'log']
    """
    yield "session", bundle.record.model_dump(mode="json")
    prompts: dict[str | None, int] = {}
    for turn in bundle.turns:
        prompts[turn.turn_id] = turn.total_turns
        yield "turn", _turn_part(turn, prompts.get(turn.parent_id, 0), bundle.states.get(turn.turn_id, "{}"))
    for entry in bundle.log:
        yield "log", {**entry._asdict(), "state": from_json(entry.state), "at": _iso(entry.at)}
    for checkpoint in bundle.checkpoints:
        yield "checkpoint", checkpoint.model_dump(mode="json")
    for run in bundle.runs:
        yield "run", run.model_dump(mode="json", exclude={"output", "carried"})
    for run_id, events in bundle.events.items():
        for event in events:
            yield "event", {"run_id": run_id, **event.model_dump(mode="json")}
    for progress in bundle.progress:
        yield "progress", {**progress._asdict(), "usage": progress.usage.model_dump(mode="json")}
    for value in bundle.values:
        times = {"at": _iso(value.at), "expires_at": value.expires_at and _iso(value.expires_at)}
        yield "value", {"name": value.name, "value": from_json(value.value), **times}


def _iso(at: int) -> str:
    return from_micros(at).isoformat().replace("+00:00", "Z")


def _turn_part(turn: Turn, before: int, state: str) -> dict[str, Any]:
    native = from_json(turn.body)
    # Its hash is of its very bytes: another spelling of the same JSON is kept as text.
    same = encode_json(native, "turn") == turn.body
    return {
        "turn_id": turn.turn_id,
        "parent_id": turn.parent_id,
        "codec": turn.codec,
        **({"messages": native} if same else {"body": turn.body}),
        "message_count": turn.message_count,
        "prompts": turn.total_turns - before,
        "has_system": turn.has_system,
        "cell_id": turn.cell_id,
        "created_at": _iso(turn.created_at),
        "hash": turn.hash.hex(),
        "content_hash": None if turn.content_hash is None else turn.content_hash.hex(),
        "state": from_json(state),
    }


class Assembly:
    """A session that is put together again from its parts.

    Parameters
    ----------
    session : object
        The part ``session``.
    where : object
        What to call the file in an error.

    Raises
    ------
    FormatError
        From every method: a part is not what it should be, or does not fit to those before.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> first, *others = parts(Building("example", "chat-7", agent_name="helper").bundle())
    >>> assembly = Assembly(first[1], "chat.json")
    >>> for kind, part in others:
    ...     assembly.add(kind, part)
    >>> assembly.bundle().record.session_id
    'chat-7'
    """

    def __init__(self, session: object, where: object) -> None:
        self._where = where
        self._record = self._checked(self._parse(SessionRecord, session))
        self._turns: dict[str, Turn] = {}
        self._states: dict[str, str] = {}
        self._log: list[LogEntry] = []
        self._entries: set[int] = set()
        self._checkpoints: list[Checkpoint] = []
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[Event]] = {}
        self._progress: list[Progress] = []
        self._values: list[Value] = []
        self._is_older = False
        self._adders: dict[str, Callable[[dict[str, Any]], None]] = {
            "turn": self._add_turn,
            "log": self._add_entry,
            "checkpoint": self._add_checkpoint,
            "run": self._add_run,
            "event": self._add_event,
            "progress": self._add_progress,
            "value": self._add_value,
        }

    def add(self, kind: str, part: object) -> None:
        """Add the next part."""
        if kind not in self._adders or not isinstance(part, dict):
            raise FormatError(self._where, f"it holds a {kind!r} that is none")
        try:
            self._adders[kind](part)
        except FormatError:
            raise
        except ValidationError as error:
            raise self._invalid(error) from None
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise FormatError(self._where, f"a {kind} in it is none: {_reason(error)}") from None

    def bundle(self) -> Bundle:
        """Return the session, whose parts fit together."""
        record = self._record
        if not self._log or self._log[0].action != "create":
            raise FormatError(self._where, f"the log of session {record.session_id} does not begin")
        heads = [record.head, *([record.draft] if record.draft else [])]
        heads += [entry.head for entry in self._log] + [one.head for one in self._checkpoints]
        heads += [run.base for run in self._runs.values() if run.status == "running"]
        for head in heads:
            self._check_head(head)
        counted = record.head.turn_id is None or self._messages(record.head) == record.message_count
        if not counted or (record.head.turn_id is None and record.message_count):
            raise FormatError(self._where, f"session {record.session_id} has not as many messages as it says")
        self._check_log()
        runs = [self._within(run) for run in self._runs.values()]
        if self._is_older:
            unpriced = sum(run.usage.unpriced_tokens for run in runs)
            usage = record.usage.model_copy(update={"unpriced_tokens": unpriced})
            record = record.model_copy(update={"usage": usage})
        return Bundle(
            record,
            list(self._turns.values()),
            self._states,
            self._log,
            self._checkpoints,
            runs,
            self._events,
            self._progress,
            self._values,
        )

    def _within(self, run: Run) -> Run:
        changes: dict[str, Any] = {}
        if run.base.turn_id not in self._turns:  # others' turns, where it began, need not be here
            changes["base"] = Head()
        events = self._events.get(run.run_id)
        if events:
            try:
                kept = whole(run, events)
            except ValueError as error:
                raise FormatError(self._where, str(error)) from None
            if len(kept) < len(events) or kept[-1].seq + 1 < run.event_count:
                note(f"{self._record.label}: some events of run {run.run_id} are missing")
            self._events[run.run_id] = kept
            changes["event_count"] = kept[-1].seq + 1
        return run.model_copy(update=changes)

    def _check_log(self) -> None:
        """Refuse a session that does not stand where its log ends."""
        record = self._record
        saved = [entry for entry in self._log if not entry.draft][-1]
        drafted = next((entry.head for entry in reversed(self._log) if entry.draft), None)
        stands = (saved.head, saved.message_count, saved.turn_count)
        if (record.head, record.message_count, record.turn_count) != stands or (
            record.draft is not None and record.draft != drafted
        ):
            raise FormatError(self._where, f"session {record.session_id} does not stand where its log ends")

    def _check_head(self, head: Head) -> None:
        if head.turn_id is None:
            return
        turn = self._turns.get(head.turn_id)
        if turn is None:
            raise FormatError(self._where, f"turn {head.turn_id} is missing in it")
        if head.keep is not None and not 0 <= head.keep <= turn.message_count:
            raise FormatError(self._where, f"turn {head.turn_id} has not {head.keep} messages")

    def _messages(self, head: Head) -> int:
        turn = self._turns[head.turn_id or ""]
        return turn.total_messages - (0 if head.keep is None else turn.message_count - head.keep)

    def _parse(self, model: type[_Model], part: object) -> _Model:
        try:
            return sound(model.model_validate(part))
        except ValidationError as error:
            raise self._invalid(error) from None
        except (ValueError, OverflowError) as error:
            raise FormatError(self._where, f"a {_called(model)} in it is none: {_reason(error)}") from None
        except RecursionError:
            raise FormatError(self._where, "it is nested too deeply") from None

    def _invalid(self, error: ValidationError) -> FormatError:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        return FormatError(self._where, f"{place}: {first['msg']}")

    def _checked(self, record: SessionRecord) -> SessionRecord:
        try:
            check_id(record.session_id, "session_id")
            for value in (record.conversation_id, record.parent_session_id):
                if value is not None:
                    check_id(value, "id")
            check_id(record.agent_name, "agent_name")
            check_notebook(record.notebook)
            check_stored(record.metadata, "metadata")
            check_stored(record.state, "state")
            name = None if record.name is None else check_name(record.name)
            return record.model_copy(update={"name": name, "tags": check_tags(record.tags)})
        except InvalidInput as error:
            raise FormatError(self._where, str(error)) from None

    def _add_turn(self, part: dict[str, Any]) -> None:
        body = part["body"] if "body" in part else encode_json(part["messages"], "turn")
        codec, parent_id, cell_id, content = (
            part[name] for name in ("codec", "parent_id", "cell_id", "content_hash")
        )
        parent = None if parent_id is None else self._turns[parent_id]
        if not all(isinstance(text, str) for text in (body, codec, part["turn_id"], cell_id or "")):
            raise ValueError("its fields are of other types")
        count, prompts = (check_number(name, part[name]) for name in ("message_count", "prompts"))
        said = view(codec, body)
        if said is not None and count != len(said):
            raise ValueError(f"turn {part['turn_id']} has not as many messages as it says")
        system = part["has_system"] is True if said is None else any(map(is_standing, said))
        made = make_turn(parent, codec, body, (), prompts=prompts, cell_id=cell_id)
        turn = made._replace(
            turn_id=check_id(part["turn_id"], "turn_id"),
            message_count=count,
            total_messages=made.total_messages + count,
            has_system=system,
            created_at=_at(part["created_at"]),
            hash=bytes.fromhex(part["hash"]),
            content_hash=None if content is None else bytes.fromhex(content),
        )
        if not is_intact(turn):
            raise FormatError(
                self._where, f"turn {turn.turn_id} is not what was exported: edited, or damaged"
            )
        self._turns[turn.turn_id] = turn
        state = check_stored(dict(part["state"]), "state")
        if state != "{}":
            self._states[turn.turn_id] = state

    def _add_entry(self, part: dict[str, Any]) -> None:
        links = [link for link in (part["before"], part["base"]) if link is not None]
        if part["entry_id"] in self._entries or any(link not in self._entries for link in links):
            raise ValueError(f"entry {part['entry_id']} is out of order")
        self._entries.add(part["entry_id"])
        self._log.append(
            LogEntry(
                entry_id=int(part["entry_id"]),
                action=check_id(part["action"], "action"),
                done=check_id(part["done"], "action"),
                head=check_head(_HEAD.validate_python(part["head"])),
                message_count=check_number("message_count", part["message_count"]),
                turn_count=check_number("turn_count", part["turn_count"]),
                state=check_stored(dict(part["state"]), "state"),
                at=_at(part["at"]),
                before=part["before"],
                draft=part["draft"] is True,
                base=part["base"],
            )
        )

    def _add_run(self, part: dict[str, Any]) -> None:
        run = self._parse(Run, part)
        if "unpriced_tokens" not in run.usage.model_fields_set and run.usage.cost is None:
            self._is_older = True
            unpriced = {"unpriced_tokens": run.usage.total_tokens}
            run = run.model_copy(update={"usage": run.usage.model_copy(update=unpriced)})
        if run.shares and sum((share.usage for share in run.shares), Usage()) != run.usage:
            raise ValueError(f"the shares of run {run.run_id} are not what it spent")
        whose = {"session_id": self._record.session_id, "conversation_id": self._record.conversation_id}
        # What an agent returned is not stored.
        own = run.model_copy(update={**whose, "output": None, "carried": Usage()})
        self._runs[check_id(run.run_id, "run_id")] = own

    def _add_checkpoint(self, part: dict[str, Any]) -> None:
        made = self._parse(Checkpoint, part)
        check_id(made.checkpoint_id, "checkpoint_id")
        check_name(made.name)
        check_stored(made.state, "state")
        self._checkpoints.append(made.model_copy(update={"session_id": self._record.session_id}))

    def _add_event(self, part: dict[str, Any]) -> None:
        event = self._parse(Event, {name: part[name] for name in ("seq", "type", "data")})
        if part["run_id"] not in self._runs:
            raise ValueError(f"it belongs to no run in it: {part['run_id']!r}")
        check_stored(event.data, "event")
        self._events.setdefault(part["run_id"], []).append(event)

    def _add_progress(self, part: dict[str, Any]) -> None:
        if part["run_id"] not in self._runs or not isinstance(part["body"], str):
            raise ValueError("it belongs to no run in it")
        usage = self._parse(Usage, part["usage"])
        view(part["codec"], part["body"])
        self._progress.append(Progress(part["run_id"], check_id(part["codec"], "codec"), part["body"], usage))

    def _add_value(self, part: dict[str, Any]) -> None:
        expires = None if part["expires_at"] is None else _at(part["expires_at"])
        value = check_stored(part["value"], "value")
        self._values.append(Value(check_text(part["name"], "name"), value, _at(part["at"]), expires))


def _at(text: object) -> int:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no time")
    return micros(_MOMENT.validate_python(text).astimezone(UTC))


def _called(model: type[BaseModel]) -> str:
    return model.__name__.removesuffix("Record").lower()


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return " ".join(str(error).split())[:200]
