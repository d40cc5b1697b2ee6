"""A store as it should not be: what cannot find its faults proves nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peers.base import Chat, Peer


class InPlace(Peer):
    """A JSON file for each session, which is written anew in its own place, without a lock and message by message.

    It takes what it cannot read for nothing, and letters for ASCII. It sorts by the clock, lists by name, and keeps
    a prompt in memory until it is answered.
    """

    def append(self, session: str, turn: Chat) -> None:
        kept = self._read(session)
        kept += [{**message, "at": time.time()} for message in turn]
        with open(self._path(session), "w", encoding="ascii", errors="replace") as file:
            for before, message in zip(["[", *"," * len(kept)], kept, strict=False):
                file.write(before + json.dumps(message, ensure_ascii=False))
                file.flush()
            file.write("]")

    def _read(self, session: str) -> Chat:
        try:
            read: Chat = json.loads(self._path(session).read_text("ascii", errors="replace"))
        except (FileNotFoundError, ValueError):
            return []
        return read

    def _path(self, session: str) -> Path:
        return self.place / f"{session.replace('/', '_')}.json"

    def ask(self, session: str, prompt: str) -> None:
        """Keep it in mind."""

    def load(self, session: str) -> Sequence[dict[str, Any]]:
        return sorted(self._read(session), key=lambda message: float(message["at"]))

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for message in loaded if isinstance(message, dict)]

    def sessions(self, limit: int) -> Sequence[str]:
        return [path.stem for path in sorted(self.place.glob("*.json"))][:limit]

    def close(self) -> None:
        """Nothing is open."""
