"""
Rollouts of OpenAI's Codex CLI: ``~/.codex/sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl``.

Looked at: https://github.com/openai/codex, ``codex-rs/protocol``, ``codex-rs/history`` and
``codex-rs/rollout`` up to September 2026, and what versions of 2025 wrote: items without an envelope after a
first line with the id, and one JSON file with ``session`` and ``items``.

Items of the Responses API stay as they are. What a `token_count` or a `token_usage_record` says is counted
where its total has grown.
A rollout that was forked begins with all that was said before: it is read, and not counted again. Turns that
were rolled back stay in the log of heads. A sub-agent is a session in the A2A conversation of the one that
spawned it. The instructions of Codex itself are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building
from nbsessions.formats.codex.copies import Copy
from nbsessions.formats.reading import count_of, dict_of, json_lines, list_of, moment, read_json, text_of
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle

_CODEC: Final = "openai-agents"
_OWN: Final = ("ghost_snapshot", "compaction_trigger", "other")
"""Items that are Codex's own, and none of the API."""
_NAMED: Final = re.compile(r"rollout-.*?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")
_GOES_ON: Final = "It goes on from another rollout, which is not repeated in it: import that, too."
_ENDS: Final = ("task_complete", "turn_complete")


class _Line(NamedTuple):
    at: datetime | None
    kind: str
    payload: dict[str, Any]


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a rollout.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> item = '{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rollout.jsonl"
    ...     _ = path.write_text('{"id":"s1","timestamp":"2025-06-01T10:00:00Z"}\\n' + item)
    ...     [(bundle.record.session_id, bundle.record.message_count) for bundle in read(path)]
    [('s1', 1)]
    """
    rollout: _Rollout | None = None
    for line in _lines(path):
        if rollout is None:
            rollout = _Rollout(path, line if line.kind == "session_meta" else _Line(line.at, "", {}))
        rollout.add(line)
    if rollout is None or not rollout.found:
        raise FormatError(path, "it holds no messages of Codex")
    yield rollout.bundle()


def _lines(path: Path) -> Iterator[_Line]:
    for where, value in _values(path):
        if not isinstance(value, dict):
            raise FormatError(where, "it is no JSON object")
        at = moment(value.get("timestamp"))
        if isinstance(value.get("payload"), dict):
            yield _Line(at, text_of(value.get("type")) or "", value["payload"])
        elif "type" in value or "role" in value:
            yield _Line(at, "response_item", value)
        elif "id" in value:
            yield _Line(at, "session_meta", value)


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix.lower() != ".json":
        for number, value in json_lines(path, partial=True):
            yield f"{path}, line {number}", value
        return
    whole = dict_of(read_json(path))
    yield f"{path}, session", whole.get("session")
    for number, item in enumerate(list_of(whole.get("items")), 1):
        yield f"{path}, item {number}", item


class _Rollout:
    """A rollout that is being read, line by line."""

    def __init__(self, path: Path, first: _Line) -> None:
        meta = first.payload
        named = _NAMED.match(path.stem)
        self.session_id = text_of(meta.get("id")) or (named[1] if named else None)
        self.parent = _spawned_by(meta)
        self.forked_from = text_of(meta.get("forked_from_id"))
        root = text_of(meta.get("session_id"))
        self._building = Building(
            "codex",
            self.session_id,
            agent_name="codex",
            title=text_of(meta.get("agent_nickname")),
            metadata=_metadata(meta),
            conversation_id=root if self.parent and root not in (None, self.session_id) else self.parent,
            parent_session_id=self.parent or self.forked_from,
            created_at=moment(meta.get("timestamp")) or first.at,
            codec=_CODEC,
        )
        self._branches = Branches(self._building, native=True)
        self._prompts: list[Entry] = []
        self._provider = text_of(meta.get("model_provider"))
        self._model: str | None = None
        self._total: dict[str, Any] = {}
        self._copy = Copy(self.session_id, forked=(self.parent or self.forked_from) is not None)
        self.found = False

    def add(self, line: _Line) -> None:
        self._copy.pass_by(line.kind, line.payload, line.at)
        if line.kind == "response_item":
            self._add_item(line.payload, line.at)
        elif line.kind == "event_msg":
            self._add_event(line)
        elif line.kind == "turn_context":
            self._model = text_of(line.payload.get("model")) or self._model
        elif line.kind == "compacted":
            self._add_summary(line)
        elif line.kind == "token_usage_record":
            self._count_record(line)
        elif line.kind == "inter_agent_communication":
            text = text_of(line.payload.get("content"))
            if text is not None:
                part = {"type": "input_text", "text": text}
                self._add_item({"type": "message", "role": "user", "content": [part]}, line.at)
        elif line.kind == "rollout_reference" or (
            line.kind == "session_meta" and line.payload.get("history_base")
        ):
            note(_GOES_ON)

    def _add_item(self, item: dict[str, Any], at: datetime | None) -> None:
        if item.get("type") in _OWN:
            return
        self.found = True
        view = codec(_CODEC).messages(item)
        entry = Entry(
            [item],
            at,
            is_prompt=any(is_prompt(message) for message in view),
            is_aside=all(message.role in ("system", "user") for message in view),
            is_end=item.get("role") == "assistant",
        )
        self._branches.add(entry, self._branches.tip)
        if entry.is_prompt:
            self._prompts.append(entry)

    def _add_summary(self, line: _Line) -> None:
        """Add what stands for all before it from here on; a model made it, and it may be encrypted."""
        text = text_of(line.payload.get("message"))
        if text is not None:
            part = {"type": "output_text", "text": text}
            self._add_item({"type": "message", "role": "assistant", "content": [part]}, line.at)
            return
        for item in list_of(line.payload.get("replacement_history")):
            if isinstance(item, dict) and "compaction" in str(item.get("type")):
                self._add_item(item, line.at)

    def _add_event(self, line: _Line) -> None:
        kind, told = line.payload.get("type"), line.payload
        if kind == "token_count":
            self._count(dict_of(told.get("info")), line.at)
        elif kind == "thread_rolled_back":
            self._roll_back(count_of(told.get("num_turns")))
        elif kind == "thread_name_updated" and text_of(told.get("thread_id")) in (None, self.session_id):
            self._building.call(text_of(told.get("thread_name")))
        elif self.found and not self._copy.under_way:
            self._end(kind, told)

    def _end(self, kind: object, told: dict[str, Any]) -> None:
        if kind == "turn_aborted":
            self._building.end("cancelled")
        elif kind == "error":
            self._building.end("failed", text_of(told.get("message")) or "Codex failed")
        elif kind in _ENDS and text_of(told.get("last_agent_message")):
            self._building.end("completed")

    def _count_record(self, line: _Line) -> None:
        """Count what a response spent; newer versions write it, and a `token_count` with the same total."""
        told = line.payload
        info = {"total_token_usage": told.get("thread_token_usage"), "last_token_usage": told.get("usage")}
        own = text_of(told.get("thread_id")) in (None, self.session_id)
        self._count({**info, "model": told.get("model")}, line.at, own=own)

    def _count(self, info: dict[str, Any], at: datetime | None, *, own: bool = True) -> None:
        """Count a request; the same totals are told again, as when a limit changes."""
        total, last = dict_of(info.get("total_token_usage")), dict_of(info.get("last_token_usage"))
        if total and _usage(total) == _usage(self._total):
            return
        before, self._total = self._total, total or self._total
        usage = _usage(last or {name: count_of(n) - count_of(before.get(name)) for name, n in total.items()})
        if usage is not None and own and not self._copy.under_way:
            model = text_of(info.get("model")) or self._model
            self._building.spend(usage, model=model, provider=self._provider, at=at)

    def _roll_back(self, turns: int) -> None:
        if turns and self._prompts:
            first = self._prompts[-min(turns, len(self._prompts))]
            del self._prompts[-min(turns, len(self._prompts)) :]
            self._branches.back(first)

    def bundle(self) -> Bundle:
        return self._building.bundle()


def _spawned_by(meta: dict[str, Any]) -> str | None:
    """Return the session that a sub-agent works for."""
    source = dict_of(meta.get("source"))
    told = source.get("subagent", source.get("sub_agent"))
    spawn = dict_of(dict_of(told).get("thread_spawn"))
    parent = text_of(meta.get("parent_thread_id")) or text_of(spawn.get("parent_thread_id"))
    if parent is None and told is not None:
        parent = text_of(meta.get("session_id"))
    return parent if parent != text_of(meta.get("id")) else None


def _metadata(meta: dict[str, Any]) -> dict[str, Any]:
    git = dict_of(meta.get("git"))
    names = {"cwd": "cwd", "cli_version": "version", "originator": "originator", "source": "source"}
    names |= {"agent_role": "agent_role", "agent_nickname": "agent_nickname"}
    told = {ours: meta[theirs] for theirs, ours in names.items() if meta.get(theirs)}
    names = {"branch": "git_branch", "commit_hash": "git_commit", "repository_url": "repository"}
    return told | {ours: git[theirs] for theirs, ours in names.items() if git.get(theirs)}


def _usage(told: dict[str, Any]) -> Usage | None:
    usage = Usage(
        input_tokens=count_of(told.get("input_tokens")),
        output_tokens=count_of(told.get("output_tokens")),
        cache_read_tokens=count_of(told.get("cached_input_tokens")),
        cache_write_tokens=count_of(told.get("cache_write_input_tokens")),
        reasoning_tokens=count_of(told.get("reasoning_output_tokens")),
    )
    return None if usage == Usage() else usage + Usage(requests=1)


def _guess(peek: Peek) -> bool:
    first = peek.first
    if peek.path.suffix.lower() == ".json":
        return {"session", "items"} <= peek.keys
    if not isinstance(first, dict):  # the first line, with the instructions, is larger than what is looked at
        return {"type", "payload"} <= peek.keys and '"session_meta"' in peek.text[:500]
    if isinstance(first.get("payload"), dict):
        return first.get("type") in (
            "session_meta",
            "response_item",
            "event_msg",
            "turn_context",
            "compacted",
        )
    return {"id", "timestamp", "instructions"} <= first.keys() and "type" not in first


FORMAT = Format(
    name="codex",
    help="Rollouts of OpenAI's Codex CLI (~/.codex/sessions).",
    suffixes=(".jsonl", ".json"),
    read=read,
    guess=_guess,
    many=False,
)
