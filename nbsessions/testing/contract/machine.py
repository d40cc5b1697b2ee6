"""
Any sequence of steps: on a store, on the memory store beside it, and in the plainest model there is.

Needs ``hypothesis``; `walk` and `StoreContract` run it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from nbsessions.codecs import codec
from nbsessions.records import Message
from nbsessions.session import Session
from nbsessions.store import Store
from nbsessions.stores.base import Backend, Document, Documents
from nbsessions.stores.memory import MemoryBackend
from nbsessions.testing.contract.plain import ANSWERS, Handle, Plain
from nbsessions.testing.contract.seen import Outcome, Said, attempted, listed, said_by, shown
from nbsessions.testing.scripted import ScriptedAgent
from nbsessions.values import encode_json

_NAMES = st.sampled_from(["plan", "essay", "notes", "ä 😀"])
_TAGS = st.lists(st.sampled_from(["a", "b", 'odd "%_']), max_size=2)
_ROLES = st.sampled_from(["user", "assistant", "system", "tool"])
_SEVERAL = st.lists(_ROLES, min_size=1, max_size=4)
_DOCUMENTS = st.lists(st.sampled_from(["n1", "n10", "n2", "\u00e4"]), max_size=3)
_STEPS_BACK = st.integers(-1, 6)
_MOST = 4
"""So many handles at once: more would each be left alone for too long."""


class StoreMachine(RuleBasedStateMachine):
    """The steps of a person, taken on a store and on the memory store, and held against a plain model.

    A handle of the bundle is one session as one notebook holds it: two of them may work on one session.
    """

    handles = Bundle("handles")

    def __init__(self, open_backend: Callable[[Path], Backend], folder: Path) -> None:
        super().__init__()
        self._open, self._folder = open_backend, folder
        folder.mkdir(parents=True)
        self._model = Store(MemoryBackend(), owner="ada")
        self._store = Store(open_backend(folder), owner="ada")
        self._held: list[Handle] = []
        self._number = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        self._store.close()
        shutil.rmtree(self._folder)

    @invariant()
    def stands(self) -> None:
        """What one handle did, no other handle shows before it looks."""
        for handle in self._held:
            for one in (handle.mine, handle.theirs):
                handle.check(one)

    # Sessions

    @initialize(target=handles)
    def begin(self) -> Any:
        """One session is always there."""
        return self._hold(lambda store: store.create("first", state={"step": 0}), Plain([()]))

    @precondition(lambda self: len(self._held) < _MOST)
    @rule(target=handles, name=_NAMES, tags=_TAGS, step=st.integers(0, 9))
    def create(self, name: str, tags: list[str], step: int) -> Any:
        """Start a session, whose name may be taken."""
        options: dict[str, Any] = {"tags": tags, "state": {"step": step}, "metadata": {"made": step}}
        return self._hold(lambda store: store.create(name, **options), Plain([()]))

    @precondition(lambda self: len(self._held) < _MOST)
    @rule(target=handles, handle=handles, autosave=st.booleans(), draft=st.booleans(), strict=st.booleans())
    def join(self, handle: Handle, autosave: bool, draft: bool, strict: bool) -> Any:
        """Go on with a session in a second notebook."""
        conflict = "error" if strict else "fork"
        options: dict[str, Any] = {"autosave": autosave, "draft": draft, "on_conflict": conflict}
        return self._hold(lambda store: store.resume(self._name(handle), **options), handle.plain)

    @precondition(lambda self: len(self._held) < _MOST)
    @rule(target=handles, handle=handles, back=st.none() | _STEPS_BACK)
    def fork(self, handle: Handle, back: int | None) -> Any:
        """Try another way from here, or from before."""
        at = None if back is None else max(0, len(handle.said) - back)
        mine, theirs = (attempted(partial(one.fork, at=at)) for one in (handle.mine, handle.theirs))
        return self._pair(mine, theirs, Plain([handle.said[:at]]))

    @rule(handle=handles)
    def delete(self, handle: Handle) -> None:
        """Delete a session; those who hold it find out."""
        name = self._name(handle)
        outcomes = [attempted(partial(one.delete, name)) for one in (self._model, self._store)]
        assert outcomes[0].told == outcomes[1].told
        handle.plain.gone = handle.plain.gone or outcomes[0].value is True
        self._look(handle)

    @precondition(lambda self: self._store.backend.persistent)
    @rule()
    def restart(self) -> None:
        """Close the store, and open it again; handles go on where they stood."""
        self._store.close()
        self._store = Store(self._open(self._folder), owner="ada")
        for handle in self._held:
            handle.theirs.backend = self._store.backend
            self._look(handle)

    # Moves

    @rule(handle=handles, role=_ROLES)
    def add(self, handle: Handle, role: str) -> None:
        """Add a message."""
        (message,) = self._messages([role])
        self._step(handle, lambda one: one.add_message(message), (*handle.said, *said_by([message])))

    @rule(handle=handles, name=st.sampled_from(["chat", "pydantic-ai"]), roles=_SEVERAL)
    def commit(self, handle: Handle, name: str, roles: list[str]) -> None:
        """Commit a turn of several messages, as an agent of some framework makes it."""
        messages = self._messages(roles)
        body = encode_json(codec(name).encode(messages), "turn")
        prompts = roles.count("user")
        said = (*handle.said, *said_by(messages))
        self._step(handle, lambda one: one.commit("turn", name, body, prompts=prompts), said)

    @rule(handle=handles, answer=st.sampled_from(sorted(ANSWERS)))
    def send(self, handle: Handle, answer: str) -> None:
        """Ask an agent, which may fail."""
        (prompt,) = self._messages(["user"])
        script, told = ANSWERS[answer]
        said = None if told is None else (*handle.said, *said_by([prompt]), *told)
        self._step(handle, lambda one: one.send(prompt.text, agent=ScriptedAgent([script])), said)

    @rule(handle=handles, back=_STEPS_BACK)
    def rewind(self, handle: Handle, back: int) -> None:
        """Go back, or try to go past the end."""
        to = max(0, len(handle.said) - back)
        said = handle.said[:to] if to < len(handle.said) else None
        self._step(handle, lambda one: one.rewind(to), said)

    @rule(handle=handles, roles=_SEVERAL)
    def replace(self, handle: Handle, roles: list[str]) -> None:
        """Assign other messages."""
        messages = self._messages(roles)
        self._step(handle, lambda one: setattr(one, "messages", messages), said_by(messages))

    @rule(handle=handles)
    def clear(self, handle: Handle) -> None:
        """Empty the session but for its system messages."""
        kept = tuple(one for one in handle.said if one[0] == "system")
        self._step(handle, lambda one: one.clear_history(), kept)

    @rule(handle=handles)
    def undo(self, handle: Handle) -> None:
        """Take back the last move."""
        expected, drafted = handle.undone(), handle.drafts
        before = handle.mine.session_id
        outcome = self._both(handle, lambda one: one.undo())
        forked = handle.mine.session_id != before
        if outcome.error is None:
            handle.take_back(expected, drafted=drafted, forked=forked)
        elif expected is not None and not handle.plain.gone:
            assert outcome.error == "SessionConflict", outcome
        self._look(handle)

    @rule(handle=handles)
    def save(self, handle: Handle) -> None:
        """Move the head to the draft."""
        before, drafted = handle.mine.session_id, handle.drafts
        outcome = self._both(handle, lambda one: one.save())
        if outcome.error is None and drafted:
            handle.saved(forked=handle.mine.session_id != before)
        self._look(handle)

    # What is no move of the head

    @rule(handle=handles, step=st.integers(1, 9))
    def set_state(self, handle: Handle, step: int) -> None:
        """Assign the state, which goes with the head."""
        moves = not handle.drafts and not handle.mine.autosave
        before = handle.mine.session_id
        outcome = self._both(handle, lambda one: setattr(one, "state", {"step": step}))
        forked = handle.mine.session_id != before
        if outcome.error is None and (moves or forked):
            handle.moved(handle.said, forked=forked)
        self._look(handle)

    @rule(handle=handles, value=st.dictionaries(st.sampled_from(["a", "ä"]), st.integers(), max_size=2))
    def set_metadata(self, handle: Handle, value: dict[str, int]) -> None:
        """Assign the metadata."""
        self._step(handle, lambda one: setattr(one, "metadata", value))

    @rule(handle=handles, tags=_TAGS)
    def tag(self, handle: Handle, tags: list[str]) -> None:
        """Add tags."""
        self._step(handle, lambda one: one.tag(*tags))

    @rule(handle=handles, tags=_TAGS)
    def untag(self, handle: Handle, tags: list[str]) -> None:
        """Take tags away."""
        self._step(handle, lambda one: one.untag(*tags))

    @rule(handle=handles, name=_NAMES)
    def rename(self, handle: Handle, name: str) -> None:
        """Give a session a name, which may be taken."""
        self._step(handle, lambda one: one.rename(name))

    @rule(handle=handles, collection=st.sampled_from("ab"), names=_DOCUMENTS, keep=st.booleans())
    def put_documents(self, handle: Handle, collection: str, names: list[str], keep: bool) -> None:
        """Put documents beside the conversation."""
        self._number += 1
        made = [Document(collection, name, str(self._number)) for name in names]
        self._step(handle, lambda one: one.backend.put_documents(one.key, made, keep=keep))

    @rule(handle=handles, names=st.none() | _DOCUMENTS, prefix=st.sampled_from(["", "n", "n1"]))
    def drop_documents(self, handle: Handle, names: list[str] | None, prefix: str) -> None:
        """Remove some of them."""
        asked = Documents(names=names, prefix=prefix)
        self._step(handle, lambda one: one.backend.drop_documents(one.key, asked))

    @rule(handle=handles, on=st.booleans())
    def autosave(self, handle: Handle, on: bool) -> None:
        """Save every turn, or only when asked to."""
        self._step(handle, lambda one: setattr(one, "autosave", on))

    @rule(handle=handles)
    def refresh(self, handle: Handle) -> None:
        """Let in what others did."""
        if self._both(handle, lambda one: one.refresh()).error is None:
            handle.stand()
        self._look(handle)

    # How a step is taken

    def _messages(self, roles: Sequence[str]) -> list[Message]:
        made = []
        for role in roles:
            self._number += 1
            more = {"tool_call_id": "c"} if role == "tool" else {}
            made.append(Message.model_validate({"role": role, "content": f"{role} {self._number}", **more}))
        return made

    def _name(self, handle: Handle) -> str:
        record = self._model.backend.get(handle.mine.key)
        return "nowhere" if record is None else str(record.name)

    def _hold(self, call: Callable[[Store], Session], plain: Plain) -> Any:
        mine, theirs = (attempted(partial(call, one)) for one in (self._model, self._store))
        return self._pair(mine, theirs, plain)

    def _pair(self, mine: Outcome, theirs: Outcome, plain: Plain) -> Any:
        assert mine.told == theirs.told
        if mine.error is not None:
            return multiple()
        handle = Handle(mine.value, theirs.value, plain)
        handle.stand()
        self._held.append(handle)
        self._look(handle)
        return handle

    def _both(self, handle: Handle, call: Callable[[Session], object]) -> Outcome:
        mine, theirs = (attempted(partial(call, one)) for one in (handle.mine, handle.theirs))
        assert mine.told == theirs.told
        return mine

    def _step(self, handle: Handle, call: Callable[[Session], object], said: Said | None = None) -> None:
        before = handle.mine.session_id
        outcome = self._both(handle, call)
        if outcome.error is None and said is not None:
            handle.moved(said, forked=handle.mine.session_id != before)
        self._look(handle)

    def _look(self, handle: Handle) -> None:
        """Hold what a handle, and who comes new to the store, sees against the other store and the model."""
        assert shown(handle.mine) == shown(handle.theirs)
        assert listed(self._model) == listed(self._store)
        if handle.plain.gone:
            return
        cold = [store.resume(one.session_id) for store, one in self._stores(handle)]
        for one in cold:
            handle.check_cold(one)
        assert shown(cold[0]) == shown(cold[1])

    def _stores(self, handle: Handle) -> list[tuple[Store, Session]]:
        return [(self._model, handle.mine), (self._store, handle.theirs)]
