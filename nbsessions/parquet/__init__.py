"""Usage, runs and sessions of a store as Parquet files by month: for DuckDB, Spark and the like."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from nbsessions.exceptions import InvalidInput, MissingExtra, StoreUnavailable
from nbsessions.stores.base import Backend
from nbsessions.values import check_path

KINDS: Final = ("usage", "runs", "sessions")
_UNFINISHED: Final = ".unfinished-"
_DAY: Final = 86_400


def export_parquet(backend: Backend, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write what a store knows into a folder, as `Store.export_parquet` says.

    Examples
    --------
    >>> import nbsessions as nbs, tempfile
    >>> store = nbs.open_store("memory:")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lake = export_parquet(store.backend, Path(folder) / "lake")
    ...     sorted(path.name for path in lake.iterdir())
    ['runs', 'sessions', 'usage']
    """
    try:
        from nbsessions.parquet.tables import written
    except ModuleNotFoundError as error:
        raise MissingExtra("Parquet", "parquet") from error
    given = check_path(folder)
    with _explained(given):
        _check_place(given, overwrite=overwrite)
        with _unfinished(given) as place:
            for kind, months in written(backend, place).items():
                _put_in_place(given / kind, kind, months)
    return given


def _check_place(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file. Name a folder.")
    for kind in KINDS:
        found = sorted(folder.glob(f"{kind}/**/*.parquet"))
        strange = [path for path in found if path not in _ours(folder / kind, kind)]
        if strange:
            what = f"{folder} has {strange[0].relative_to(folder)}, which no export wrote"
            raise InvalidInput(f"{what}: it would be read with what is exported. Name another folder.")
        if found and not overwrite:
            raise InvalidInput(f"{folder} has an export already: overwrite=True brings it up to date.")


def _ours(folder: Path, kind: str) -> dict[Path, str]:
    """Return the files that an export of this kind wrote, and the month of each."""
    found = folder.glob(f"month=????-??/{kind}.parquet")
    return {path: path.parent.name.removeprefix("month=") for path in found}


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Give a folder on the same disk for files that are not whole, which readers pass by."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_UNFINISHED}*"):
        # An export that was killed left it; one that is under way did not begin so long ago.
        with suppress(FileNotFoundError):  # it has just ended
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)
    place = Path(mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _put_in_place(folder: Path, kind: str, months: Mapping[str, Path]) -> None:
    """Give files that are whole their names, and remove those of months that have no rows any more.

    A file that says the same as the one that is there is left out: who copies the folder elsewhere copies
    what has changed.
    """
    for month, file in months.items():
        path = folder / f"month={month}" / f"{kind}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or not filecmp.cmp(file, path, shallow=False):
            os.replace(file, path)
    for path, month in _ours(folder, kind).items():
        if month not in months:
            path.unlink()
            path.parent.rmdir()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Make one line of what the disk refused."""
    try:
        yield
    except StoreUnavailable:  # the store that is read
        raise
    except OSError as error:
        raise StoreUnavailable(f"Cannot write to {folder}: {error.strerror or error}.") from error
