"""Sessions that were left while an answer waits: their store refused it, and it was paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions.exceptions import SessionError, StoreError

if TYPE_CHECKING:
    from nbsessions.session import Session
    from nbsessions.stores.base import Backend, Key


class Unsaved:
    """The handles of such sessions, which are kept until their answers are saved.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> Unsaved().leave(nbs.open_store("memory:").create("plan"))
    []
    """

    def __init__(self) -> None:
        self._left: list[Session] = []

    @property
    def _sessions(self) -> list[Session]:
        # What waited may have been saved by the session itself since.
        self._left = [session for session in self._left if session.unsaved]
        return self._left

    def __bool__(self) -> bool:
        return bool(self._sessions)

    def leave(self, session: Session) -> list[str]:
        """Save what waits in a session that is left, or keep its handle; return what is to be told."""
        if not session.unsaved:
            return []
        try:
            session.save_waiting()
        except SessionError as error:  # it says on which fork the answer is
            return [str(error)]
        except StoreError as error:
            if session not in self._left:
                self._left.append(session)
            label = session.record.label
            return [f"An answer of {label!r} waits in this process, `save` tries again: {error}"]
        return [] if session.notice is None else [session.notice]

    def save(self) -> list[str]:
        """Try to save all that waits; return what is to be told.

        Examples
        --------
        >>> Unsaved().save()
        []
        """
        told = []
        for session in list(self._sessions):
            told += self.leave(session)
            if not session.unsaved:
                told.append(f"The answer of {session.record.label!r} that waited is saved.")
        return told

    def find(self, backend: Backend, key: Key) -> Session | None:
        """Return the handle of this session, where one of its answers waits."""
        found = (one for one in self._sessions if one.backend is backend and one.key == key)
        return next(found, None)

    def needs(self, backend: Backend) -> bool:
        """Tell whether an answer waits for this store, which has to stay open then."""
        return any(session.backend is backend for session in self._sessions)
