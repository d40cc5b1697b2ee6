"""Who listens to a run over HTTP, in a thread of its own, and remembers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

SECONDS = 60


@dataclass
class Sent:
    """One event of a stream."""

    id: int | None
    event: str
    data: Any


class Listener:
    """A client that listens until the stream ends, or it is told to leave."""

    def __init__(self, client: httpx2.Client, run_id: str, **headers: str) -> None:
        self.sent: list[Sent] = []
        self.status = 0
        self.headers: dict[str, str] = {}
        self.error: Exception | None = None
        self._news = threading.Condition()
        self._leaves = False
        self._thread = threading.Thread(target=self._listen, args=(client, run_id, headers), daemon=True)
        self._thread.start()

    def _listen(self, client: httpx2.Client, run_id: str, headers: dict[str, str]) -> None:
        try:
            with client.stream(
                "GET", f"/runs/{run_id}/events", headers={"Accept": "text/event-stream", **headers}
            ) as response:
                with self._news:
                    self.status, self.headers = response.status_code, dict(response.headers)
                    self._news.notify_all()
                for sent in parsed(response.iter_lines()):
                    with self._news:
                        self.sent.append(sent)
                        self._news.notify_all()
                    if self._leaves:
                        return
        except httpx2.TransportError as error:
            self.error = error
        finally:
            with self._news:
                self._news.notify_all()

    @property
    def events(self) -> list[Sent]:
        """What happened in the run."""
        return [sent for sent in self.sent if sent.id is not None]

    @property
    def ids(self) -> list[int | None]:
        return [sent.id for sent in self.events]

    @property
    def text(self) -> str:
        return "".join(s.data["delta"] for s in self.sent if s.event == "TEXT_MESSAGE_CONTENT")

    def hears(self, text: str) -> None:
        """Wait until this is what the answer says."""
        self._wait(lambda: self.text == text)

    def is_answered(self) -> None:
        """Wait until the server has answered."""
        self._wait(lambda: self.status != 0)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, SECONDS), [sent.event for sent in self.sent]

    def ends(self) -> Any:
        """Wait for the end of the stream, and return what it said of it."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self.sent[-1].data if self.sent and self.sent[-1].event == "end" else None

    def leave(self) -> None:
        """Go away with the next event."""
        self._leaves = True


def parsed(lines: Iterator[str]) -> Iterator[Sent]:
    """Yield the events of a stream, as a browser reads it."""
    found: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            found[name] = value.removeprefix(" ")
        elif not line and "data" in found:
            number = int(found["id"]) if "id" in found else None
            yield Sent(number, found.get("event", "message"), json.loads(found["data"]))
            found = {}
        elif not line:
            found = {}
