"""Files, folders and patterns that are imported, and the report of what came of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbsessions import formats
from nbsessions.exceptions import (
    DamagedTurn,
    FormatError,
    InvalidInput,
    NbsessionsError,
    SessionError,
    StoreError,
)
from nbsessions.formats.base import Format, Reading, listening
from nbsessions.formats.nbsessions_store import is_folder
from nbsessions.importing import Taken, take_in
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Backend
from nbsessions.text import counted
from nbsessions.values import check_path

if TYPE_CHECKING:
    from tqdm.auto import tqdm

_PASSED_BY: Final = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints"})
_SHOWN: Final = 20
_PATIENCE: Final = 1.0
"""Seconds before a bar is shown."""


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
        return len(self.sessions) - self.grown

    def __str__(self) -> str:
        came = []
        if self.new:
            came.append(f"{counted(self.new, 'session')} came")
        if self.grown:
            came.append(f"{counted(self.grown, 'session')} went on")
        if self.forked:
            came.append(f"{self.forked:,} of them kept on forks")
        if self.present:
            were = "was" if self.present == 1 else "were"
            came.append(f"{counted(self.present, 'session')} {were} there already")
        known = f" ({self.format})" if self.format else ""
        lines = [f"{self.path}{known}: {', '.join(came) or 'nothing came'}"]
        lines += [f"  refused: {reason}" for reason in self.refused]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


class ImportReport(Sequence[SessionRecord]):
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
        self.files, self.skipped = list(files), list(skipped)

    @property
    def present(self) -> int:
        """How many sessions were there already."""
        return sum(file.present for file in self.files)

    @property
    def refused(self) -> list[str]:
        """What was not taken, and why."""
        return [reason for file in self.files for reason in file.refused]

    @property
    def _sessions(self) -> list[SessionRecord]:
        return [record for file in self.files for record in file.sessions]

    def __len__(self) -> int:
        return len(self._sessions)

    def __getitem__(self, index: Any) -> Any:
        return self._sessions[index]

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._sessions)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        new, grown = (
            sum(numbers) for numbers in ((f.new for f in self.files), (f.grown for f in self.files))
        )
        parts = [f"{counted(new, 'session')} came" if new else "No session came"]
        parts += [f"{grown:,} went on"] if grown else []
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
            lines.append(f"... and {counted(len(files) - _SHOWN, 'file')} more")
        return "\n".join(lines)


def import_path(
    backend: Backend, owner: str, path: str | os.PathLike[str], format: str | None
) -> ImportReport:
    """Import a file, a folder or a pattern; see `Store.import_`.

    Raises
    ------
    InvalidInput, FormatError, SessionError

    Examples
    --------
    >>> from nbsessions.stores import open_backend
    >>> import_path(open_backend("memory:"), "ada", "/nowhere/chat.json", None)
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: /nowhere/chat.json: there is no such file.
    """
    given = check_path(path)
    chosen = None if format is None else formats.readable(format)
    if given.is_file() or is_folder(given):
        return _only(backend, owner, given, chosen)
    paths = _paths(given)
    files: list[FileReport] = []
    skipped: list[Path] = []
    with _Bar(paths) as bar:
        for each in paths:
            try:
                found = chosen or formats.guess(each)
            except FormatError:
                skipped.append(each)
            else:
                files.append(_import_file(backend, owner, each, found, bar)[0])
            bar.pass_by(each)
    return ImportReport(files, skipped)


def _only(backend: Backend, owner: str, path: Path, chosen: Format | None) -> ImportReport:
    """Import one file; where nothing in it could be taken, that is an error."""
    with _Bar([path]) as bar:
        report, errors = _import_file(backend, owner, path, chosen or formats.guess(path), bar)
    if errors and not report.sessions and not report.present:
        raise errors[0]
    return ImportReport([report])


def _import_file(
    backend: Backend, owner: str, path: Path, format: Format, bar: _Bar
) -> tuple[FileReport, list[NbsessionsError]]:
    report = FileReport(path, format.name)
    errors: list[NbsessionsError] = []
    assert format.read is not None
    with listening(Reading(bar.advance)) as reading:
        try:
            for bundle in format.read(path):
                try:
                    taken = take_in(backend, bundle, owner)
                except StoreError as error:
                    if not isinstance(error, DamagedTurn):  # the store itself: nothing more will come in
                        raise
                    errors.append(error)
                except (InvalidInput, SessionError) as error:
                    errors.append(error)
                else:
                    _note(report, taken)
        except InvalidInput as error:
            errors.append(error if isinstance(error, FormatError) else FormatError(path, str(error)))
        except RecursionError:
            errors.append(FormatError(path, "it is nested too deeply"))
    errors += reading.errors
    report.notes = reading.notes
    report.refused = [str(error) for error in errors]
    return report, errors


def _note(report: FileReport, taken: Taken) -> None:
    if taken.how == "present":
        report.present += 1
        return
    report.sessions.append(taken.record)
    report.forked += taken.how == "forked"
    report.grown += taken.how == "grown"


def _paths(given: Path) -> list[Path]:
    """Return the files of a folder or a pattern, in their order."""
    if given.is_dir():
        found = list(_walked(given))
    elif has_magic(str(given)):
        matching = map(Path, glob(str(given), recursive=True, include_hidden=True))
        found = [path for each in matching for path in (_walked(each) if each.is_dir() else [each])]
    else:
        raise InvalidInput(f"{given}: there is no such file.")
    return sorted(dict.fromkeys(found))


def _walked(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that a format may read; links are not followed."""
    suffixes = {suffix for format in formats.all_formats() if format.read for suffix in format.suffixes}
    for place, folders, names in os.walk(folder):
        if is_folder(Path(place)):
            yield Path(place)
            folders[:] = []
            continue
        folders[:] = sorted(name for name in folders if name not in _PASSED_BY)
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() in suffixes and path.is_file() and not path.is_symlink():
                yield path


class _Bar:
    """A bar over the bytes of files, shown where it takes a while."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._sizes = {path: _size(path) for path in paths}
        self._bar: tqdm[Any] | None = None
        self._done = 0

    def __enter__(self) -> _Bar:
        from tqdm.auto import tqdm

        total = sum(self._sizes.values())
        self._bar = tqdm(total=total, unit="B", unit_scale=True, desc="import", delay=_PATIENCE, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """Note so many bytes more of the present file."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)

    def pass_by(self, path: Path) -> None:
        """Note that a file is done, however much of it was read."""
        self.advance(max(0, self._sizes[path] - self._done))
        self._done = 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
