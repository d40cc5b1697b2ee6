"""The files of the sessions: which there are, what somebody else did to them, and how they are written."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import DamagedTurn, InvalidInput, StoreUnavailable
from nbsessions.records import Head, Turn
from nbsessions.stores.base import Key, is_intact
from nbsessions.stores.file import projection
from nbsessions.stores.file.folder import Changed, Folder, Look, NoFile
from nbsessions.stores.file.model import Known, Model
from nbsessions.stores.file.names import id_of, is_plain, name_of
from nbsessions.stores.file.projection import Saved, Stamp, Unreadable

LATEST: Final = ".latest"
_A2A: Final = "a2a"
_END: Final = ".json"
_FRESH_SECONDS: Final = 1.0
"""A file that was changed just now may still be written, by a program that does so in place."""
_PAUSES: Final = (0.005, 0.02, 0.05, 0.1, 0.2)
_VIEWS: Final = 8
_LEFT_SECONDS: Final = 2.0
"""So long another program may take to write a file that it has opened."""


class Place(NamedTuple):
    """Where a file is: the folder of its conversation (empty at top level), and its name."""

    folder: str
    name: str


class Content(NamedTuple):
    """What was found in a file.

    Attributes
    ----------
    look : Look
    is_settled : bool
        Whether a later change is certain to give another look.
    stamp : Stamp or None
        Of a file that is as we made it.
    digest : str
        Stands for all of it.
    data : bytes
        Nothing where it is as we made it, or known.
    """

    look: Look
    is_settled: bool
    stamp: Stamp | None
    digest: str
    data: bytes = b""


class Left(NamedTuple):
    """A file that was replaced, and is still open."""

    place: Place
    fd: int
    seen: Content
    since: float

    def is_written(self) -> bool:
        """Tell whether another program has written into it since."""
        look = Look.of(os.fstat(self.fd))
        return (look.size, look.modified) != (self.seen.look.size, self.seen.look.modified)


class Files(Model):
    """A store whose sessions are in files as well: what is there, and what is not."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url)
        self.path = path
        self._root = Folder(path, -1)
        self._meta = Folder(path, -1)
        self._seen: dict[Place, Content] = {}
        self._bad: dict[Place, tuple[Look | None, str]] = {}
        self._to_tell: list[str] = []
        self._said: dict[Key, tuple[object, object, str]] = {}
        self._views: dict[Key, tuple[Head, list[str]]] = {}
        self._newest: dict[str, str] = {}
        self._left_behind: list[Left] = []

    # Where they are

    def place(self, key: Key) -> Place:
        """Return where the file of a session is, or would be."""
        return Place(self._folder_name(key.conversation_id), self.file_name(key))

    def _folder_name(self, conversation: str) -> str:
        """Return what the folder of a conversation is called; webagents calls it as the conversation."""
        name = name_of(conversation) if conversation else ""
        if name == conversation or not is_plain(conversation):
            return name
        with suppress(NoFile), self._root.within(_A2A, conversation) as folder:
            return name if folder is None else conversation
        return name

    def _conversation(self, folder: str) -> str:
        """Return the conversation whose folder this is."""
        if "~" in folder:
            known = {key.conversation_id for key in self._sessions}
            return next((one for one in known if one and name_of(one) == folder), folder)
        return id_of(folder)

    @contextmanager
    def _inside(self, folder: str, *, make: bool = False) -> Iterator[Folder | None]:
        with self._root.within(*((_A2A, folder) if folder else ()), make=make) as inner:
            yield inner

    def path_of(self, place: Place) -> Path:
        """Return the path of a file, for people."""
        return (self.path / _A2A / place.folder if place.folder else self.path) / place.name

    # What is there

    def sweep(self, conversation: str | None) -> list[Place]:
        """Return the files that are new, or have changed, in one conversation (empty: none) or in all."""
        if conversation is not None:
            return self._sweep_folder(self._folder_name(conversation))
        found = self._sweep_folder("")
        try:
            with self._root.within(_A2A) as folder:
                names = [] if folder is None else folder.names()
        except NoFile as error:
            self._note_bad(Place("", _A2A), None, error.reason)
            return found
        for name, entry in names:
            if entry.is_dir(follow_symlinks=False):
                found += self._sweep_folder(name)
            elif entry.is_symlink():
                self._note_bad(Place(name, ""), None, "is a link, which is not followed")
        return found

    def _sweep_folder(self, folder: str) -> list[Place]:
        found = []
        try:
            with self._inside(folder) as inner:
                names = [] if inner is None else inner.names()
                for name, entry in names:
                    if name.endswith(_END) and not name.startswith("."):
                        place = Place(folder, name)
                        with suppress(FileNotFoundError):
                            look = Look.of(entry.stat(follow_symlinks=False))
                            found += [] if self._is_known(place, look) else [place]
        except NoFile as error:
            self._note_bad(Place(folder, ""), None, error.reason)
        return found

    def _is_known(self, place: Place, look: Look) -> bool:
        """Tell whether a file that looks so has been seen, and nothing is to be done about it."""
        bad = self._bad.get(place)
        if bad is not None:
            return bad[0] == look
        seen = self._seen.get(place)
        return seen is not None and seen.look == look and seen.is_settled

    def changed(self, key: Key) -> list[Place]:
        """Return the file of a session where it is new or has changed."""
        return [place for place in self._candidates(key) if self._has_changed(place)]

    def _candidates(self, key: Key) -> list[Place]:
        own = self.place(key)
        plain = f"{key.session_id}{_END}"
        if key in self._sessions or own.name == plain or not is_plain(plain):
            return [own]
        return [own, Place(own.folder, plain)]

    def _has_changed(self, place: Place) -> bool:
        try:
            with self._inside(place.folder) as folder:
                look = None if folder is None else folder.look(place.name)
        except NoFile as error:
            self._note_bad(Place(place.folder, ""), None, error.reason)
            return False
        return look is not None and not self._is_known(place, look)

    def refuse_bad(self, key: Key) -> None:
        """Refuse a session whose file is there, and cannot be read.

        Raises
        ------
        StoreUnavailable
        """
        for place in self._candidates(key):
            if place in self._bad and key not in self._sessions:
                raise StoreUnavailable(
                    f"{self.path_of(place)} {self._bad[place][1]}. It was left untouched, and nothing was "
                    "saved: move it away, or choose another id."
                )

    def examine(self, place: Place) -> Content | None:
        """Read a file; None where it is gone, or cannot be read, which is noted."""
        try:
            with self._inside(place.folder) as folder:
                if folder is None:
                    return None
                data, look = folder.read(place.name, projection.LARGEST)
        except FileNotFoundError:
            self._bad.pop(place, None)
            return None
        except NoFile as error:
            self._note_bad(place, self._look(place), error.reason)
            return None
        except PermissionError:
            self._note_bad(place, self._look(place), "cannot be read: no permission")
            return None
        stamp = projection.glance(data)
        digest = blake2b(data, digest_size=16).hexdigest()
        return Content(look, look.is_settled(), stamp, digest, data)

    def _look(self, place: Place) -> Look | None:
        with suppress(NoFile), self._inside(place.folder) as folder:
            return None if folder is None else folder.look(place.name)
        return None

    def understood(self, place: Place, content: Content) -> tuple[Content, Saved] | None:
        """Return what a file says; None where that is no session, which is noted.

        Another program may be at it just now: it is read once more then.
        """
        for pause in (*_PAUSES, None):
            try:
                return content, projection.read(content.data)
            except Unreadable as error:
                is_fresh = time.time() - content.look.modified / 1e9 < _FRESH_SECONDS
                if pause is None or not is_fresh:
                    self._note_bad(place, content.look, str(error))
                    return None
            time.sleep(pause)
            again = self.examine(place)
            if again is None:
                return None
            content = again
        return None

    def _note_bad(self, place: Place, look: Look | None, reason: str) -> None:
        before = self._bad.get(place)
        self._bad[place] = (look, reason)
        self._seen.pop(place, None)
        if before is None or before[1] != reason:
            self._to_tell.append(f"{self.path_of(place)} {reason}. It was left untouched.")

    def tell(self) -> None:
        """Tell, by warnings, what was noted since the last time."""
        told, self._to_tell = self._to_tell, []
        for text in told:
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    # What it should say

    def said(self, key: Key) -> str:
        """Return what stands for all that the file of a session should say, times apart."""
        record, known = self._sessions[key].record, self._known.get(key)
        held = self._said.get(key)
        if held is None or held[0] is not record or held[1] is not known:
            more = {} if known is None else known.more
            held = self._said[key] = (record, known, projection.said_at(record, more, self._redactions(key)))
        return held[2]

    def _redactions(self, key: Key) -> int:
        head = self._sessions[key].record.head
        if not self._redacted or head.turn_id is None:
            return 0
        return sum(turn.turn_id in self._redacted for turn in Model.chain(self, head.turn_id))

    def is_current(self, key: Key, content: Content) -> bool:
        """Tell whether a file says what its session says."""
        if content.stamp is not None:
            return content.stamp.of == self.said(key)
        known = self._known.get(key)
        return known is not None and known.taken == content.digest

    def line(self, head: Head) -> list[Turn]:
        """Return the turns up to a head, oldest first.

        Raises
        ------
        DamagedTurn
        """
        turns = [] if head.turn_id is None else Model.chain(self, head.turn_id)
        if head.turn_id is not None and (not turns or turns[0].parent_id is not None):
            raise DamagedTurn(head.turn_id)
        return turns

    def dicts(self, head: Head) -> list[dict[str, Any]]:
        """Return the messages up to a head, as chat messages.

        Raises
        ------
        DamagedTurn, InvalidInput, ValueError
        """
        turns = self.line(head)
        found = [message for turn in turns for message in projection.dicts(_whole(turn))]
        if head.keep is not None and turns:
            del found[len(found) - turns[-1].message_count + head.keep :]
        return found

    def _lines(self, key: Key) -> list[str]:
        """Return the messages of a session as its file has them; what was made before is kept."""
        head = self._sessions[key].record.head
        known = self._views.pop(key, None)
        turns = self.line(head)
        lines: list[str] = []
        first = 0
        if known is not None and known[0].keep is None and not self._redacted:
            stood = [n for n, turn in enumerate(turns) if turn.turn_id == known[0].turn_id]
            if stood and turns[stood[0]].total_messages == len(known[1]):
                lines, first = known[1], stood[0] + 1
                if head.turn_id == known[0].turn_id and head.keep is not None:
                    lines, first = [], 0
        for turn in turns[first:]:
            keep = head.keep if turn.turn_id == head.turn_id else None
            lines += projection.lines(_whole(turn), keep)
        self._views[key] = (head, lines)
        while len(self._views) > _VIEWS:
            del self._views[next(iter(self._views))]
        return lines

    # Writing

    def project(self, key: Key) -> bool:
        """Write the file of a session; False where there is one that has not been seen, or cannot be read.

        Raises
        ------
        OSError
        """
        record, known = self._sessions[key].record, self._known.get(key, Known())
        place = self.place(key)
        if place in self._bad:
            return False
        try:
            lines = self._lines(key)
        except (DamagedTurn, InvalidInput, ValueError):
            return True  # whoever reads the session is told; what the file says is the best there is
        data = projection.render(record, lines, known.more, self._redactions(key))
        seen = self._seen.get(place)
        with self._inside(place.folder, make=True) as folder:
            assert folder is not None
            try:
                look, old = folder.replace(place.name, data, self._meta, None if seen is None else seen.look)
            except Changed:
                if folder.look(place.name) is None:  # it was removed: nothing is in the way
                    self._seen.pop(place, None)
                return False
            if old >= 0 and seen is not None:
                self._left_behind.append(Left(place, old, seen, time.monotonic()))
            self._seen[place] = Content(look, True, projection.glance(data), "")
            self._point(key, folder)
            folder.sync()
        return True

    def has_written_behind(self) -> bool:
        """Tell whether another program has written into a file after it was replaced."""
        return any(left.is_written() for left in self._left_behind)

    def written_behind(self) -> list[tuple[Place, Content]]:
        """Return what another program has written into files after they were replaced.

        It had opened them before: they have no name any more, and nobody else will find that.
        """
        found = []
        for left in list(self._left_behind):
            is_old = time.monotonic() - left.since > _LEFT_SECONDS
            if left.is_written():
                look = Look.of(os.fstat(left.fd))
                data = os.pread(left.fd, projection.LARGEST, 0)
                with suppress(Unreadable):  # it is still being written
                    projection.read(data)
                    digest = blake2b(data, digest_size=16).hexdigest()
                    found.append((left.place, Content(look, False, None, digest, data)))
                    is_old = True
            if is_old:
                self._left_behind.remove(left)
                os.close(left.fd)
        return found

    def _point(self, key: Key, folder: Folder) -> None:
        """Say which session of a folder is the latest, where that is this one now."""
        conversation = key.conversation_id
        newest = self._newest.get(conversation)
        held = None if newest is None else self._sessions.get(Key(conversation, newest))
        mine = self._sessions[key].record
        if held is None:
            others = [s.record for k, s in self._sessions.items() if k.conversation_id == conversation]
            mine = max(reversed(others), key=lambda record: record.updated_at)
        elif held.record.updated_at > mine.updated_at:
            mine = held.record
        self._newest[conversation] = mine.session_id
        self.write_latest(folder, mine.session_id)

    def write_latest(self, folder: Folder, session_id: str) -> None:
        """Write which session is the latest, where something else is there."""
        wanted = session_id.encode()
        try:
            if folder.read(LATEST, len(wanted))[0] == wanted:
                return
        except OSError:
            pass  # a link, a folder, nothing, or something longer: what is there is replaced
        try:
            folder.write(LATEST, wanted, self._meta)
        except IsADirectoryError:
            self._note_bad(Place("", LATEST), None, "is a folder")

    def missing(self) -> list[Key]:
        """Return the sessions whose files another program has removed."""
        return [
            key for key in self._sessions if key not in self._owed and self._look(self.place(key)) is None
        ]

    def unlink(self, place: Place) -> None:
        """Remove a file, where it is as it was seen last."""
        try:
            with self._inside(place.folder) as folder:
                seen = self._seen.pop(place, None)
                if folder is None:
                    return
                there = folder.look(place.name)
                if there is None:
                    return
                if seen is None or seen.look != there:
                    content = self.examine(place)
                    if content is None or content.stamp is None:
                        return
                folder.remove(place.name)
                folder.sync()
        except NoFile as error:
            self._note_bad(Place(place.folder, ""), None, error.reason)

    def point_again(self, conversation: str) -> None:
        """Say anew which session of a folder is the latest, after one was deleted."""
        self._newest.pop(conversation, None)
        records = [s.record for k, s in self._sessions.items() if k.conversation_id == conversation]
        with suppress(NoFile), self._inside(self._folder_name(conversation)) as folder:
            if folder is None:
                return
            if records:
                newest = max(reversed(records), key=lambda record: record.updated_at)
                self._newest[conversation] = newest.session_id
                self.write_latest(folder, newest.session_id)
            else:
                folder.remove(LATEST)


def _whole(turn: Turn) -> Turn:
    if not is_intact(turn):
        raise DamagedTurn(turn.turn_id)
    return turn
