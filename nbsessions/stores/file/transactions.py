"""Transactions of a store in a folder: what others wrote comes first, then the journal, then the files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from nbsessions.exceptions import NbsessionsError, StoreTooNew, StoreUnavailable
from nbsessions.stores._failures import reason
from nbsessions.stores._lock import FileLock
from nbsessions.stores.base import HeadMoved, Key
from nbsessions.stores.file.files import Place
from nbsessions.stores.file.folder import NoFile
from nbsessions.stores.file.journal import VERSION, Journal, Rewritten, Rows
from nbsessions.stores.file.model import Model, Unknown
from nbsessions.stores.file.taking import NotTaken, Taking

R = TypeVar("R")

OURS: Final = ".nbsessions"
_SPARE: Final = 4 * 1024 * 1024
"""A journal is rewritten when it is twice as large as what it was then, and so much larger."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EBADF)
_TRIES: Final = 5
_AT_ONCE: Final = 50
"""So many files may wait to be written while many are let in."""


class Transactions(Taking):
    """A store whose model in memory is what its journal says, and whose files say what the model does."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url, path)
        self._lock_file = FileLock(self.path / OURS / "lock")
        self._journal = Journal(self._meta)
        self._writable = True
        self._writes = False
        """Whether this thread is at a transaction."""
        self._is_whole = False
        """Whether what is in memory is what the journal says."""
        self._ahead = False
        """Whether what others wrote was let in here alone, because nothing can be written."""
        self._is_last = False
        """Whether the last line of the journal is of this process, and tells of files."""
        self._closed = False
        self._told: set[str] = set()

    # Failures

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._explain(error)

    def _explain(self, error: OSError) -> NoReturn:
        if isinstance(error, StoreUnavailable):
            raise error
        if error.errno in _FULL:
            raise StoreUnavailable(reason(self.path, "full")) from error
        if error.errno in READ_ONLY and self.path.exists():
            raise StoreUnavailable(reason(self.path, "readonly")) from error
        if not self.path.exists():
            what = "no such folder" if self._root.fd < 0 else "its folder was removed"
            raise StoreUnavailable(f"Cannot open the store {self.path}: {what}.") from error
        said = error.strerror or "it failed"
        raise StoreUnavailable(f"The store {self.path} failed: {said}. Nothing was saved.") from error

    # What others wrote

    def _catch_up(self, looks: Callable[[], list[Place]] | None) -> None:
        """Let in what others have written: to the journal and, where it is looked for, to the files."""
        if self._closed:
            raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
        with self._explained():
            self._refresh()
            places = [] if looks is None else looks()
            places = [place for place in places if not self._is_just_ours(place)]
            behind = self.has_written_behind()
            if not places and not behind:
                return
            if self._writable:
                try:
                    with self._transaction(()):
                        self._take_in(places)
                    return
                except StoreUnavailable:  # it is read all the same, and let in by who can write
                    self._refresh()
            self._ahead = True
            for place in places:
                try:
                    self.take(place)
                except NotTaken:
                    self._read_anew()

    def _is_just_ours(self, place: Place) -> bool:
        """Tell whether a file was written by one of us, and says what its session says."""
        content = self.examine(place)
        if content is None or content.stamp is None:
            return content is None
        self._refresh()
        key = self.key_at(place)
        if key is None or not self.is_current(key, content):
            return False
        self._remember(place, content)
        return True

    def _take_in(self, places: Iterable[Place]) -> None:
        """Let in what files say, each in a transaction of its own."""
        last = False
        for place in list(places):
            try:
                rows = self._do(partial(self.take, place))
            except NotTaken:
                self._read_anew()
                continue
            if rows:
                self._write(rows, durable=False)
            last = last or bool(rows)
            self._is_whole = True
            if len(self._owed) > _AT_ONCE:
                self._project()
        if last:
            self._journal.sync()

    def _take_behind(self) -> None:
        """Let in what was written into files that were replaced, by a program that had opened them before."""
        for place, content in self.written_behind() if self._left_behind else ():
            try:
                rows = self._do(partial(self.take_behind, place, content))
            except NotTaken:
                self._read_anew()
                continue
            if rows:
                self._write(rows)
            self._is_whole = True
            self._project()

    def _refresh(self) -> None:
        """Read what others have added to the journal."""
        if self._meta.fd < 0:
            self._is_whole = True
            return
        changed = self._journal.has_changed()
        if not self._is_whole or (self._ahead and (changed or self._writes)):
            self._read_anew()
        elif changed:
            self._is_whole = self._is_last = False
            try:
                self._read(self)
            except Rewritten:
                self._read_anew()
            self._is_whole = True
        elif self._journal.is_gone():
            raise StoreUnavailable(
                f"The store {self.path} was removed while it was open: nothing was saved. Open it again."
            )

    def _read_anew(self) -> None:
        for _ in range(_TRIES):
            fresh = Model(self.url)
            self._journal.restart()
            try:
                self._read(fresh)
            except Rewritten:
                continue
            break
        else:
            raise StoreUnavailable(f"The store {self.path} is changed all the time. Try again.")
        held = {name: value for name, value in vars(fresh).items() if name not in ("_lock", "url")}
        self._said, self._views, self._newest, self._ahead, self._is_last = {}, {}, {}, False, False
        vars(self).update(held)
        # What others wrote and was let in here alone is to be let in again.
        self._seen = {place: seen for place, seen in self._seen.items() if self.is_let_in(place, seen)}
        self._is_whole = True

    def _read(self, model: Model) -> None:
        try:
            for rows in self._journal.read():
                model.apply(rows)
        except Unknown:
            raise StoreTooNew(str(self._journal.where), found=VERSION + 1, known=VERSION) from None
        new = [line for line in self._journal.damages if line not in self._told]
        self._told.update(new)
        self._to_tell += [f"{line}. The rest can be read." for line in new]

    # Transactions

    @contextmanager
    def _transaction(self, keys: Iterable[Key]) -> Iterator[None]:
        """Hold the lock, knowing all that others wrote to the journal, and to the files of these sessions."""
        if self._closed:
            raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
        if not self._writable:
            raise StoreUnavailable(reason(self.path, "readonly"))
        with self._explained(), self._lock_file:
            self._check_folder()
            self._writes = True
            try:
                self._refresh()
                self._settle()
                self._take_behind()
                self._take_in([place for key in dict.fromkeys(keys) for place in self.changed(key)])
                yield
                self._project()
            finally:
                self._writes = False

    def _check_folder(self) -> None:
        """Refuse to go on where the folder is another one now: nobody would find what is written."""
        there, mine = os.stat(self.path / OURS), os.fstat(self._meta.fd)
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise StoreUnavailable(
                f"The folder of the store {self.path} was replaced while it was open: nothing was saved. "
                "Open the store again."
            )

    @contextmanager
    def _changing(self, *keys: Key) -> Iterator[None]:
        """Hold this store for a transaction, and tell afterwards what was found on the way."""
        with self._lock, self._transaction(keys):
            yield
        if self._to_tell:
            self.tell()

    def _do(self, call: Callable[[], R]) -> R:
        """Change what is in memory; the journal is next. What is refused has changed nothing."""
        self._is_whole = False
        try:
            done = call()
        except (NbsessionsError, HeadMoved):
            self._is_whole = True
            raise
        return done

    def _write(self, rows: Rows, *, durable: bool = True) -> None:
        """Write to the journal what has changed in memory."""
        self._is_whole = False
        owed = [key for key in self._owed if key in self._sessions]
        rows = [*rows, *([["owed", owed]] if owed else [])]
        rows += [["removed", self._removed]] if self._removed else []
        self._journal.append(rows, durable=durable)
        self._is_whole = True
        self._is_last = bool(self._owed)
        if self._journal.size > 2 * self._live + _SPARE and not self._journal.damages:
            self._rewrite([])

    def _rewrite(self, removed: Iterable[Place]) -> None:
        """Write the journal anew, with what there is now alone."""
        self._is_whole = False
        self._removed += [[*place] for place in removed]

        def lines() -> Iterator[Rows]:
            size = 0
            for rows in self.snapshot():
                size += sum(len(str(row)) for row in rows)
                yield rows
            owed = [key for key in self._owed if key in self._sessions]
            yield [["live", size], ["owed", owed], ["removed", self._removed]]
            self._live = size

        self._journal.rewrite(lines())
        self._is_whole = self._is_last = True

    # Files

    def _settle(self) -> None:
        """Write the files that who wrote the last line, and has died, could not write any more."""
        self._unlink_removed()
        if self._owed:
            self._take_in([place for key in self._owed for place in self.changed(key)])
            self._project()

    def _unlink_removed(self) -> None:
        """Remove the files of sessions that were deleted."""
        for folder, name in list(self._removed):
            place = Place(folder, name)
            try:
                self.unlink(place)
            except OSError as error:
                self._to_tell.append(f"{self.path_of(place)} could not be removed: {error.strerror}.")
            else:
                self._removed.remove([folder, name])

    def _project(self) -> None:
        """Write the files of the sessions that have changed."""
        for _ in range(_TRIES):
            for key, is_forced in list(self._owed.items()):
                seen = self._seen.get(self.place(key)) if key in self._sessions else None
                is_done = not is_forced and seen is not None and self.is_current(key, seen)
                if is_done or key not in self._sessions or self._write_file(key):
                    self._owed.pop(key, None)
            if not self._owed:
                return
            # Another program has written one meanwhile: what it says comes first.
            self._take_in([place for key in self._owed for place in self.changed(key)])

    def _write_file(self, key: Key) -> bool:
        try:
            return self.project(key)
        except NoFile as error:
            what = error.reason
        except OSError as error:
            what = f"could not be written ({error.strerror})"
        path = self.path_of(self.place(key))
        text = f"{path} {what}. The session is whole in {OURS}; its next change writes the file."
        if text not in self._to_tell:
            self._to_tell.append(text)
        return False

    def _owe_file(self, *keys: Key) -> None:
        for key in keys:
            self._owed[key] = True
