"""The store in a folder, as it is opened and closed."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from nbsessions.exceptions import InvalidInput, StoreUnavailable
from nbsessions.stores.file import forking
from nbsessions.stores.file.calls import Calls
from nbsessions.stores.file.folder import Folder, NoFile, tidy
from nbsessions.stores.file.journal import Journal
from nbsessions.stores.file.transactions import OURS, READ_ONLY
from nbsessions.text import counted
from nbsessions.values import check_path


class FileBackend(Calls):
    """A store in a folder, in the layout of webagents: ``file:DIR``, ``file:~/DIR``, ``file:///DIR``.

    ``DIR/<id>.json`` is the head of a session, ``DIR/a2a/<conversation>/<id>.json`` that of one in a
    conversation, ``.latest`` beside them the id of the newest. webagents reads and writes these. All of a
    session, its branches, log, runs and checkpoints, is in ``DIR/.nbsessions/journal``. What webagents
    changes in a file comes in as new turns, on a fork where the session went on meanwhile. A file that was
    removed by another program is written again when its session changes: `delete` removes a session.

    All that it holds is in memory, too. It is for some thousand sessions; `sqlite:` is for more.

    Raises
    ------
    InvalidInput
        The URL names no folder.
    StoreUnavailable
        The folder cannot be opened, or its journal is none of ours.
    StoreTooNew
        A newer nbsessions wrote it.

    Examples
    --------
    >>> import tempfile
    >>> from nbsessions import open_store
    >>> with tempfile.TemporaryDirectory() as folder, open_store(f"file:{folder}") as store:
    ...     store.create("plan", session_id="chat-7").add_message({"role": "user", "content": "Hello"})
    ...     (Path(folder) / ".latest").read_text()
    'chat-7'
    """

    persistent = True

    def __init__(self, url: str) -> None:
        if sys.platform == "win32":
            raise StoreUnavailable("Stores of the kind file: need Linux or macOS. sqlite: works everywhere.")
        super().__init__(url, _parse(url))
        with self._explained():
            try:
                self._open()
                with self._lock:
                    self._catch_up(None)
                    self._note_missing()
                self.tell()
            except BaseException:
                self._let_go()
                raise
        forking.watch(self)

    def _open(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise StoreUnavailable(f"{self.path} is no folder: a store of the kind file: is one.")
        with suppress(OSError):  # whoever may not make it may still be able to read it
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = Folder.opened(self.path)
        try:
            with self._root.within(OURS, make=True) as found:
                assert found is not None
                self._meta = Folder(found.path, os.dup(found.fd))
        except NoFile as error:
            raise StoreUnavailable(f"{self.path / OURS} {error.reason}. It was left untouched.") from error
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            self._meta = Folder(self.path / OURS, -1)
        self._journal = Journal(self._meta)
        mode = os.W_OK
        self._writable = (
            self._meta.fd >= 0 and os.access(self.path, mode) and os.access(self._meta.path, mode)
        )
        if self._writable:
            with self._lock_file:
                self._journal.begin()
                tidy(self._meta)

    def _note_missing(self) -> None:
        count = len(self.missing())
        if count:
            self.note = (
                f"Another program has removed the files of {counted(count, 'session')}. All of it is kept in "
                f"{OURS}: its next change writes the file again, and `delete` removes it."
            )

    # The whole store

    def check(self) -> list[str]:
        """Return what is wrong with the journal, and with the files."""
        with self._lock:
            self._catch_up(lambda: self.sweep(None))
            bad = [(place, why) for place, (_, why) in self._bad.items() if self.is_bad(place)]
            self._to_tell = []
            return [*self._journal.damages, *(f"{self.path_of(place)} {why}" for place, why in sorted(bad))]

    def close(self) -> None:
        """Let go of the files. Closing twice is allowed."""
        with self._lock:
            try:
                if not self._closed:
                    self._leave()
            finally:
                self._closed = True
                self._let_go()

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # it may never have been opened
            self._let_go()

    def _leave(self) -> None:
        """Let in what is still to be let in, and say that all files are written."""
        with suppress(StoreUnavailable):
            if self.has_written_behind() or self._is_last:
                with self._transaction(()):
                    if self._is_last and not self._owed and not self._removed:
                        self._write([["settled"]], durable=False)

    def after_fork(self, *, is_settled: bool) -> None:
        """In a child: hold no lock that the parent has; what was in the midst of a change is read anew."""
        self._lock = threading.RLock()
        self._lock_file.after_fork_in_child()
        self._writes = False
        self._is_whole = self._is_whole and is_settled

    def _let_go(self) -> None:
        for left in self._left_behind:
            os.close(left.fd)
        self._left_behind = []
        self._journal.close()
        self._meta.close()
        self._root.close()
        self._lock_file.close()


def _parse(url: str) -> Path:
    rest = url.removeprefix("file:")
    host, slash, path = rest.removeprefix("//").partition("/") if rest.startswith("//") else ("", "", rest)
    text = f"{slash}{path}"
    if host not in ("", "localhost") or not text or "?" in text:
        raise InvalidInput(f"{url!r} is not a store: write file:DIR, or file:///DIR.")
    return check_path(unquote(text))
