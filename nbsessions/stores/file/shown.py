"""What the files of the sessions should say, and how they are written."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import DamagedTurn, InvalidInput
from nbsessions.hashes import is_intact
from nbsessions.records import Head, Turn
from nbsessions.stores.base import Key
from nbsessions.stores.file import projection, reading
from nbsessions.stores.file.files import Content, Files, Place
from nbsessions.stores.file.folder import Changed, Folder, Look, NoFile
from nbsessions.stores.file.model import Known, Model
from nbsessions.stores.file.reading import Unreadable

LATEST: Final = ".latest"
_VIEWS: Final = 8
_LEFT_SECONDS: Final = 2.0
"""So long another program may take to write a file that it has opened."""
_LEFT_MOST: Final = 32


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


class Shown(Files):
    """A store whose files say what its sessions do."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url, path)
        self._said: dict[Key, tuple[object, object, str]] = {}
        self._views: dict[Key, tuple[Head, list[str]]] = {}
        self._newest: dict[str, str] = {}
        self._left_behind: list[Left] = []

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

    def is_let_in(self, place: Place, content: Content) -> bool:
        """Tell whether what a file says, or said when it was made, is known here."""
        if content.stamp is not None:
            # That of a store elsewhere, to which the folder was copied, may tell of more than there is here.
            return content.stamp.head.turn_id is None or content.stamp.head.turn_id in self._turns
        key = self.key_at(place)
        return key is not None and self._known.get(key, Known()).taken == content.digest

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
        if self.is_bad(place):
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
                self._leave_behind(Left(place, old, seen, time.monotonic()))
            self._seen[place] = Content(look, True, reading.glance(data), "")
            self._point(key, folder)
            folder.sync()
        return True

    def _leave_behind(self, left: Left) -> None:
        self._left_behind.append(left)
        for oldest in self._left_behind[:-_LEFT_MOST]:
            if not oldest.is_written():
                self._left_behind.remove(oldest)
                os.close(oldest.fd)

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
                data = os.pread(left.fd, reading.LARGEST, 0)
                with suppress(Unreadable):  # it is still being written
                    reading.read(data)
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
        places = {self.place(key): key for key in self._sessions if key not in self._owed}
        for name in {place.folder for place in places}:
            with suppress(NoFile), self._inside(name) as folder:
                there = [] if folder is None else [found for found, _ in folder.names()]
                for found in there:
                    places.pop(Place(name, found), None)
        return list(places.values())

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
