"""Records from outside, held against what every store can keep, and against what is said in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput
from nbsessions.records import Event, Head, Message, Run, Share

_Record = TypeVar("_Record", bound=BaseModel)
_MOST: Final = 2**53
_DOLLARS: Final = 10**9


def sound(record: _Record) -> _Record:
    """Return a record with its times in UTC, all of whose values every store can keep.

    Raises
    ------
    ValueError
        It has one that cannot be kept.

    Examples
    --------
    >>> from nbsessions.records import Usage
    >>> sound(Usage(input_tokens=10**30))
    Traceback (most recent call last):
    ValueError: its input_tokens cannot be 1000000000000000000000000000000
    """
    fields = {name: getattr(record, name) for name in type(record).model_fields}
    kept = {name: _sound(name, value) for name, value in fields.items()}
    return record.model_copy(update={name: kept[name] for name in kept if kept[name] is not fields[name]})


def _sound(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"its {name} has no timezone")
        return value.astimezone(UTC)
    if isinstance(value, int):
        return check_number(name, value)
    if isinstance(value, Decimal) and not 0 <= value < _DOLLARS:
        raise ValueError(f"its {name} cannot be {value}")
    if isinstance(value, Head):
        return check_head(value)
    if isinstance(value, Share):
        return value._replace(usage=sound(value.usage))
    if isinstance(value, tuple):
        return tuple(_sound(name, one) for one in value)
    return sound(value) if isinstance(value, BaseModel) else value


def check_number(name: str, value: object) -> int:
    """Return a count, or refuse it.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_number("prompts", 1)
    1
    >>> check_number("prompts", -1)
    Traceback (most recent call last):
    ValueError: its prompts cannot be -1
    """
    if not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError(f"its {name} cannot be {value!r:.40}")
    return int(value)


def check_head(head: Head) -> Head:
    """Return a head that can be one, or refuse it.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_head(Head(None, 3))
    Traceback (most recent call last):
    ValueError: it stands nowhere, and cannot keep 3 messages of that
    """
    if head.keep is not None:
        check_number("head", head.keep)
        if head.turn_id is None:
            raise ValueError(f"it stands nowhere, and cannot keep {head.keep} messages of that")
    return head


def view(codec_name: str, body: str) -> list[Message] | None:
    """Return what native messages say; None where only a newer nbsessions, or a plug-in, could tell.

    Raises
    ------
    ValueError
        They are none.

    Examples
    --------
    >>> [message.text for message in view("chat", '[{"role":"user","content":"Hi"}]')]
    ['Hi']
    >>> view("tarot", "[]") is None
    True
    """
    try:
        reads = codec(codec_name)
    except InvalidInput:
        return None
    return reads.view(body)


def whole(run: Run, events: Sequence[Event]) -> list[Event]:
    """Return those events of a run after which none is missing: the oldest of them may have been dropped.

    Raises
    ------
    ValueError
        They are out of order.

    Examples
    --------
    >>> from nbsessions.values import now
    >>> run = Run(run_id="1", session_id="2", agent_name="local", started_at=now(), event_count=4)
    >>> [event.seq for event in whole(run, [Event(seq=seq, type="CUSTOM", data={}) for seq in (0, 2, 3)])]
    [2, 3]
    """
    numbers = [event.seq for event in events]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ValueError(f"the events of run {run.run_id} are out of order")
    return [event for at, event in enumerate(events) if numbers[-1] - event.seq == len(events) - 1 - at]
