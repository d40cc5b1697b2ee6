"""Turns that can be told apart: a prompt, a call of a tool, its result, and an answer, all with one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import nbsessions as nbs
from nbsessions.records import Message, Turn
from nbsessions.session import Session
from nbsessions.values import encode_json

if TYPE_CHECKING:
    from nbsessions.recorder import Listener

PADDING = "It is as it was said to be. " * 8


def chat(label: str) -> list[dict[str, Any]]:
    """Return the messages of a turn."""
    call = {"id": f"call {label}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return [
        {"role": "user", "content": f"{label}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": f"{label}: {PADDING}", "tool_call_id": f"call {label}"},
        {"role": "assistant", "content": f"{label}!"},
    ]


def answer(prompt: str) -> list[dict[str, Any]]:
    """Answer as an agent does that calls a tool: about ten events."""
    return chat(prompt.removesuffix("?"))[1:]


def send(session: Session, label: str, on_event: Listener | None = None) -> None:
    """Append a turn by a run."""
    session.send(f"{label}?", agent=answer, on_event=on_event)


def commit(session: Session, label: str) -> None:
    """Append a turn at once."""
    session.commit("turn", "chat", encode_json(chat(label), "turn"), prompts=1)


def append(session: Session, label: str, number: int) -> None:
    """Append a turn, every other one by a run."""
    (commit if number % 2 else send)(session, label)


def warm_up() -> None:
    """Import all that a run needs, so that forked children need not."""
    append(nbs.open_store("memory:").create(), "warm", 0)


class Told(NamedTuple):
    """What a session's messages say."""

    labels: list[str]
    """Of its whole turns, in their order."""
    torn: list[str]
    """What begins a turn that is not whole."""

    @property
    def twice(self) -> int:
        """How many turns are there more often than once."""
        return len(self.labels) - len(set(self.labels))


def told(messages: Iterable[Message]) -> Told:
    """Take messages apart into turns."""
    groups: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not groups:
            groups.append([])
        groups[-1].append(message)
    found = Told([], [])
    for group in groups:
        label = group[0].text.removesuffix("?")
        whole = [_plain(message) for message in group] == [_plain(Message(**one)) for one in chat(label)]
        (found.labels if whole else found.torn).append(label)
    return found


def _plain(message: Message) -> tuple[object, ...]:
    return message.role, message.text, message.calls, message.tool_call_id


def repeated(turns: Iterable[Turn]) -> int:
    """Count the labels that more than one of these turns has; the same turn may come several times."""
    labels = Counter(turn.body.partition('"content":"')[2].partition("?")[0] for turn in {*turns})
    return sum(count - 1 for count in labels.values())
