"""Files, folders and patterns that are imported, and the report of what came of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbsessions import formats
from nbsessions.exceptions import (
    FormatError,
    InvalidInput,
    NbsessionsError,
    SessionError,
    SessionExists,
    StoreError,
)
from nbsessions.formats.base import Format, Reading, listening
from nbsessions.formats.nbsessions_store import is_folder
from nbsessions.stores.base import Backend, Bundle
from nbsessions.transfers.importing import Numbers, Taken, take_in
from nbsessions.transfers.reports import FileReport, ImportReport
from nbsessions.values import check_path

if TYPE_CHECKING:
    from tqdm.auto import tqdm

_PASSED_BY: Final = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints"})
_PATIENCE: Final = 1.0
"""Seconds before a bar is shown."""


def import_paths(
    backend: Backend,
    owner: str,
    paths: Sequence[str | os.PathLike[str]],
    *,
    format: str | None = None,
    rename: bool = False,
) -> ImportReport:
    """Import several files, folders or patterns; what is wrong with one is told by the report.

    Examples
    --------
    >>> from nbsessions.stores import open_backend
    >>> report = import_paths(open_backend("memory:"), "ada", ["/nowhere/a.json", "/nowhere/b.json"])
    >>> len(report.refused)
    2
    """
    files: list[FileReport] = []
    skipped: list[Path] = []
    for path in paths:
        try:
            found = import_path(backend, owner, path, format=format, rename=rename)
        except (InvalidInput, SessionError) as error:
            files.append(FileReport(Path(path), refused=[str(error)]))
        else:
            files += found.files
            skipped += found.skipped
    return ImportReport(files, skipped)


def import_path(
    backend: Backend,
    owner: str,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    rename: bool = False,
    bar: bool = True,
) -> ImportReport:
    """Import a file, a folder or a pattern; see `Store.import_`. `bar`: show how far it is.

    Raises
    ------
    InvalidInput, FormatError, SessionError

    Examples
    --------
    >>> from nbsessions.stores import open_backend
    >>> import_path(open_backend("memory:"), "ada", "/nowhere/chat.json")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: /nowhere/chat.json: there is no such file.
    """
    if not os.fspath(path):
        raise InvalidInput("Name a file, a folder or a pattern.")
    given = check_path(path)
    chosen = None if format is None else formats.readable(format)
    taking = _Taking(backend, owner, rename, {})
    if given.is_file() or is_folder(given):
        return _only(taking, given, chosen, bar)
    paths = _paths(given)
    files: list[FileReport] = []
    skipped: list[Path] = []
    with _Bar(paths, bar) as shown:
        for each in paths:
            try:
                found = chosen or formats.known(each)
            except FormatError as error:
                files.append(FileReport(each, refused=[str(error)]))
            else:
                if found is None:
                    skipped.append(each)
                else:
                    files.append(_import_file(taking, each, found, shown)[0])
            shown.pass_by(each)
    return ImportReport(files, skipped)


class _Taking(NamedTuple):
    """Where sessions go; `rename`: one whose name is taken gets one like it, and is not refused."""

    backend: Backend
    owner: str
    rename: bool
    numbers: Numbers

    def take(self, bundle: Bundle) -> Taken:
        if self.rename and bundle.title is None:
            bundle = bundle._replace(title=bundle.record.name)
        return take_in(self.backend, bundle, self.owner, self.numbers)


def _only(taking: _Taking, path: Path, chosen: Format | None, bar: bool) -> ImportReport:
    """Import one file; where nothing in it could be taken, that is an error."""
    with _Bar([path], bar) as shown:
        report, errors = _import_file(taking, path, chosen or formats.guess(path), shown)
    if errors and not report.sessions and not report.present:
        raise errors[0]
    return ImportReport([report])


def _import_file(
    taking: _Taking, path: Path, format: Format, bar: _Bar
) -> tuple[FileReport, list[NbsessionsError]]:
    report = FileReport(path, format.name)
    errors: list[NbsessionsError] = []
    assert format.read is not None
    with listening(Reading(bar.advance)) as reading:
        try:
            for bundle in format.read(path):
                try:
                    taken = taking.take(bundle)
                except StoreError as error:
                    if isinstance(error, OSError):  # the store itself: nothing more will come in
                        raise
                    errors.append(error)
                except SessionExists as error:
                    errors.append(SessionExists(error.ref, importing=True))
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
        matching = list(map(Path, glob(str(given), recursive=True, include_hidden=True)))
        if not matching:
            raise InvalidInput(f"{given}: no file matches this pattern.")
        # Nobody may ever write into a pipe; and what a link leads to may be here already.
        real = [each for each in matching if not each.is_symlink() and (each.is_dir() or each.is_file())]
        found = [path for each in real for path in (_walked(each) if each.is_dir() else [each])]
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

    def __init__(self, paths: Iterable[Path], is_shown: bool) -> None:
        self._is_shown = is_shown
        self._sizes = {path: _size(path) for path in paths}
        self._bar: tqdm[Any] | None = None
        self._done = 0

    def __enter__(self) -> _Bar:
        if not self._is_shown:
            return self
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
