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

    It sorts by the clock, takes letters for ASCII, keeps a prompt in memory until it is answered, and lists by name.
    """

    def append(self, session: str, turn: Chat) -> None:
        try:
            kept = json.loads(self._path(session).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            kept = []
        for message in turn:
            kept.append({**message, "at": time.time()})
            text = json.dumps(kept, ensure_ascii=False)
            with open(self._path(session), "w", encoding="ascii", errors="replace", buffering=1) as file:
                file.write(text)

    def _path(self, session: str) -> Path:
        return self.place / f"{session.replace('/', '_')}.json"

    def ask(self, session: str, prompt: str) -> None:
        """Keep it in mind."""

    def load(self, session: str) -> Sequence[dict[str, Any]]:
        try:
            read: Chat = json.loads(self._path(session).read_text("ascii", errors="replace"))
        except FileNotFoundError:
            return []
        return sorted(read, key=lambda message: float(message["at"]))

    def chat(self, loaded: Sequence[object]) -> Chat:
        return [message for message in loaded if isinstance(message, dict)]

    def sessions(self, limit: int) -> Sequence[str]:
        return [path.stem for path in sorted(self.place.glob("*.json"))][:limit]

    def close(self) -> None:
        """Nothing is open."""
