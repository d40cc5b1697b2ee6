"""What was done with several sessions, told in a few lines; and what was left alone, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.records import SessionRecord, SessionReport
from nbsessions.text import counted, one_line

NOTHING_DONE: Final = "Nothing was done, so there is nothing to undo."
GONE: Final = "gone"
CHANGED: Final = "changed since it was listed: list it again"
MEANWHILE: Final = "changed meanwhile"
NAMED: Final = 5
"""So many sessions are named; of the others it is said how many they are."""


class Left(NamedTuple):
    """A session that was left alone, and why."""

    session: SessionRecord
    reason: str


class Report(SessionReport):
    """What was done with several sessions: a sequence of those that it was done to.

    Parameters
    ----------
    done : str
        One line.
    sessions : sequence of SessionRecord
        As they were, where they are deleted; else as they are now.
    left : sequence of Left
        Those that were left alone.
    undo : callable or str
        What takes it back, or one line that says why nothing does.

    Attributes
    ----------
    left : list of Left

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> report = Report("Looked at one.", [store.create("plan").record], undo=NOTHING_DONE)
    >>> len(report), report[0].name, report.left
    (1, 'plan', [])
    """

    def __init__(
        self,
        done: str,
        sessions: Sequence[SessionRecord],
        left: Sequence[Left] = (),
        *,
        undo: Callable[[], Report] | str,
    ) -> None:
        super().__init__(sessions)
        self._done, self.left = done, list(left)
        self._undo = undo

    @property
    def can_undo(self) -> bool:
        """Whether `undo` can take back what was done."""
        return not isinstance(self._undo, str)

    def undo(self) -> Report:
        """Take back what was done, where nobody changed it since; once.

        Returns
        -------
        Report
            Whose `undo` does it again.

        Raises
        ------
        InvalidInput
            It cannot be taken back, or was already.
        SessionExists
            A name is taken since; nothing was done.

        Examples
        --------
        >>> Report("Deleted no session.", [], undo="There is no undo.").undo()
        Traceback (most recent call last):
        nbsessions.exceptions.InvalidInput: There is no undo.
        """
        if isinstance(self._undo, str):
            raise InvalidInput(self._undo)
        report = self._undo()
        self._undo = "It was undone already."
        return report

    def __str__(self) -> str:
        lines = [self._done]
        for reason in dict.fromkeys(left.reason for left in self.left):
            alike = [left.session for left in self.left if left.reason == reason]
            lines.append(f"Left alone, {counted(len(alike), 'session')} ({reason}): {named(alike)}.")
        return "\n".join(lines)


def named(sessions: Sequence[SessionRecord]) -> str:
    """Return the names of the first few sessions.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> named([store.create(f"plan {n}").record for n in range(7)])
    "'plan 0', 'plan 1', 'plan 2', 'plan 3', 'plan 4' and 2 more"
    """
    return listed([quoted(record.label) for record in sessions[:NAMED]], len(sessions))


def listed(texts: Sequence[str], count: int) -> str:
    """Return the first few of so many texts, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b"], 3)
    'a, b and 1 more'
    """
    shown = texts[:NAMED]
    more = f" and {count - len(shown):,} more" if count > len(shown) else ""
    return ", ".join(shown) + more


def quoted(name: str) -> str:
    """Return a name in quotes, on one line.

    Examples
    --------
    >>> quoted("plan")
    "'plan'"
    """
    return repr(one_line(name, 60))
