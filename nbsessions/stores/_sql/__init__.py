"""
The store on SQL: one text for every database.

Members give connections and a dialect; see `sqlite`. Inside the database turns, runs and sessions
are linked by integers, which keeps a turn of two short messages near its own size. What is changed is
read, changed here, and written back with a checksum.
"""

from __future__ import annotations

from nbsessions.stores._sql.columns import ReadsColumns, Unreadable
from nbsessions.stores._sql.connected import AT_ONCE, Connection
from nbsessions.stores._sql.deleting import Deleting
from nbsessions.stores._sql.listing import Lists
from nbsessions.stores._sql.restoring import Restoring

__all__ = ["AT_ONCE", "Connection", "SQLBackend", "Unreadable"]


class SQLBackend(Lists, ReadsColumns, Restoring, Deleting):
    """The primitives, as SQL."""
