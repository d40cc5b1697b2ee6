"""
What somebody else did to the list of messages of a session, told from the list that there is now.

webagents resumes the system messages and the last hundred others alone, and saves just these with what came
since. So a list that lacks the beginning is not one from which something was taken out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from nbsessions.codecs import REDACTED, is_prompt, is_standing
from nbsessions.hashes import chain_hash, content_hash
from nbsessions.records import Turn, parse_messages
from nbsessions.stores.base import Key
from nbsessions.stores.file.reading import in_utc, moment
from nbsessions.values import encode_json

Messages = Sequence[Mapping[str, Any]]

_OURS: Final = UUID("6e627365-7373-8000-8000-696f6e73f11e")


class Edit(NamedTuple):
    """What is to be done to let an edit in.

    Attributes
    ----------
    keep : int
        How many messages stay.
    new : sequence of dict
        What follows them.
    apart : bool
        They are of the list that the edit was made from, which the session has left: it goes on a fork.
    """

    keep: int
    new: Messages
    apart: bool = False


def told(now: Messages, base: Messages | None, theirs: Messages) -> Edit | None:
    """Return what an edit did; None where it did nothing to the messages.

    Parameters
    ----------
    now : sequence of dict
        What the session says now.
    base : sequence of dict or None
        What it said when the file was made that was edited; None: nobody knows.
    theirs : sequence of dict
        What the file says.

    Examples
    --------
    >>> a, b, c = ({"role": "user", "content": text} for text in "abc")
    >>> told([a], [a], [a, b])
    Edit(keep=1, new=[{'role': 'user', 'content': 'b'}], apart=False)
    >>> told([a, c], [a], [a, b]).apart
    True
    """
    moved = base is not None and not _same_list(base, now)
    new = added(now, theirs, seen=len(now) - _common(now, base) if moved and base is not None else 0)
    if new is not None:
        return Edit(len(now), new) if new else None
    if base is None or not moved:
        return Edit((keep := _common(now, theirs)), theirs[keep:])
    new = added(base, theirs)
    if new is not None:
        return Edit(len(base), new, apart=True) if new else None
    return Edit((keep := _common(base, theirs)), theirs[keep:], apart=True)


def added(ours: Messages, theirs: Messages, *, seen: int = 0) -> Messages | None:
    """Return what a list has beyond another one; None where it does not go on from that.

    It may lack the beginning of the other one, but for the system messages. With
    `seen`, at least so many of the last messages must be there.

    Examples
    --------
    >>> texts = lambda said: [{"role": "user", "content": text} for text in said]
    >>> [message["content"] for message in added(texts("abcd"), texts("cde"))]
    ['e']
    >>> added(texts("abcd"), texts("ab")) is None
    True
    """
    if _same_list(ours, theirs[: len(ours)]) and len(theirs) >= len(ours):
        return theirs[len(ours) :]
    system = [message for message in ours if message.get("role") == "system"]
    others = [message for message in ours if message.get("role") != "system"]
    if not _same_list(system, theirs[: len(system)]):
        return None
    rest = theirs[len(system) :]
    unseen = sum(message.get("role") != "system" for message in ours[len(ours) - seen :]) if seen else 0
    for count in range(min(len(others), len(rest)), max(unseen, 1) - 1, -1):
        if _same_list(others[len(others) - count :], rest[:count]) and _is_sure(rest[:count], len(others)):
            return rest[count:]
    return None


def _is_sure(found: Messages, most: int) -> bool:
    """Tell whether it can be no accident that so many messages are the same."""
    return len(found) >= min(2, most) or moment(found[0].get("timestamp")) is not None


def _common(ours: Messages, theirs: Messages | None) -> int:
    """Return how many messages two lists begin with alike."""
    count = 0
    for mine, other in zip(ours, theirs or [], strict=False):
        if not _same(mine, other):
            break
        count += 1
    return count


def is_exactly(ours: Messages, theirs: Messages) -> bool:
    """Tell whether two lists say the same, redacted messages included.

    Examples
    --------
    >>> said, redacted = ({"role": "user", "content": text} for text in ("hunter2", "[redacted]"))
    >>> is_exactly([said], [said]), is_exactly([redacted], [said])
    (True, False)
    """
    return len(ours) == len(theirs) and all(
        in_utc(dict(mine)) == in_utc(dict(other)) for mine, other in zip(ours, theirs, strict=True)
    )


def _same_list(ours: Messages, theirs: Messages) -> bool:
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))


def _same(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if mine == other:
        return True
    if mine.get("role") != other.get("role"):
        return False
    # What was redacted does not come back because another program still has it.
    if REDACTED in (mine.get("content"), other.get("content")):
        return True
    return in_utc(dict(mine)) == in_utc(dict(other))


def derived(*parts: object) -> str:
    """Return an id that is the same whenever, and by whomever, an edit is let in.

    Examples
    --------
    >>> derived("a", 1) == derived("a", 1)
    True
    """
    return str(uuid5(_OURS, encode_json([str(part) for part in parts], "id")))


def turns(key: Key, parent: Turn | None, messages: Messages, at: int) -> list[Turn]:
    """Return messages as turns on top of another, one for each prompt.

    Examples
    --------
    >>> said = [{"role": role, "content": "Hi"} for role in ("system", "user", "assistant", "user")]
    >>> [turn.message_count for turn in turns(Key("", "a"), None, said, 0)]
    [3, 1]
    """
    made: list[Turn] = []
    for group in _by_prompt(messages):
        parent = _turn(key, parent, group, at)
        made.append(parent)
    return made


def _by_prompt(messages: Messages) -> list[list[Mapping[str, Any]]]:
    groups: list[list[Mapping[str, Any]]] = []
    for message in messages:
        begun = groups[-1] if groups else []
        if not groups or (message.get("role") == "user" and any(m.get("role") != "system" for m in begun)):
            groups.append([])
        groups[-1].append(message)
    return groups


def _turn(key: Key, parent: Turn | None, group: list[Mapping[str, Any]], at: int) -> Turn:
    body = encode_json(group, "turn")
    view = parse_messages(group)
    above = None if parent is None else parent.hash
    said_at = [found for message in group if (found := moment(message.get("timestamp"))) is not None]
    return Turn(
        turn_id=derived(*key, None if parent is None else parent.turn_id, body),
        parent_id=None if parent is None else parent.turn_id,
        parent_hash=above,
        codec="chat",
        body=body,
        message_count=len(view),
        total_messages=len(view) + (0 if parent is None else parent.total_messages),
        total_turns=sum(map(is_prompt, view)) + (0 if parent is None else parent.total_turns),
        depth=1 if parent is None else parent.depth + 1,
        has_system=any(map(is_standing, view)),
        cell_id=None,
        created_at=said_at[-1] if said_at else at,
        content_hash=None,
        hash=chain_hash(above, content_hash("chat", body)),
    )
