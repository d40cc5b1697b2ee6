"""Sessions written to files: whole, or not at all, and over nothing that is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from nbsessions import formats
from nbsessions.bundles import gather
from nbsessions.exceptions import InvalidInput, StoreUnavailable
from nbsessions.formats.base import Format
from nbsessions.records import SessionRecord
from nbsessions.stores.base import Backend, Key
from nbsessions.values import check_path


def export_sessions(
    backend: Backend,
    records: Sequence[SessionRecord],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write sessions into one file, or each into one of its own where `path` is a folder.

    Raises
    ------
    InvalidInput
        There is such a file, no format is meant, or it holds one session only.
    StoreUnavailable
        The file cannot be written.

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> record = store.create("plan").record
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_sessions(store.backend, [record], Path(folder) / "plan.json").name
    'plan.json'
    """
    given = check_path(path)
    if given.is_dir() or str(path).endswith(("/", os.sep)):
        folder = export_folder(backend, records, given, format=format, overwrite=overwrite)
        chosen = formats.writable(format or "json")
        return folder / file_name(records[0], chosen) if len(records) == 1 else folder
    chosen = formats.by_suffix(given) if format is None else formats.writable(format)
    if len(records) != 1 and not chosen.many:
        raise InvalidInput(f"A file of {chosen.name!r} holds one session. Name a folder for several.")
    _write(backend, records, given, chosen, overwrite)
    return given


def export_folder(
    backend: Backend,
    records: Sequence[SessionRecord],
    folder: str | os.PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write each session into a file of its own in a folder, which is made where there is none.

    Raises
    ------
    InvalidInput, StoreUnavailable

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> record = store.create("plan", session_id="chat-7").record
    >>> with tempfile.TemporaryDirectory() as place:
    ...     [path.name for path in export_folder(store.backend, [record], place, format="jsonl").iterdir()]
    ['plan_chat-7.jsonl']
    """
    given, chosen = check_path(folder), formats.writable(format or "json")
    files = folder_files(records, given, format=format, overwrite=overwrite)
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"Cannot make the folder {given}: {error.strerror}.") from error
    for record, file in zip(_with_bar(records), files, strict=True):
        _write(backend, [record], file, chosen, overwrite)
    return given


def folder_files(
    records: Sequence[SessionRecord],
    folder: str | os.PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Return into which files `export_folder` will write sessions, one for each.

    Raises
    ------
    InvalidInput
        It will not: it is no folder, or has such a file.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> record = nbs.open_store("memory:").create("plan", session_id="chat-7").record
    >>> [file.name for file in folder_files([record], "no such folder")]
    ['plan_chat-7.json']
    """
    given, chosen = check_path(folder), formats.writable(format or "json")
    if given.exists() and not given.is_dir():
        raise InvalidInput(f"{given} is a file. Name a folder.")
    files = [given / name for name in _file_names(records, chosen)]
    for file in files if given.exists() and not overwrite else ():
        _check_new(file)
    return files


def file_name(record: SessionRecord, format: Format) -> str:
    """Return what the file of a session is called in a folder: its name and the end of its id.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> record = nbs.open_store("memory:").create("a/b: plan", session_id="chat-7").record
    >>> file_name(record, formats.find("json"))
    'a-b-plan_chat-7.json'
    """
    kept = [
        re.sub(r"[^\w.]+", "-", text).strip("-.")[:60]
        for text in (record.name or "", record.session_id[-12:])
    ]
    return ("_".join(part for part in kept if part) or "session") + format.suffixes[0]


def _file_names(records: Iterable[SessionRecord], format: Format) -> Iterator[str]:
    """Yield the names of files, each once, also on disks that do not tell capitals."""
    taken: set[str] = set()
    for record in records:
        name = Path(file_name(record, format))
        tried = (name if n == 1 else name.with_stem(f"{name.stem}-{n}") for n in count(1))
        found = next(str(one) for one in tried if str(one).lower() not in taken)
        taken.add(found.lower())
        yield found


def _write(
    backend: Backend, records: Sequence[SessionRecord], path: Path, format: Format, overwrite: bool
) -> None:
    assert format.write is not None
    if not overwrite:
        _check_new(path)
    with written(path, overwrite=overwrite) as file:
        format.write((gather(backend, Key.of(record)) for record in _with_bar(records)), file)


def _check_new(path: Path) -> None:
    if path.exists():
        text = "choose another file, or overwrite it (--overwrite, overwrite=True)"
        raise InvalidInput(f"{path} exists already: {text}.")


def _with_bar(records: Sequence[SessionRecord]) -> Iterator[SessionRecord]:
    """Yield sessions, with a bar where there are several and it takes a while."""
    from tqdm.auto import tqdm

    if len(records) == 1:
        yield from records
    else:
        yield from tqdm(records, desc="export", unit="session", delay=1.0, leave=False)


@contextmanager
def written(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Give a file to write to, which gets its name when it is whole.

    Raises
    ------
    InvalidInput, StoreUnavailable

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written(Path(folder) / "a.txt", overwrite=False) as file:
    ...         _ = file.write(b"Hello")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'Hello'
    """
    try:
        number, name = mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    except OSError as error:
        raise StoreUnavailable(f"Cannot write {path}: {error.strerror}.") from error
    started = Path(name)
    try:
        with open(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(started, path, overwrite=overwrite)
    except OSError as error:
        if isinstance(error, StoreUnavailable):
            raise
        raise StoreUnavailable(f"Cannot write {path}: {error.strerror}.") from error
    finally:
        started.unlink(missing_ok=True)


def _put_in_place(started: Path, path: Path, *, overwrite: bool) -> None:
    # It may be read by those who may read a file that is made here.
    mask = os.umask(0)
    os.umask(mask)
    started.chmod(0o666 & ~mask)
    if overwrite:
        os.replace(started, path)
        return
    with suppress(OSError):  # not every file system has second names
        os.link(started, path)
        return
    _check_new(path)
    os.replace(started, path)
