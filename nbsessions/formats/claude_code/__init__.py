"""
Transcripts of Claude Code: ``~/.claude/projects/PROJECT/SESSION.jsonl``.

Looked at: transcripts of versions 1.0 to 2.1, as https://code.claude.com/docs/en/how-claude-code-works and
the readers https://github.com/ryoppippi/ccusage and https://github.com/daaain/claude-code-log describe them;
Anthropic documents no schema.

Each line names the line that it follows (``parentUuid``), so a transcript is a tree: a prompt that was taken
back and written anew begins a branch. The last line is where the session stands; the others stay in its log
of heads. The answer of one request is as many lines as it has blocks, with one `message.id`, and is counted
once per (`message.id`, `requestId`), by its last line. Sub-agents are sessions of their own, in the A2A
conversation of the session that asked them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Format, Peek, note
from nbsessions.formats.branches import Branches, Entry
from nbsessions.formats.building import Building
from nbsessions.formats.claude_code import files
from nbsessions.formats.claude_code.tree import FACTS, Foreign, Node, Tree
from nbsessions.formats.reading import dict_of, json_lines, text_of
from nbsessions.stores.arguments import Bundle

_NAMES: Final = {"gitBranch": "git_branch"}
_TITLES: Final = {"custom-title": "customTitle", "ai-title": "aiTitle", "agent-name": "agentName"}


def read(path: Path) -> Iterator[Bundle]:
    """Yield the session of a transcript, then its sub-agents, those in files of their own included.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> import tempfile
    >>> line = '{"type":"user","uuid":"u1","sessionId":"s1","message":{"role":"user","content":"Hi"}}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "s1.jsonl"
    ...     _ = path.write_text(line + "\\n")
    ...     [(bundle.record.session_id, bundle.record.message_count) for bundle in read(path)]
    [('s1', 1)]
    """
    log = _Log.of(path)
    if not log.main.nodes and not log.sides:
        raise FormatError(path, "it holds no messages of Claude Code")
    session_id = log.session_id(path)
    said = {name for node in log.main.nodes if (name := node.message_id)}
    if log.main.nodes:
        first = next((node.message_id for node in log.main.nodes if node.message_id), None)
        elsewhere = files.said_elsewhere(path, first)
        yield _session(log, session_id, elsewhere)
        said |= elsewhere
    yield from _sides(log, path, session_id, said)
    if log.main.nodes and session_id is not None:
        for other in files.sub_agents(path, log.agent_ids):
            try:
                yield from _sides(_Log.of(other), other, session_id, said)
            except FormatError as error:
                note(str(error))


@dataclass
class _Log:
    """All lines of one file."""

    main: Tree = field(default_factory=Tree)
    sides: dict[str, Tree] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    agent_ids: set[str] = field(default_factory=set)
    _summaries: list[dict[str, Any]] = field(default_factory=list)
    _side_of: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> _Log:
        log = cls()
        for number, line in json_lines(path, partial=True):
            if not isinstance(line, dict):
                raise FormatError(f"{path}, line {number}", "it is no JSON object")
            log.add(line)
        return log

    def add(self, line: dict[str, Any]) -> None:
        uuid = text_of(line.get("uuid"))
        if uuid is None and not isinstance(line.get("message"), dict):
            self._add_beside(line)
        elif line.get("isSidechain") is True:
            name = self._side(line, uuid)
            self.sides.setdefault(name, Tree()).add(line)
            if uuid is not None:
                self._side_of[uuid] = name
        else:
            self.main.add(line)
            agent_id = text_of(dict_of(line.get("toolUseResult")).get("agentId"))
            self.agent_ids |= {agent_id} if agent_id is not None else set()

    def _side(self, line: dict[str, Any], uuid: str | None) -> str:
        """Return which sub-agent a line is of: where that has no id, its first line tells."""
        agent_id, parent = text_of(line.get("agentId")), text_of(line.get("parentUuid"))
        if agent_id is not None:
            return f"agent-{agent_id}"
        return self._side_of.get(parent or "") or uuid or "sidechain"

    def _add_beside(self, line: dict[str, Any]) -> None:
        kind = text_of(line.get("type")) or ""
        if kind == "summary":
            self._summaries.append(line)
        elif title := text_of(line.get(_TITLES.get(kind, ""))):
            self.titles[kind] = title
        elif kind == "tag" and (tag := text_of(line.get("tag"))):
            self.tags.append(tag)

    @property
    def title(self) -> str | None:
        """What a person called it, else what the model did; a summary may be of another session."""
        own = [line for line in self._summaries if self.main.has(line.get("leafUuid"))]
        found = [self.titles.get(kind) for kind in _TITLES]
        return next((title for title in found if title), text_of(own[-1].get("summary")) if own else None)

    def session_id(self, path: Path) -> str | None:
        """Return the id of the session: of those that lines name, the one that the file is named after."""
        found = [name for tree in (self.main, *self.sides.values()) for name in tree.session_ids]
        return path.stem if path.stem in found else found[-1] if found else None


def _session(log: _Log, session_id: str | None, elsewhere: set[str]) -> Bundle:
    others = [name for name in log.main.session_ids if name != session_id]
    building = Building(
        "claude-code",
        session_id,
        agent_name="claude-code",
        title=log.title,
        tags=log.tags,
        metadata=_metadata(log.main),
        parent_session_id=log.main.forked_from or (others[0] if others else None),
        created_at=log.main.began,
    )
    return _built(building, log.main, Foreign(session_id, elsewhere))


def _sides(log: _Log, path: Path, session_id: str | None, said: set[str]) -> Iterator[Bundle]:
    """Yield the sub-agents of a file; a file that holds nothing else may have words beside it."""
    told = files.about(path) if not log.main.nodes else {}
    for name, tree in log.sides.items():
        if not tree.nodes:
            continue
        first = next((node.message_id for node in tree.nodes if node.message_id), None)
        repeated = said or files.said_by_parent(path, session_id or "", first)
        kind = text_of(told.get("agentType"))
        building = Building(
            "claude-code",
            name,
            agent_name="claude-code",
            title=text_of(told.get("description")),
            metadata=_metadata(tree) | ({"agent_type": kind} if kind else {}),
            conversation_id=session_id,
            parent_session_id=session_id,
            created_at=tree.began,
        )
        yield _built(building, tree, Foreign(message_ids=repeated))


def _metadata(tree: Tree) -> dict[str, Any]:
    return {_NAMES.get(name, name): tree.facts[name] for name in FACTS if name in tree.facts}


def _built(building: Building, tree: Tree, foreign: Foreign) -> Bundle:
    branches = Branches(building)
    entries: dict[Node, Entry] = {}
    for node in tree.nodes:
        parent = None if node.parent is None else entries[node.parent]
        entries[node] = branches.add(node.entry(foreign), parent)
        node.blocks.clear()
    return building.bundle()


def guess(peek: Peek) -> bool:
    """Tell whether a file is a transcript.

    Examples
    --------
    >>> guess(Peek(Path(__file__)))
    False
    """
    first = peek.first
    if peek.path.suffix.lower() != ".jsonl":
        return False
    if not isinstance(first, dict):  # the first line is larger than what is looked at
        return {"messageId", "snapshot"} <= peek.keys
    return "parentUuid" in first or ("type" in first and '"parentUuid":' in peek.text)


FORMAT = Format(
    name="claude-code",
    help="Transcripts of Claude Code (~/.claude/projects).",
    suffixes=(".jsonl",),
    read=read,
    guess=guess,
    many=True,
)
