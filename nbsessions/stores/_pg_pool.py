"""Connections to one PostgreSQL database, each lent to one thread: safe from Ctrl-C and from fork()."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from typing import Any, Final, NamedTuple
from uuid import uuid4

import psycopg
from psycopg.pq import TransactionStatus

from nbsessions.exceptions import StoreUnavailable
from nbsessions.stores._pg_text import numbered

MOST: Final = 16
"""So many threads of one store are at work at once; the others wait."""
KEPT: Final = 4
"""So many connections stay open when nobody needs them."""
WAIT_SECONDS: Final = 30.0

_MARK: Final = (
    "INSERT INTO writers(writer, last) VALUES ('{writer}', {number}) "
    "ON CONFLICT (writer) DO UPDATE SET last = {number}, at = now()"
)
# Rows of connections that are gone. Another process may be at it: what it holds is left to it.
_TIDY: Final = (
    "; DELETE FROM writers WHERE writer IN (SELECT writer FROM writers "
    "WHERE at < now() - interval '1 day' FOR UPDATE SKIP LOCKED)"
)
# It waits until a transaction that has the row ends, one way or the other.
_LAST: Final = (
    "INSERT INTO writers(writer, last) VALUES ($1, 0) "
    "ON CONFLICT (writer) DO UPDATE SET last = writers.last RETURNING last"
)


class Mark(NamedTuple):
    """What a transaction leaves in the table `writers`: if it is there, all the rest is."""

    writer: str
    number: int


class Link:
    """One connection.

    Each transaction leaves its number with the connection's name. Where the answer to a COMMIT is lost,
    the next connection finds there whether it was done. The server's own numbers cannot tell: after a
    crash it gives those of lost transactions to new ones.
    """

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db
        self.mark = Mark(uuid4().hex, 0)

    def execute(self, sql: str, params: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Run a statement of the shared text."""
        return self.db.execute(numbered(sql), params)

    def executemany(self, sql: str, params: Iterable[Sequence[Any]], /) -> None:
        """Run a statement of the shared text for each of these."""
        self.db.cursor().executemany(numbered(sql), params)

    def run(self, text: str) -> None:
        """Run statements that have no parameters, in one round trip."""
        self.db.execute(text, prepare=False)

    def begin(self) -> None:
        """Begin a transaction, and leave its mark in it."""
        first = self.mark.number == 0
        self.mark = self.mark._replace(number=self.mark.number + 1)
        mark = _MARK.format(**self.mark._asdict())
        self.run(f"BEGIN ISOLATION LEVEL READ COMMITTED; {mark}{_TIDY if first else ''}")

    def has(self, mark: Mark) -> bool:
        """Tell whether the transaction of this mark, of a connection that is lost, was committed."""
        found = self.db.execute(_LAST, (mark.writer,)).fetchone()
        return found is not None and found[0] == mark.number

    def settle(self) -> bool:
        """Roll back what was begun, and tell whether the connection is good for others."""
        status = self.db.info.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                self.run("ROLLBACK")
            except psycopg.Error:  # it is lost, and its transaction with it
                return False
        return self.db.info.transaction_status == TransactionStatus.IDLE


class Links:
    """Idle connections, and which thread has which of the others.

    An interrupt may come between any two steps, also while a connection is on its way back. What it
    leaves with a thread, an open transaction included, that thread's next call settles.

    Parameters
    ----------
    connect : callable
        Opens a connection.
    shown : str
        How the store is called in messages.
    """

    def __init__(self, connect: Callable[[], Link], shown: str) -> None:
        self._connect, self._shown = connect, shown
        self._closed = False
        self._nobody_has_any()
        _open.add(self)

    def _nobody_has_any(self) -> None:
        self._idle: list[Link] = []
        self._lent: dict[int, Link | None] = {}
        # It is taken and let go of in one step; in the midst of a condition, an interrupt could come.
        self._mutex = threading.RLock()
        self._returned = threading.Condition(self._mutex)

    def take(self) -> Link:
        """Lend this thread a connection, until it calls `settle`.

        Raises
        ------
        StoreUnavailable
            The store is closed, or others have had all connections for too long.
        """
        me = get_ident()
        if me in self._lent:
            self.settle()
        with self._mutex:
            free = self._returned.wait_for(lambda: self._closed or len(self._lent) < MOST, WAIT_SECONDS)
            if self._closed:
                raise StoreUnavailable(f"The store {self._shown} is closed. Open it again.")
            if not free:
                raise StoreUnavailable(f"The store {self._shown} is busy: nothing was saved. Try again.")
            link = self._lent[me] = self._idle.pop() if self._idle else None
        if link is not None:
            return link
        try:
            link = self._lent[me] = self._connect()
        except BaseException:
            self.settle()
            raise
        return link

    def settle(self) -> None:
        """Roll back what this thread has begun, and take its connection back."""
        link = self._lent.get(get_ident())
        good = False
        try:
            good = link is not None and link.settle()
        finally:
            self._take_back(good=good)

    def _take_back(self, *, good: bool) -> None:
        with self._mutex:
            link = self._lent.pop(get_ident(), None)
            self._returned.notify()
            if link is not None and good and not self._closed and len(self._idle) < KEPT:
                self._idle.append(link)
                return
        if link is not None:
            link.db.close()

    def drop_idle(self) -> None:
        """Close what is idle: where one connection was lost, the others often are, too."""
        with self._mutex:
            idle, self._idle = self._idle, []
        for link in idle:
            link.db.close()

    def close(self) -> None:
        """Close all connections: what another thread has just now, when it gives it back."""
        self.settle()
        with self._mutex:
            self._closed = True
            self._returned.notify_all()
        self.drop_idle()

    def after_fork_in_child(self) -> None:
        """Leave the parent its connections: to close one here would end it there, on the same socket."""
        _inherited.append((self._idle, self._lent))
        self._nobody_has_any()


_open: weakref.WeakSet[Links] = weakref.WeakSet()
_inherited: list[object] = []


def _after_fork_in_child() -> None:
    for links in list(_open):
        links.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
