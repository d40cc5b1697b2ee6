"""Files beside a Claude Code transcript that belong to it, or that it repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import Reading, listening
from nbsessions.formats.claude_code.tree import Foreign, message_id
from nbsessions.formats.reading import dict_of, json_lines, read_json

_LINES_BEFORE: Final = 200
"""So many answers of sub-agents at most come before the first one of a session."""
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,150}")
_DEPTH: Final = 5


def sub_agents(path: Path, agent_ids: set[str]) -> list[Path]:
    """Return the transcripts of sub-agents of a session, from its folder and, as it once was, from beside it.

    Parameters
    ----------
    path : Path
        Of the session's transcript.
    agent_ids : set of str
        That it names.

    Examples
    --------
    >>> sub_agents(Path("/nowhere/s1.jsonl"), {"a1"})
    []
    """
    found = sorted((path.with_suffix("") / "subagents").rglob("agent-*.jsonl"))
    plain = sorted(name for name in agent_ids if _PLAIN_NAME.fullmatch(name))
    found += [path.with_name(f"agent-{name}.jsonl") for name in plain]
    home = path.parent.resolve()
    return [one for one in found if one.is_file() and one.resolve().is_relative_to(home)]


def about(path: Path) -> dict[str, Any]:
    """Return what is told of a sub-agent beside its transcript: its kind and its task.

    Raises
    ------
    FormatError

    Examples
    --------
    >>> about(Path("/nowhere/agent-a1.jsonl"))
    {}
    """
    told = path.with_suffix(".meta.json")
    return dict_of(read_json(told)) if told.is_file() and not told.is_symlink() else {}


def said_by_parent(path: Path, session_id: str, first_id: str | None) -> set[str]:
    """Return the ids of messages that a sub-agent repeats from the session that it was asked by.

    Examples
    --------
    >>> said_by_parent(Path("/nowhere/agent-a1.jsonl"), "s1", "msg_1")
    set()
    """
    if first_id is None or not _PLAIN_NAME.fullmatch(session_id):
        return set()
    for folder in list(path.parents)[:_DEPTH]:
        log = folder / f"{session_id}.jsonl"
        if log.is_file() and not log.is_symlink() and log != path:
            said = _message_ids(log)
            return said if first_id in said else set()
    return set()


def said_elsewhere(path: Path, first_id: str | None) -> set[str]:
    """Return the ids of messages whose usage another transcript of the same conversation counts.

    A session that was resumed began a new file once, with all that was said before in it again. Which of
    the files counts it, their names decide, so that it is the same one whenever they are read.

    Examples
    --------
    >>> said_elsewhere(Path("/nowhere/s2.jsonl"), "msg_1")
    set()
    """
    found: set[str] = set()
    if first_id is None:
        return found
    for other in sorted(path.parent.glob("*.jsonl")):
        if other.name >= path.name or other.is_symlink() or not other.is_file():
            continue
        stat = other.stat()
        if _first_id(other, stat.st_mtime_ns, stat.st_size) == first_id:
            found |= _message_ids(other)
    return found


@lru_cache(maxsize=4096)
def _first_id(path: Path, changed: int, size: int) -> str | None:
    """Return the id of the first answer of a transcript, as long as it does not change."""
    with listening(Reading()):  # what is read here is no progress with the file that is imported
        first = islice(_answers(path), _LINES_BEFORE)
        return next((message_id(line) for line in first if line.get("isSidechain") is not True), None)


def _message_ids(path: Path) -> set[str]:
    with listening(Reading()):
        return {name for line in _answers(path) if (name := message_id(line))}


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers that a transcript counts."""
    own = Foreign(path.stem)
    try:
        for _, line in json_lines(path, partial=True):
            told = dict_of(line)
            if told.get("type") == "assistant" and not own.has(told):
                yield told
    except FormatError:  # it will be told when it is read itself
        return
