"""What a session is, in the plainest way: for `machine`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from nbsessions.records import Usage
from nbsessions.session import Session
from nbsessions.testing.contract.seen import Said, said_by
from nbsessions.testing.scripted import Piece

_CALL: Final = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
_SPENT: Final = Usage(input_tokens=5, output_tokens=2, requests=1)
ANSWERS: Final[dict[str, tuple[list[Piece], Said | None]]] = {
    "text": (["Hi", _SPENT], (("assistant", "Hi"),)),
    "tool call": (
        [
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
            "It is 3.",
        ],
        (("assistant", ""), ("tool", "3"), ("assistant", "It is 3.")),
    ),
    "failure": (["I was about to ", _SPENT, ValueError("no idea")], None),
}
"""What an agent answers, and what is said then; None: nothing."""


@dataclass
class Plain:
    """A session: all that was said, each time it moved, and the steps of its draft."""

    past: list[Said]
    draft: list[Said] = field(default_factory=list)
    base: Said = ()
    """What the draft began from."""
    sure: bool = True
    """Whether all its moves were such as this model knows."""
    gone: bool = False


class Handle:
    """One session as one notebook holds it, on both stores, and what it must say."""

    def __init__(self, mine: Session, theirs: Session, plain: Plain) -> None:
        self.mine, self.theirs, self.plain = mine, theirs, plain
        self.said: Said = ()
        self.base: Said = ()
        """What the saved head said, when this handle last saw it."""

    def __repr__(self) -> str:
        return f"<{self.mine.name!r}: {len(self.said)} messages>"

    @property
    def drafts(self) -> bool:
        """Whether it stands on a draft."""
        return not self.mine.saved

    def stand(self) -> None:
        """Stand where the session is now."""
        if not self.plain.sure:
            self.said = said_by(self.mine.messages)
            self.base = ()
        elif self.drafts:
            self.said, self.base = self.plain.draft[-1], self.plain.base
        else:
            self.said = self.base = self.plain.past[-1]

    def moved(self, said: Said, *, forked: bool) -> None:
        """Note a move that went through; `forked`: onto a fork, because another writer was first."""
        if forked:
            self._fork(self.said, said)
        elif self.drafts:
            if not self.plain.draft:
                self.plain.base = self.base
            self.plain.draft.append(said)
            self.said = said
        else:
            self.plain.past.append(said)
            self.said = self.base = said

    def _fork(self, base: Said, said: Said) -> None:
        self.plain = Plain([base, said])
        self.said = self.base = said

    def saved(self, *, forked: bool) -> None:
        """Note that the draft was saved."""
        if forked:
            # Whether the session still has the draft depends on who else went on from it.
            self.plain.sure = False
            self._fork(self.base, self.said)
            return
        self.plain.past.append(self.said)
        self.plain.draft.clear()
        self.base = self.said

    def undone(self) -> Said | None:
        """Return what it says after an undo; None where the plain model does not know."""
        plain = self.plain
        if not plain.sure or (not self.mine.autosave and not self.drafts):
            return None
        if self.drafts:
            below = plain.draft[-2] if len(plain.draft) > 1 else self.base
            return below if plain.draft and plain.draft[-1] == self.said else None
        return plain.past[-2] if len(plain.past) > 1 and plain.past[-1] == self.said else None

    def take_back(self, expected: Said | None, *, drafted: bool, forked: bool) -> None:
        """Note an undo that went through; `drafted`: it stood on a draft before."""
        said = said_by(self.mine.messages)
        if forked:
            self._fork(self.said, said)
        elif expected is None:
            self.plain.sure = False
            self.said = said
        elif drafted:
            self.plain.draft.pop()
            self.said = expected
        else:
            self.plain.past.pop()
            self.said = self.base = expected

    def check(self, session: Session) -> None:
        """Hold one of its two sessions against the model."""
        assert said_by(session.messages) == self.said
        assert session.message_count == len(self.said)
        assert session.turn_count == sum(role == "user" for role, _ in self.said)

    def check_cold(self, session: Session) -> None:
        """Hold a handle that has read nothing yet against the model."""
        if not self.plain.sure:
            return
        said = self.plain.past[-1]
        for limit in (1, 3):
            assert said_by(session.history(limit)) == said[-limit:]
        assert said_by(m for item in session.visible() for m in item.messages) == said
        assert said_by(session.messages) == said
        assert session.message_count == len(said)
        assert session.turn_count == sum(role == "user" for role, _ in said)
