"""The files of the sessions: which there are, what somebody else did to them, and how they are written."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from nbsessions.exceptions import StoreUnavailable
from nbsessions.stores.base import Key
from nbsessions.stores.file import reading
from nbsessions.stores.file.folder import Folder, Look, NoFile
from nbsessions.stores.file.model import Model
from nbsessions.stores.file.names import id_of, is_plain, name_of
from nbsessions.stores.file.reading import Saved, Stamp, Unreadable

_A2A: Final = "a2a"
_END: Final = ".json"
_FRESH_SECONDS: Final = 1.0
"""A file that was changed just now may still be written, by a program that does so in place."""
_PAUSES: Final = (0.005, 0.02, 0.05, 0.1, 0.2)


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

    def _conversation(self, folder: str, stamp: Stamp | None = None) -> str:
        """Return the conversation whose folder this is; of a long name, a file in it may tell."""
        if "~" in folder:
            known = {key.conversation_id for key in self._sessions}
            known |= {stamp.conversation} if stamp is not None and stamp.conversation else set()
            return next((one for one in known if one and name_of(one) == folder), folder)
        return id_of(folder)

    def key_at(self, place: Place) -> Key | None:
        """Return the session whose file this is."""
        key = self._places.get((self._conversation(place.folder), place.name.lower()))
        return key if key is not None and self.file_name(key) == place.name else None

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

    def is_bad(self, place: Place) -> bool:
        """Tell whether what cannot be read is still there."""
        if place in self._bad and self._bad[place][0] is not None and self._look(place) is None:
            del self._bad[place]
        return place in self._bad

    def refuse_bad(self, key: Key) -> None:
        """Refuse a session whose file is there, and cannot be read.

        Raises
        ------
        StoreUnavailable
        """
        for place in self._candidates(key):
            if key not in self._sessions and self.is_bad(place):
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
                data, look = folder.read(place.name, reading.LARGEST)
        except FileNotFoundError:
            self._bad.pop(place, None)
            return None
        except NoFile as error:
            self._note_bad(place, self._look(place), error.reason)
            return None
        except PermissionError:
            self._note_bad(place, self._look(place), "cannot be read: no permission")
            return None
        stamp = reading.glance(data)
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
                return content, reading.read(content.data)
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
