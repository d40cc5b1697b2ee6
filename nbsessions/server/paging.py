"""Cursors: where a page ended, in a text that is taken back as it was given."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.records import SessionRecord
from nbsessions.values import micros

_MOST = 2**53


class Cursor(NamedTuple):
    """Where a page of sessions ended.

    Attributes
    ----------
    at : int or None
        When the last one was updated, in microseconds; None: there was no page before.
    passed : int
        How many of those that were updated in that very moment have been told.

    Examples
    --------
    >>> Cursor.read(Cursor(7, 1).text())
    Cursor(at=7, passed=1)
    """

    at: int | None = None
    passed: int = 0

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Return a cursor that was given as a text.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> Cursor.read("nonsense")
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: cursor: no page of this list ended with it.
        """
        if text is None:
            return cls()
        try:
            values = json.loads(urlsafe_b64decode(text.encode("ascii")))
            at, passed = (value for value in values if type(value) is int and 0 <= value < _MOST)
        except (ValueError, TypeError):
            raise InvalidInput("cursor: no page of this list ended with it.") from None
        return cls(at, passed)

    def text(self) -> str:
        """Return the cursor as a text for a URL.

        Examples
        --------
        >>> Cursor(7, 1).text()
        'WzcsMV0='
        """
        return urlsafe_b64encode(json.dumps([self.at, self.passed], separators=(",", ":")).encode()).decode()

    def after(self, page: Sequence[SessionRecord]) -> Cursor:
        """Return where a page ends that began here.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> Cursor().after([nbs.open_store("memory:").create("plan").record]).passed
        1
        """
        at = micros(page[-1].updated_at)
        same = sum(micros(record.updated_at) == at for record in page)
        return Cursor(at, same + (self.passed if at == self.at else 0))
