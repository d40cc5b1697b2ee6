"""The store in a folder: each call of the contract is a transaction of the journal."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, NoReturn, ParamSpec, TypeVar
from urllib.parse import unquote

from nbsessions.exceptions import InvalidInput, NbsessionsError, StoreTooNew, StoreUnavailable
from nbsessions.records import Checkpoint, Run, SessionRecord, Turn
from nbsessions.stores._failures import reason
from nbsessions.stores._lock import FileLock
from nbsessions.stores.base import Bundle, Finish, HeadMoved, Key, Move, Progress, Query, Value, Visit
from nbsessions.stores.file import forking
from nbsessions.stores.file.files import Place
from nbsessions.stores.file.folder import Folder, NoFile, tidy
from nbsessions.stores.file.journal import VERSION, Journal, Rewritten, Rows
from nbsessions.stores.file.model import Known, Model, Unknown
from nbsessions.stores.file.names import name_of
from nbsessions.stores.file.taking import Taking
from nbsessions.stores.memory import MemoryBackend
from nbsessions.text import counted
from nbsessions.values import check_path

P = ParamSpec("P")
R = TypeVar("R")

OURS: Final = ".nbsessions"
_SPARE: Final = 4 * 1024 * 1024
"""A journal is rewritten when it is twice as large as what it was then, and so much larger."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EBADF)
_TRIES: Final = 5


def _reading(
    call: Callable[Concatenate[Any, P], R], *, looks: Callable[[FileBackend, Any], list[Place]] | None = None
) -> Callable[Concatenate[FileBackend, P], R]:
    """Return a call that first lets in what others have written; `looks` says where to look for that."""

    @wraps(call)
    def method(self: FileBackend, /, *args: P.args, **named: P.kwargs) -> R:
        with self._lock:
            if not self._writes:
                about = args[0] if args else next(iter(named.values()), None)
                self._catch_up(None if looks is None else lambda: looks(self, about))
            found = call(self, *args, **named)
        if self._to_tell:
            self.tell()
        return found

    return method


def _session_file(self: FileBackend, key: Key | None) -> list[Place]:
    return [] if key is None else self.changed(key)


def _asked_for(self: FileBackend, query: Query) -> list[Place]:
    if query.session_id is not None and query.conversation_id is not None:
        key = Key(query.conversation_id, query.session_id)
        return self.changed(key)
    return self.sweep(query.conversation_id)


class FileBackend(Taking):
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
        with self._explained():
            try:
                self._open()
                with self._lock:
                    self._catch_up(None)
                    self._note_missing()
            except BaseException:
                self._let_go()
                raise
        forking.watch(self)
        self.tell()

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
            if error.errno not in _READ_ONLY:
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
        if error.errno in _READ_ONLY and self.path.exists():
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
                self.take(place)

    def _is_just_ours(self, place: Place) -> bool:
        """Tell whether a file was written by one of us, and says what its session says."""
        content = self.examine(place)
        if content is None or content.stamp is None:
            return content is None
        self._refresh()
        key = self._places.get((self._conversation(place.folder), place.name.lower()))
        if key is None or self.place(key) != place or not self.is_current(key, content):
            return False
        self._remember(place, content)
        return True

    def _take_in(self, places: Iterable[Place]) -> None:
        rows: Rows = []
        for place in places:
            if rows:
                self._write(rows, durable=False)
            rows = self.take(place)
        if rows:
            self._write(rows, durable=True)

    def _take_behind(self) -> None:
        """Let in what was written into files that were replaced, by a program that had opened them before."""
        for place, content in self.written_behind() if self._left_behind else ():
            rows = self.take_behind(place, content)
            if rows:
                self._write(rows)
            self._project()

    def _refresh(self) -> None:
        """Read what others have added to the journal."""
        if self._meta.fd < 0:
            self._is_whole = True
            return
        if not self._is_whole:
            self._read_anew()
        elif self._journal.has_changed():
            if self._ahead:
                self._read_anew()
                return
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
        if self._ahead:
            self._seen = {place: seen for place, seen in self._seen.items() if seen.stamp is not None}
        held = {name: value for name, value in vars(fresh).items() if name not in ("_lock", "url")}
        self._said, self._views, self._newest, self._ahead, self._is_last = {}, {}, {}, False, False
        vars(self).update(held)
        self._is_whole = True

    def _read(self, model: Model) -> None:
        known = len(self._journal.damages)
        try:
            for rows in self._journal.read():
                model.apply(rows)
        except Unknown:
            raise StoreTooNew(str(self._journal.where), found=VERSION + 1, known=VERSION) from None
        self._to_tell += [f"{line}. The rest can be read." for line in self._journal.damages[known:]]

    # Transactions

    @contextmanager
    def _transaction(self, keys: Iterable[Key]) -> Iterator[None]:
        """Hold the lock, knowing all that others wrote to the journal, and to the files of these sessions."""
        if self._closed:
            raise StoreUnavailable(f"The store {self.path} is closed. Open it again.")
        if not self._writable:
            raise StoreUnavailable(reason(self.path, "readonly"))
        with self._explained(), self._lock_file:
            self._refresh()
            self._writes = True
            try:
                self._settle()
                self._take_behind()
                self._take_in([place for key in dict.fromkeys(keys) for place in self.changed(key)])
                yield
                self._project()
            finally:
                self._writes = False

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
        if owed:
            rows = [*rows, ["owed", owed]]
        self._journal.append(rows, durable=durable)
        self._is_whole = True
        self._is_last = bool(self._owed)
        if self._journal.size > 2 * self._live + _SPARE and not self._journal.damages:
            self._rewrite([])

    def _rewrite(self, removed: list[Place]) -> None:
        """Write the journal anew, with what there is now alone."""
        self._is_whole = False

        def lines() -> Iterator[Rows]:
            size = 0
            for rows in self.snapshot():
                size += sum(len(str(row)) for row in rows)
                yield rows
            owed = [key for key in self._owed if key in self._sessions]
            yield [["live", size], ["owed", owed], ["removed", removed]]
            self._live = size

        self._journal.rewrite(lines())
        self._is_whole = self._is_last = True

    # Files

    def _settle(self) -> None:
        """Write the files that who wrote the last line, and has died, could not write any more."""
        removed, self._removed = self._removed, []
        for folder, name in removed:
            self.unlink(Place(folder, name))
        if self._owed:
            self._take_in([place for key in self._owed for place in self.changed(key)])
            self._project()

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

    # Sessions

    def insert(self, record: SessionRecord) -> None:
        key = Key.of(record)
        with self._changing(key):
            self.refuse_bad(key)
            self._choose_name(key)
            self._do(lambda: MemoryBackend.insert(self, record))
            self._note_place(key)
            self._owe_file(key)
            rows = self.session_rows(key) + self.known_rows(key) + self.entry_rows(key, 0)
            self._write(rows + self.stand_rows(key))

    def restore(self, bundle: Bundle) -> None:
        key, last = Key.of(bundle.record), self._last_entry
        with self._changing(key):
            self.refuse_bad(key)
            self._choose_name(key)
            last, turns, runs = self._last_entry, set(self._turns), dict(self._runs)
            self._do(lambda: MemoryBackend.restore(self, bundle))
            self._note_place(key)
            self._owe_file(key)
            rows = self.session_rows(key) + self.known_rows(key)
            rows += self.turn_rows(turn for turn in bundle.turns if turn.turn_id not in turns)
            rows += self.entry_rows(key, last) + self.stand_rows(key)
            for run_id in [
                run.run_id for run in bundle.runs if self._runs[run.run_id] is not runs.get(run.run_id)
            ]:
                rows += self.run_rows(run_id) + self.event_rows(run_id, self._events[run_id])
                rows += self.progress_rows(run_id) if run_id in self._progress else []
            for made in bundle.checkpoints:
                rows += self.checkpoint_rows(made.checkpoint_id)
            self._write([*rows, *(["value", *key, *value] for value in bundle.values)])

    def _choose_name(self, key: Key) -> None:
        """Give a new session another file where its own differs from that of one in capitals alone."""
        taken = self._places.get((key.conversation_id, self.file_name(key).lower()))
        if taken is not None and taken != key:
            self._known[key] = Known(f"{name_of(key.session_id, lower=True)}.json")

    def update(self, key: Key, changes: Mapping[str, Any], at: int) -> SessionRecord:
        with self._changing(key):
            record = self._do(lambda: MemoryBackend.update(self, key, changes, at))
            self._owe_file(key)
            self._write(self.session_rows(key) + self.stand_rows(key))
            return record

    def move(self, move: Move) -> SessionRecord:
        keys = {move.key, *([] if move.instead_of is None else [move.instead_of[0]])}
        with self._changing(*keys):
            if move.create is not None and Key.of(move.create) not in self._sessions:
                self.refuse_bad(move.key)
                self._choose_name(move.key)
            made = bool(move.turns) and move.turns[-1].turn_id in self._turns
            new = move.create is not None and move.key not in self._sessions
            last = self._last_entry
            events = self._event_count(move.finish)
            record = self._do(lambda: MemoryBackend.move(self, move))
            if made:
                self._is_whole = True
                return record
            rows = self.session_rows(move.key) if new else []
            rows += self.known_rows(move.key) if new else []
            rows += self.turn_rows(move.turns) + self.entry_rows(move.key, last)
            if move.finish is not None:
                rows += self._finish_rows(move.finish, events)
                keys.add(Key.of(self._runs[move.finish.run_id]))
            for key in keys:
                rows += self.stand_rows(key) if key in self._sessions else []
            if new:
                self._note_place(move.key)
            if not move.draft:
                self._owe_file(move.key)
            self._write(rows)
            return record

    def delete(self, keys: Sequence[Key], *, seen: Sequence[int] | None = None, at: int = 0) -> int:
        with self._changing(*keys):
            places = {key: self.place(key) for key in keys if key in self._sessions}
            count = self._do(lambda: MemoryBackend.delete(self, keys, seen=seen, at=at))
            gone = [key for key in places if key not in self._sessions]
            for key in gone:
                self._forget(key, places[key])
            if not gone:
                self._is_whole = True
                return count
            self._rewrite([places[key] for key in gone])
            self._removed = []
            for key in gone:
                self.unlink(places[key])
            for conversation in {key.conversation_id for key in gone}:
                self.point_again(conversation)
            return count

    def _forget(self, key: Key, place: Place) -> None:
        self._known.pop(key, None)
        self._places.pop((key.conversation_id, place.name.lower()), None)
        for held in (self._owed, self._said, self._views):
            held.pop(key, None)

    # Turns

    def redact(self, key: Key, turn: Turn, *, was: str, text: str) -> bool:
        with self._changing(key):
            done = self._do(lambda: MemoryBackend.redact(self, key, turn, was=was, text=text))
            if not done:
                self._is_whole = True
                return False
            self._redacted.add(turn.turn_id)
            self._said, self._views = {}, {}
            heads = ((k, s.record.head.turn_id) for k, s in self._sessions.items())
            self._owe_file(*(k for k, tip in heads if tip and turn.turn_id in self._ancestors(tip)))
            self._rewrite([])
            return True

    def _ancestors(self, turn_id: str) -> Mapping[str, object]:
        return MemoryBackend.ancestors(self, [turn_id])

    def redact_run(self, run_id: str) -> None:
        with self._changing():
            if run_id in self._runs:
                self._do(lambda: MemoryBackend.redact_run(self, run_id))
                self._rewrite([])

    def collect(self) -> int:
        with self._changing():
            count = self._do(lambda: MemoryBackend.collect(self))
            if count:
                self._redacted &= self._turns.keys()
                self._rewrite([])
            self._is_whole = True
            return count

    # Marks

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._changing():
            known = checkpoint.checkpoint_id in self._checkpoints
            self._do(lambda: MemoryBackend.add_checkpoint(self, key, checkpoint))
            self._write([] if known else self.checkpoint_rows(checkpoint.checkpoint_id))

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._changing():
            before = [*self._values.get(key, {})]
            self._do(lambda: MemoryBackend.put_value(self, key, value, most))
            gone = [name for name in before if name not in self._values[key]]
            rows: Rows = [["no value", *key, gone]] if gone else []
            self._write([*rows, ["value", *key, *value]])

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._changing():
            before = [*self._values.get(key, {})]
            count = self._do(lambda: MemoryBackend.drop_values(self, key, names))
            gone = [name for name in before if name not in self._values.get(key, {})]
            self._write([["no value", *key, gone]])
            return count

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.visit(self, owner, notebook, visit, at))
            self._write(self.visit_rows(owner, notebook, self._visits[owner, notebook][-1:]))

    # Runs

    def start_run(self, run: Run) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.start_run(self, run))
            self._write(self.run_rows(run.run_id), durable=False)

    def append_events(self, run_id: str, events: Sequence[tuple[str, str]], *, first: int) -> None:
        with self._changing():
            before = len(self._events.get(run_id, []))
            self._do(lambda: MemoryBackend.append_events(self, run_id, events, first=first))
            self._write(self.event_rows(run_id, self._events[run_id][before:]), durable=False)

    def drop_events(self, run_id: str, before: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.drop_events(self, run_id, before))
            self._write([["dropped", run_id, before]], durable=False)

    def save_progress(self, progress: Progress) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.save_progress(self, progress))
            self._write(self.progress_rows(progress.run_id), durable=False)

    def renew_lease(self, run_id: str, until: int) -> None:
        with self._changing():
            self._do(lambda: MemoryBackend.renew_lease(self, run_id, until))
            if run_id in self._runs:
                self._write([["lease", run_id, until]], durable=False)
            self._is_whole = True

    def finish_run(self, finish: Finish) -> Run:
        with self._changing():
            events = self._event_count(finish)
            run = self._do(lambda: MemoryBackend.finish_run(self, finish))
            rows, key = self._finish_rows(finish, events), Key.of(run)
            if key in self._sessions:
                rows += self.stand_rows(key)
                self._owe_file(key)
            self._write(rows)
            return run

    def _event_count(self, finish: Finish | None) -> int:
        return 0 if finish is None else len(self._events.get(finish.run_id, []))

    def _finish_rows(self, finish: Finish, before: int) -> Rows:
        new = self._events[finish.run_id][before:]
        rows = self.run_rows(finish.run_id) + (self.event_rows(finish.run_id, new) if new else [])
        return rows + ([] if finish.run_id in self._progress else [["committed", finish.run_id]])

    # Reading

    get = _reading(MemoryBackend.get, looks=_session_file)
    find = _reading(MemoryBackend.find, looks=_asked_for)
    log = _reading(MemoryBackend.log, looks=_session_file)
    origin = _reading(MemoryBackend.origin, looks=_session_file)
    current = _reading(MemoryBackend.current, looks=_session_file)
    entry = _reading(MemoryBackend.entry)
    state_before = _reading(MemoryBackend.state_before)
    turn = _reading(MemoryBackend.turn)
    chain = _reading(MemoryBackend.chain)
    ancestors = _reading(MemoryBackend.ancestors)
    scan = _reading(MemoryBackend.scan)
    checkpoints = _reading(MemoryBackend.checkpoints)
    values = _reading(MemoryBackend.values)
    progress = _reading(MemoryBackend.progress)
    get_run = _reading(MemoryBackend.get_run)
    runs = _reading(MemoryBackend.runs)
    events = _reading(MemoryBackend.events)
    last_visit = _reading(MemoryBackend.last_visit)

    # The whole store

    def check(self) -> list[str]:
        """Return what is wrong with the journal, and with the files."""
        with self._lock:
            self._catch_up(lambda: self.sweep(None))
            found = list(self._journal.damages)
            found += [f"{self.path_of(place)} {what}" for place, (_, what) in sorted(self._bad.items())]
        self._to_tell = []
        return found

    def close(self) -> None:
        """Let go of the files. Closing twice is allowed."""
        with self._lock:
            if not self._closed and self.has_written_behind():
                self._catch_up(None)
            if not self._closed and self._is_last:
                with suppress(StoreUnavailable), self._transaction(()):
                    if self._is_last and not self._owed:
                        self._write([["settled"]], durable=False)
            self._closed = True
            self._let_go()

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
