"""What came of an import: file by file, and as a sequence of the sessions that came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nbsessions.records import SessionRecord, SessionReport
from nbsessions.text import counted, one_line

_SHOWN: Final = 20
_NAMED: Final = 3


@dataclass
class FileReport:
    """What came of one file.

    Attributes
    ----------
    path : Path
    format : str or None
        None: of none that is known.
    sessions : list of SessionRecord
        That came, or went on.
    grown : int
        How many of them were there, and went on.
    forked : int
        How many of them went another way than those that were there, and are kept on forks.
    present : int
        How many were there already, with all that they have.
    refused : list of str
        What was not taken, and why, one line each.
    notes : list of str
        What else there is to know, one line each.

    Examples
    --------
    >>> print(FileReport(Path("chat.json"), "json", present=2))
    chat.json (json): 2 sessions were there already
    """

    path: Path
    format: str | None = None
    sessions: list[SessionRecord] = field(default_factory=list)
    grown: int = 0
    forked: int = 0
    present: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def new(self) -> int:
        """How many were not there before."""
        return len(self.sessions) - self.grown - self.forked

    def __str__(self) -> str:
        came = []
        if self.new:
            came.append(f"{counted(self.new, 'session')} came")
        if self.grown:
            came.append(f"{counted(self.grown, 'session')} went on")
        if self.forked:
            came.append(f"{counted(self.forked, 'session')} kept on a fork")
        if came and len(self.sessions) <= _NAMED:
            came[-1] += f": {', '.join(_label(record) for record in self.sessions)}"
        if self.present:
            were = "was" if self.present == 1 else "were"
            came.append(f"{counted(self.present, 'session')} {were} there already")
        known = f" ({self.format})" if self.format else ""
        lines = [f"{self.path}{known}: {', '.join(came) or 'nothing came'}"]
        lines += [f"  refused: {reason}" for reason in self.refused]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


class ImportReport(SessionReport):
    """What came of an import: a sequence of the sessions that came or went on.

    Attributes
    ----------
    files : list of FileReport
    skipped : list of Path
        Files of a folder that are of no known format.

    Examples
    --------
    >>> print(ImportReport([FileReport(Path("chat.json"), "json", present=1)]))
    No session came; 1 was there already.
    chat.json (json): 1 session was there already
    """

    def __init__(self, files: Sequence[FileReport], skipped: Sequence[Path] = ()) -> None:
        super().__init__([record for file in files for record in file.sessions])
        self.files, self.skipped = list(files), list(skipped)

    @property
    def present(self) -> int:
        """How many sessions were there already."""
        return sum(file.present for file in self.files)

    @property
    def ok(self) -> bool:
        """Whether anything could be taken, or was there already."""
        return len(self) > 0 or self.present > 0

    @property
    def refused(self) -> list[str]:
        """What was not taken, and why."""
        return [reason for file in self.files for reason in file.refused]

    def __str__(self) -> str:
        new, grown, forked = (
            sum(getattr(file, what) for file in self.files) for what in ("new", "grown", "forked")
        )
        parts = [f"{counted(new, 'session')} came" if new else "No session came"]
        parts += [f"{grown:,} went on"] if grown else []
        parts += [f"{forked:,} kept on a fork"] if forked else []
        if self.present:
            parts.append(f"{self.present:,} {'was' if self.present == 1 else 'were'} there already")
        if self.refused:
            parts.append(f"{len(self.refused):,} refused")
        if self.skipped:
            parts.append(f"{counted(len(self.skipped), 'file')} of no known format passed by")
        # What needs a look comes first, where there is more than is shown.
        files = sorted(self.files, key=lambda file: not (file.refused or file.notes))
        lines = ["; ".join(parts) + ".", *(str(file) for file in files[:_SHOWN])]
        if len(files) > _SHOWN:
            lines.append(f"... and {counted(len(files) - _SHOWN, 'file')} more: see `files` of the report")
        if self.skipped:
            names = ", ".join(one_line(path.name, 80) for path in self.skipped[:_NAMED])
            more = ", ... (`skipped` of the report has all)" if len(self.skipped) > _NAMED else ""
            lines.append(f"passed by: {names}{more}")
        return "\n".join(lines)


def _label(record: SessionRecord) -> str:
    """Return what `load` finds a session by, and where, if it is in a conversation of agents."""
    where = f" in conversation {record.conversation_id}" if record.conversation_id else ""
    return f"{one_line(record.label, 80)!r}{where}"
