"""Turns in a row: how one is made on top of another, and what a row of them says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from nbsessions.codecs import Item, codec, cut, is_prompt, is_standing
from nbsessions.context.trimming import pick
from nbsessions.exceptions import DamagedTurn, InvalidInput
from nbsessions.hashes import chain_hash, content_hash, is_intact
from nbsessions.records import Head, Message, Turn
from nbsessions.values import encode_json, micros, new_id, now


def make_turn(
    parent: Turn | None,
    codec_name: str,
    body: str,
    view: Sequence[Message],
    *,
    prompts: int,
    cell_id: str | None = None,
) -> Turn:
    """Return a new turn on top of `parent`.

    Examples
    --------
    >>> turn = make_turn(None, "chat", '[{"role":"user"}]', [Message(role="user")], prompts=1)
    >>> turn.total_turns, turn.depth
    (1, 1)
    """
    parent_hash = None if parent is None else parent.hash
    return Turn(
        turn_id=new_id(),
        parent_id=None if parent is None else parent.turn_id,
        parent_hash=parent_hash,
        codec=codec_name,
        body=body,
        message_count=len(view),
        total_messages=len(view) + (0 if parent is None else parent.total_messages),
        total_turns=prompts + (0 if parent is None else parent.total_turns),
        depth=1 if parent is None else parent.depth + 1,
        has_system=any(map(is_standing, view)),
        cell_id=cell_id,
        created_at=micros(now()),
        content_hash=None,
        hash=chain_hash(parent_hash, content_hash(codec_name, body)),
    )


def cut_turn(parent: Turn | None, whole: Turn, keep: int) -> Turn:
    """Return a turn of the first `keep` messages of another, to build on.

    Examples
    --------
    >>> body = '[{"role":"user"},{"role":"assistant"}]'
    >>> whole = make_turn(None, "chat", body, read("chat", body), prompts=1)
    >>> cut_turn(None, whole, 1).message_count
    1
    """
    items = cut(whole.codec, whole.body, keep)
    body = encode_json([native for item in items for native in item.natives], "turn")
    view = [message for item in items for message in item.messages]
    prompts = sum(map(is_prompt, view))
    return make_turn(parent, whole.codec, body, view, prompts=prompts, cell_id=whole.cell_id)


def regrow(items: Iterable[Item]) -> list[Turn]:
    """Return new turns from the root that say what these items say, natively; one for each codec in a row.

    Examples
    --------
    >>> body = '[{"role":"user"},{"role":"assistant"}]'
    >>> [turn.message_count for turn in regrow(codec("chat").items(body))]
    [2]
    """
    made: list[Turn] = []
    for name, group in groupby(items, key=lambda item: item.codec):
        alike = list(group)
        body = encode_json([native for item in alike for native in item.natives], "messages")
        view = [message for item in alike for message in item.messages]
        parent = made[-1] if made else None
        made.append(make_turn(parent, name, body, view, prompts=sum(map(is_prompt, view))))
    return made


def end(turns: Sequence[Turn]) -> tuple[Head, int, int]:
    """Return where a row of turns ends, with the messages and the prompts up to there.

    Examples
    --------
    >>> end([])
    (Head(turn_id=None, keep=None), 0, 0)
    """
    if not turns:
        return Head(), 0, 0
    return Head(turns[-1].turn_id), turns[-1].total_messages, turns[-1].total_turns


def without(items: Iterable[Item], left_out: Callable[[Message], bool]) -> list[Item]:
    """Return items without some of the messages in them.

    Examples
    --------
    >>> items = codec("chat").items('[{"role":"system"},{"role":"user"}]')
    >>> [item.messages[0].role for item in without(items, lambda message: message.role == "system")]
    ['user']
    """
    items = list(items)
    view = [message for item in items for message in item.messages]
    return pick(items, {place for place, message in enumerate(view) if not left_out(message)})


def check(turns: Sequence[Turn], head: Head, messages: int | None = None) -> None:
    """Hold turns, oldest first, against their hashes, and each against the one before.

    Parameters
    ----------
    turns : sequence of Turn
    head : Head
        Which the last of them must be.
    messages : int or None
        So many of the last messages they must hold, if there are as many; None: they begin at the root.

    Raises
    ------
    DamagedTurn

    Examples
    --------
    >>> body = '[{"role":"user"}]'
    >>> turn = make_turn(None, "chat", body, read("chat", body), prompts=1)
    >>> check([turn], Head(turn.turn_id))
    >>> check([turn._replace(body="[]")], Head(turn.turn_id))
    Traceback (most recent call last):
    nbsessions.exceptions.DamagedTurn: Turn ... is damaged: ...
    """
    if not turns or turns[-1].turn_id != head.turn_id:
        raise DamagedTurn(head.turn_id or "")
    first, last = turns[0], turns[-1]
    total, depth = first.total_messages - first.message_count, first.depth - 1
    if first.parent_id is None and (total or depth):
        raise DamagedTurn(first.turn_id)
    if first.parent_id is not None and (messages is None or last.total_messages - total < messages):
        # What is above it is gone, or it says that it stands on what it does not.
        raise DamagedTurn(first.parent_id if is_intact(first) else first.turn_id)
    for turn in turns:
        total, depth = total + turn.message_count, depth + 1
        if turn.total_messages != total or turn.depth != depth or not is_intact(turn):
            raise DamagedTurn(turn.turn_id)


def redact(turn: Turn, position: int) -> Turn:
    """Return a turn without what its message at `position` says; its hash stays true.

    Examples
    --------
    >>> body = '[{"role":"user","content":"My password is hunter2"}]'
    >>> redact(make_turn(None, "chat", body, read("chat", body), prompts=1), 0).body
    '[{"role":"user","content":"[redacted]"}]'
    """
    own = codec(turn.codec)
    native: list[Any] = []
    for item in own.items(turn.body):
        here = 0 <= position < len(item.messages)
        native += own.redact(item, position) if here else item.natives
        position -= len(item.messages)
    body = encode_json(native, "turn")
    said = content_hash(turn.codec, turn.body) if turn.content_hash is None else turn.content_hash[:32]
    return turn._replace(body=body, content_hash=said + content_hash(turn.codec, body))


def read(codec_name: str, body: str) -> list[Message]:
    """Return the chat view of a body that is about to be stored.

    Raises
    ------
    InvalidInput
        Nobody could read it back.

    Examples
    --------
    >>> read("chat", '[{"role":"user","content":"Hi"}]')[0].text
    'Hi'
    """
    try:
        return codec(codec_name).view(body)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"These are no messages that {codec_name!r} can read back: {reason}") from None


def view(turns: Sequence[Turn], head: Head) -> list[Message]:
    """Return the messages of the turns up to `head`.

    Examples
    --------
    >>> view([], Head())
    []
    """
    messages: list[Message] = []
    for turn in turns:
        messages += codec(turn.codec).view(turn.body)
    if head.keep is not None and turns:
        del messages[len(messages) - turns[-1].message_count + head.keep :]
    return messages


def items(turns: Sequence[Turn], head: Head) -> list[Item]:
    """Return the native items of the turns up to `head`.

    Examples
    --------
    >>> items([], Head())
    []
    """
    found = [item for turn in turns[:-1] for item in codec(turn.codec).items(turn.body)]
    for turn in turns[-1:]:
        whole = head.keep is None
        found += codec(turn.codec).items(turn.body) if whole else cut(turn.codec, turn.body, head.keep or 0)
    return found


def standing(turn: Turn) -> tuple[list[Item], list[int]]:
    """Return the items of a turn's messages that are always sent, and their numbers in the session.

    Examples
    --------
    >>> body = '[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]'
    >>> turn = make_turn(None, "chat", body, read("chat", body), prompts=1)
    >>> [item.messages[0].text for item in standing(turn)[0]], standing(turn)[1]
    (['Be brief.'], [1])
    """
    items = codec(turn.codec).items(turn.body)
    view = [message for item in items for message in item.messages]
    places = [place for place, message in enumerate(view) if is_standing(message)]
    before = turn.total_messages - turn.message_count + 1
    return pick(items, set(places)), [before + place for place in places]
