"""The hashes that hold a conversation together: of what a turn says, and over all that it stands on."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbsessions.records import Turn


def content_hash(codec: str, body: str) -> bytes:
    """Return the SHA-256 of a turn's content.

    Examples
    --------
    >>> len(content_hash("chat", "[]"))
    32
    """
    # Bytes that are no text come as surrogates: they are damage, to be found here.
    return sha256(f"{codec}\n{body}".encode("utf-8", "surrogateescape")).digest()


def chain_hash(parent_hash: bytes | None, content: bytes) -> bytes:
    """Return the SHA-256 that links a turn's content to its parent's hash.

    Examples
    --------
    >>> content = content_hash("chat", "[]")
    >>> chain_hash(None, content) == chain_hash(chain_hash(None, content), content)
    False
    """
    return sha256((parent_hash or b"") + content).digest()


def is_intact(turn: Turn) -> bool:
    """Tell whether a turn's hash matches its content and its parent.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> session.add_message({"role": "user", "content": "Hello"})
    >>> turn = session.backend.turn(session.head.turn_id)
    >>> is_intact(turn), is_intact(turn._replace(body="[]"))
    (True, False)
    """
    present = content_hash(turn.codec, turn.body)
    if turn.content_hash is None:
        return chain_hash(turn.parent_hash, present) == turn.hash
    # What was said is gone, and what stands there since has a hash of its own.
    said, redacted = turn.content_hash[:32], turn.content_hash[32:]
    return redacted == present and chain_hash(turn.parent_hash, said) == turn.hash
