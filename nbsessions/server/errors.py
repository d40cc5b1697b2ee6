"""What errors are over HTTP: a status, and one line that says what was wrong."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from nbsessions import exceptions as ours
from nbsessions.server.spelling import spell
from nbsessions.text import one_line


class TooLarge(ours.InvalidInput):
    """More bytes came than a request may have; nothing of them was looked at.

    Examples
    --------
    >>> print(TooLarge(1024))
    The body of the request has more than 1,024 bytes.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"The body of the request has more than {most:,} bytes.")


class Changed(ours.SessionError):
    """The session is not as the one who asks believes: `If-Match` names another state of it.

    Examples
    --------
    >>> print(Changed("plan"))
    Session 'plan' has changed since: nothing was done. GET it again, and send its ETag.
    """

    def __init__(self, label: str) -> None:
        super().__init__(
            f"Session {label!r} has changed since: nothing was done. GET it again, and send its ETag."
        )


# The first that fits; what is not named was asked for in a wrong way.
_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (TooLarge, 413),
    (Changed, 412),
    (ours.SessionNotFound, 404),
    (ours.RunNotFound, 404),
    (ours.AmbiguousSession, 409),
    (ours.SessionExists, 409),
    (ours.SessionConflict, 409),
    (ours.SessionBusy, 409),
    (ours.DamagedTurn, 409),
    (ours.DamagedSession, 409),
    (ours.DamagedRun, 409),
    (ours.StoreError, 503),
    (ours.MissingExtra, 503),
    (ours.NbsessionsError, 400),
    (ValidationError, 400),
    (RecursionError, 400),
    (OSError, 503),
)


def status_of(error: BaseException) -> int:
    """Return the status of an error; 500: it is none that we know.

    Examples
    --------
    >>> status_of(ours.SessionNotFound("plan")), status_of(KeyError())
    (404, 500)
    """
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def told(error: BaseException) -> str:
    """Return the line that says what was wrong.

    Where the store itself is, and what it is like, is for the log of the server alone.

    Examples
    --------
    >>> told(ours.StoreUnavailable("Cannot open the store /home/ada/agents.db"))
    'The store cannot be used just now. The log of the server says why.'
    >>> told(ours.MissingExtra("The store postgresql:", "postgres"))
    'The server lacks an extra: pip install "nbsessions[postgres]" there.'
    """
    status = status_of(error)
    if isinstance(error, ValidationError):
        return wrong(error)
    if isinstance(error, RecursionError):
        return "The body of the request is nested too deeply."
    if isinstance(error, ours.MissingExtra):
        return f'The server lacks an extra: pip install "nbsessions[{error.extra}]" there.'
    if status == 503:
        return "The store cannot be used just now. The log of the server says why."
    return (
        one_line(spell(str(error)), 500)
        if status < 500
        else "Something went wrong. The log of the server says what."
    )


def wrong(error: ValidationError) -> str:
    """Return one line that names the field that is wrong.

    Examples
    --------
    >>> from nbsessions.server.routes import Nothing
    >>> try:
    ...     Nothing.model_validate({"nam": 1})
    ... except ValidationError as error:
    ...     print(wrong(error))
    nam: Extra inputs are not permitted.
    """
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{one_line(where, 100)}: {one_line(first['msg'], 200).rstrip('.')}."
