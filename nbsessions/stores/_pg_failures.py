"""What PostgreSQL says when it fails, as one clear line."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from nbsessions.exceptions import NbsessionsError, SessionExists, StoreUnavailable
from nbsessions.stores._failures import reason
from nbsessions.stores._pg_url import Target

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST: Final = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
_REFUSED_USER: Final = re.compile(
    "authentication failed|no password supplied|pg_hba.conf|is not permitted to log in|role .* does not exist"
)
_CLASH: Final = ("40001", "40P01", "23505")


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, or none could be made.

    Examples
    --------
    >>> is_lost(psycopg.OperationalError("server closed the connection unexpectedly"))
    True
    >>> is_lost(psycopg.errors.DiskFull("no space left on device"))
    False
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_LOST)


def is_clash(error: psycopg.Error) -> bool:
    """Tell whether another writer was in the way: what is tried again sees what that one wrote.

    Examples
    --------
    >>> is_clash(psycopg.errors.DeadlockDetected("deadlock detected"))
    True
    """
    return error.sqlstate in _CLASH


def is_refusal(error: psycopg.Error) -> bool:
    """Tell whether a server answered that nobody gets in this way, so that to wait is no use.

    Examples
    --------
    >>> is_refusal(psycopg.OperationalError('FATAL:  database "agents" does not exist'))
    True
    >>> is_refusal(psycopg.OperationalError("Connection refused"))
    False
    """
    # libpq gives no code for a connection that was not made, only the server's text.
    return error.sqlstate is None and (_refused_user(error) or "does not exist" in str(error))


def is_on_its_way(error: psycopg.Error) -> bool:
    """Tell whether the server is starting or stopping just now.

    Examples
    --------
    >>> is_on_its_way(psycopg.OperationalError("FATAL:  the database system is starting up"))
    True
    """
    return "the database system is" in str(error)


def _refused_user(error: psycopg.Error) -> bool:
    connection = error.pgconn
    asked = connection is not None and connection.needs_password
    return asked or _REFUSED_USER.search(str(error)) is not None


def explained(target: Target, error: psycopg.Error, *, in_doubt: bool = False) -> NbsessionsError:
    """Return `error` as one of ours, which names the store and says what to do.

    Parameters
    ----------
    in_doubt : bool
        The connection was lost while the server committed, and nobody could ask it since.
    """
    shown = target.shown
    said = target.without_secrets(error.diag.message_primary or " ".join(str(error).split()))
    # What libpq advises, we say ourselves.
    said = said.removeprefix("connection failed: ").partition(" Is the server running")[0].rstrip(".")
    if in_doubt:
        return StoreUnavailable(
            f"The store {shown} was lost while it saved ({said}): the last change may be stored or not. Look "
            "before you try it again."
        )
    if is_lost(error):
        return StoreUnavailable(_unreachable(shown, said, error))
    if error.sqlstate == "23505" and error.diag.table_name == "sessions":
        return SessionExists("of this name")
    return StoreUnavailable(_failure(shown, said, error.sqlstate or ""))


def _unreachable(shown: str, said: str, error: psycopg.Error) -> str:
    if error.sqlstate is None and _refused_user(error):
        return f"The store {shown} did not let you in: {said}. Check user and password, or $PGPASSWORD."
    if is_refusal(error):
        return f"Cannot open the store {shown}: {said}. Make it with `createdb`, or name another in the URL."
    if "too many" in said or "remaining connection slots" in said:
        return f"The store {shown} has no room for another connection: {said}. Close some and try again."
    return f"Cannot reach the store {shown}: {said}. Is its server running, and are host and port right?"


def _failure(shown: str, said: str, code: str) -> str:
    if code == "25006":
        return reason(shown, "readonly")
    if code == "53100":
        return reason(shown, "full")
    if code == "55P03":
        return reason(shown, "locked")
    if code == "42501":
        return f"The store {shown} refused: {said}. Ask who runs the server for this right."
    if code in ("42P01", "3F000"):
        return f"The tables of the store {shown} are gone: nothing was saved. Open it again to make new ones."
    if code.startswith("54"):
        return f"The store {shown} cannot hold something this long: {said}. Nothing was saved."
    if code.startswith("23"):
        return f"The store {shown} refused a write: {said}."
    return f"The store {shown} failed: {said}."
