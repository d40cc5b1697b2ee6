"""Threads of LangGraph as sessions: which one is whose, and what is shown in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import takewhile
from typing import Any, Final

from langchain_core.messages import BaseMessage, messages_to_dict
from pydantic_core import to_jsonable_python

from nbsessions.codecs import codec, is_prompt
from nbsessions.exceptions import InvalidInput, SessionConflict, SessionExists, SessionNotFound
from nbsessions.names import check_id
from nbsessions.records import Head, SessionRecord
from nbsessions.session import Session
from nbsessions.store import Store
from nbsessions.stores.base import Key, Query
from nbsessions.values import encode_json

_CODEC: Final = "langchain"
_TRIES: Final = 20
"""So often another process may have been faster."""


class Threads:
    """The sessions that threads are.

    Parameters
    ----------
    store : Store
    agent_name : str
        Of those that are made.
    """

    def __init__(self, store: Store, agent_name: str) -> None:
        self._store, self._agent_name = store, check_id(agent_name, "agent_name")
        self._shown: dict[Key, tuple[Head, list[str]]] = {}
        """What was shown last, and where that is: it need not be read again."""

    def key(self, thread: str) -> Key:
        """Return the session of a thread, which may not be there yet."""
        try:
            return Key("", check_id(thread, "thread_id"))
        except InvalidInput:
            return Key("", f"thread-{sha256(thread.encode(errors='surrogatepass')).hexdigest()[:32]}")

    def exists(self, key: Key) -> bool:
        """Tell whether there is a session."""
        return self._store.backend.get(key) is not None

    def made(self, thread: str) -> Key:
        """Return the session of a thread, made where there is none.

        Raises
        ------
        NotOwner
        """
        key = self.key(thread)
        record = self._store.backend.get(key)
        if record is not None:
            self._session(record).check_owner()
            return key
        metadata = {} if key.session_id == thread else {"thread_id": thread}
        try:
            self._store.create(session_id=key.session_id, agent_name=self._agent_name, metadata=metadata)
        except SessionExists:  # another process was faster
            return self.made(thread)
        return key

    def all(self) -> Iterator[tuple[Key, str]]:
        """Yield all threads that were made for this agent, the newest first."""
        for record in self._store.backend.find(Query(agent_name=self._agent_name)):
            yield Key.of(record), str(record.metadata.get("thread_id", record.session_id))

    def delete(self, thread: str) -> None:
        """Delete the session of a thread, where there is one."""
        record = self._store.backend.get(self.key(thread))
        if record is not None:
            self._store.delete_all([record])
        self._shown.pop(self.key(thread), None)

    def _session(self, record: SessionRecord) -> Session:
        return Session(self._store.backend, record, actor=self._store.owner, on_conflict="error")

    def show(self, key: Key, messages: Sequence[str]) -> None:
        """Let a session say these messages, each as JSON: what is new of them is a turn of it.

        Raises
        ------
        SessionConflict
            Others move its head all the time.
        """
        for attempt in range(_TRIES):
            record = self._store.backend.get(key)
            if record is None:
                raise SessionNotFound(key.session_id)
            try:
                # What is said already is told by what is stored, and that is without secrets.
                self._show(self._session(record), self._store.backend.clean(messages))
                return
            except SessionConflict:
                if attempt == _TRIES - 1:
                    raise

    def _show(self, session: Session, messages: Sequence[str]) -> None:
        head, said = self._shown.get(session.key, (None, []))
        if head != session.head:
            said = [_text(item) for item in session.visible()]
        pairs = zip(said, messages, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if same == len(messages) < len(said):
            session.rewind(same)
        elif same < len(messages):
            body = f"[{','.join(messages[same:])}]"
            prompts = sum(map(is_prompt, codec(_CODEC).view(body)))
            base = None if same == len(said) else session.place(same).head if same else Head()
            action = "turn" if base is None else "update"
            session.commit(action, _CODEC, body, prompts=prompts, base=base)
        self._shown[session.key] = (session.head, list(messages))


def _text(item: Any) -> str:
    return encode_json(item.native, "message") if item.codec == _CODEC else ""


def natives(value: object) -> list[str] | None:
    """Return messages of a state as JSON; None where it has none that can be shown."""
    if not isinstance(value, list) or not all(isinstance(one, BaseMessage) for one in value):
        return None
    told = messages_to_dict(value)
    try:
        return [encode_json(native, "message") for native in told]
    except InvalidInput:  # an artifact of a tool that is no JSON is shown as text
        shown = to_jsonable_python(told, serialize_unknown=True, inf_nan_mode="null")
        return [encode_json(native, "message") for native in shown]
