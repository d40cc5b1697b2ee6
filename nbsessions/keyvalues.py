"""Key-values of a session: what an agent notes down beside the conversation, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from nbsessions.exceptions import InvalidInput
from nbsessions.names import check_id
from nbsessions.stores.base import Value
from nbsessions.values import check_count, check_stored, micros, now

if TYPE_CHECKING:
    from nbsessions.places import Placed

MAX_ENTRIES: Final = 1_000
TTL: Final = timedelta(hours=1)
_FOR_GOOD: Final = 2**62
"""Further off than any date, and no more than the integers of a store."""


class KeyValues(MutableMapping[str, Any]):
    """A mapping from text to JSON values, durable when it is assigned to.

    It belongs to the session and not to a place on it: rewind and undo leave it as it is, and a fork
    begins without any. Two kernels that write to it do not conflict: the last one wins.

    Parameters
    ----------
    session : Session
    max_entries : int
        A new key beyond so many removes the one that was written longest ago.
    ttl : timedelta or None
        How long an entry is kept after it was written. None: for good.
    clock : callable
        Returns the present, timezone-aware.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> notes = nbs.open_store("memory:").create("plan").kv(max_entries=2)
    >>> notes["a"], notes["b"] = 1, {"x": [1, 2]}
    >>> notes["c"] = 3
    >>> dict(notes), notes.get("a")
    ({'b': {'x': [1, 2]}, 'c': 3}, None)
    """

    def __init__(
        self,
        session: Placed,
        *,
        max_entries: int = MAX_ENTRIES,
        ttl: timedelta | None = TTL,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._session = session
        self._most = check_count(max_entries, "max_entries", least=1)
        self._ttl, self._clock = _checked(ttl), clock

    def set(self, key: str, value: object, *, ttl: timedelta | None = None) -> None:
        """Store a value, for `ttl` where that is given, instead of the usual time.

        Raises
        ------
        InvalidInput
            The key or the value cannot be stored; nothing was changed.
        NotOwner, SessionNotFound

        Examples
        --------
        >>> import nbsessions as nbs
        >>> notes = nbs.open_store("memory:").create("plan").kv()
        >>> notes.set("token", "abc", ttl=timedelta(minutes=5))
        >>> list(notes)
        ['token']
        """
        self._session.check_owner()
        at, lives = self._clock(), self._ttl if ttl is None else _checked(ttl)
        expires = None if lives is None else min(micros(at) + lives // timedelta(microseconds=1), _FOR_GOOD)
        entry = Value(check_id(key, "key"), check_stored(value, "value"), micros(at), expires)
        self._session.backend.put_value(self._session.key, entry, self._most)

    def _entries(self) -> dict[str, str]:
        found = self._session.backend.values(self._session.key, micros(self._clock()))
        return {entry.name: entry.value for entry in found}

    def __getitem__(self, key: str) -> Any:
        return from_json(self._entries()[key])

    def __setitem__(self, key: str, value: object) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self._session.check_owner()
        if key not in self._entries():
            raise KeyError(key)
        self._session.backend.drop_values(self._session.key, [key])

    def clear(self) -> None:
        """Remove all entries.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> notes = nbs.open_store("memory:").create("plan").kv()
        >>> notes["a"] = 1
        >>> notes.clear()
        >>> len(notes)
        0
        """
        self._session.check_owner()
        self._session.backend.drop_values(self._session.key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def __repr__(self) -> str:
        return f"<KeyValues of {self._session.record.label!r}: {len(self)}>"


def _checked(ttl: timedelta | None) -> timedelta | None:
    if ttl is not None and (not isinstance(ttl, timedelta) or ttl <= timedelta(0)):
        raise InvalidInput(f"ttl must be a timedelta above zero, or None, not {ttl!r}.")
    return ttl
