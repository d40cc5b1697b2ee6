"""Turns, the commits that sessions are made of."""

from __future__ import annotations

from typing import NamedTuple


class Turn(NamedTuple):
    """An immutable commit of native messages, linked to its parent turn.

    A tuple rather than a pydantic model, because ten thousand of them are read at once: what they
    hold is validated when it is looked at, by the codec.

    Attributes
    ----------
    turn_id : str
        UUIDv7.
    parent_id : str or None
    parent_hash : bytes or None
    codec : str
        Name of the codec that reads `body`.
    body : str
        The native messages, a JSON array.
    message_count : int
        Messages in this turn, as the codec counts them.
    total_messages, total_turns, depth : int
        Messages, prompts and turns from the root up to and with this one.
    has_system : bool
        Whether a message is among its messages that an agent is always sent: of the system, or a summary.
    cell_id : str or None
        The notebook cell that asked.
    created_at : int
        Microseconds since 1970, UTC.
    content_hash : bytes or None
        Of a redacted turn, 64 bytes: SHA-256 of the codec and body that it had, which `hash` is made of,
        and of those that it has. Else None.
    hash : bytes
        SHA-256 of the parent's hash and the content hash.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> turn = session.turns[0]
    >>> turn.codec, turn.message_count, turn.parent_id
    ('chat', 1, None)
    """

    turn_id: str
    parent_id: str | None
    parent_hash: bytes | None
    codec: str
    body: str
    message_count: int
    total_messages: int
    total_turns: int
    depth: int
    has_system: bool
    cell_id: str | None
    created_at: int
    content_hash: bytes | None
    hash: bytes


class Step(NamedTuple):
    """A turn without what it says: its place among the others.

    Examples
    --------
    >>> Step("01b", "01a", 2, 4, 2, 2).total_messages
    4
    """

    turn_id: str
    parent_id: str | None
    message_count: int
    total_messages: int
    total_turns: int
    depth: int
