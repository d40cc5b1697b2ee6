"""A session of ours where the OpenAI Agents SDK takes one: https://openai.github.io/openai-agents-python/sessions."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nbsessions import chains
from nbsessions.codecs import Item, codec, is_prompt
from nbsessions.exceptions import InvalidInput, MissingExtra, SessionConflict, SessionExists
from nbsessions.session import Session as OwnSession
from nbsessions.store import Store, open_store
from nbsessions.values import encode_json

try:
    from agents.memory import SessionSettings
except ImportError as error:
    raise MissingExtra("A session inside the OpenAI Agents SDK", "openai-agents") from error

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

T = TypeVar("T")
_CODEC: Final = "openai-agents"
_TRIES: Final = 1000
"""Whoever loses a race tries again: somebody else has won it each time."""


class Session:
    """Keeps what agents of the OpenAI Agents SDK say in a session of ours.

    Use it where the SDK's ``SQLiteSession`` stands: ``Runner.run(agent, "Hello", session=session)``. What is
    in it is listed, searched, forked and undone like all else in the store, and what another framework said
    in the same session, the agents see.

    Parameters
    ----------
    session_id : str or nbsessions.Session
        The id or the name of a session, which is made where there is none; or a session that is open.
    store : Store, str, path or None
        Where it lives, or what `open_store` takes. None: the default store.
    session_settings : agents.SessionSettings or dict or None
        Its ``limit`` says how many items the agents see.
    agent_name : str
        Whose session it is, where it is made.

    Examples
    --------
    >>> import asyncio
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> session = Session("chat-7", store)
    >>> asyncio.run(session.add_items([{"role": "user", "content": "Where does the owl live?"}]))
    >>> asyncio.run(session.get_items())
    [{'role': 'user', 'content': 'Where does the owl live?'}]
    >>> store.search("owl")[0].session.session_id
    'chat-7'
    """

    def __init__(
        self,
        session_id: str | OwnSession,
        store: Store | str | os.PathLike[str] | None = None,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        agent_name: str = "openai-agents",
    ) -> None:
        self._session = session_id if isinstance(session_id, OwnSession) else None
        self.session_id = session_id.session_id if isinstance(session_id, OwnSession) else session_id
        self.session_settings: SessionSettings | None = SessionSettings().resolve(session_settings)
        self._lock = threading.RLock()
        self._agent_name, self._closed = agent_name, False
        self._opened = None if isinstance(store, Store) or self._session else open_store(_url(store))
        self._store = store if isinstance(store, Store) else self._opened

    @property
    def session(self) -> OwnSession:
        """The session of ours, to fork it, rewind it, or look at it."""
        with self._lock:
            if self._closed:
                raise InvalidInput("Session is closed: open it anew.")
            if self._session is None:
                assert self._store is not None
                try:
                    self._session = self._store.get(self.session_id, agent_name=self._agent_name)
                except SessionExists:  # somebody else has made it just now
                    self._session = self._store.get(self.session_id)
            return self._session

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the last `limit` items, oldest first; None: as many as its settings say."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit

        def read(session: OwnSession) -> list[TResponseInputItem]:
            found = [native for item in _items(session) for native in _natives(item)]
            # Below zero there is no limit, in the SDK's own session.
            return found if limit is None or limit < 0 else found[max(0, len(found) - limit) :]

        return await self._do(read)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items, as one turn. They are durable when it returns."""

        def add(session: OwnSession) -> None:
            if items:
                _commit(session, "message", items)

        await self._do(add)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the last item away, and return it; None where there is none. `undo` brings it back."""
        return await self._do(_pop)

    async def clear_session(self) -> None:
        """Take all items away. `undo` brings them back."""

        def clear(session: OwnSession) -> None:
            if session.message_count:
                session.clear_history(keep_system=False)

        await self._do(clear)

    def close(self) -> None:
        """Close the store, where this session has opened it."""
        with self._lock:
            self._closed, self._session = True, None
            if self._opened is not None:
                self._opened.close()

    async def _do(self, change: Callable[[OwnSession], T]) -> T:
        """Do something on a thread, to its end: what was begun is not left half done by a cancellation."""
        doing = asyncio.ensure_future(asyncio.to_thread(self._now, change))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            if not doing.cancelled():
                doing.exception()  # asked for, so that nobody complains that it was not
            raise

    def _now(self, change: Callable[[OwnSession], T]) -> T:
        with self._lock:
            session = self.session
            # Whoever else writes to it, what comes goes behind it: the SDK knows of no forks.
            own, session.on_conflict = session.on_conflict, "error"
            try:
                for attempt in range(_TRIES):
                    session.refresh()
                    try:
                        return change(session)
                    except SessionConflict:
                        if attempt == _TRIES - 1:
                            raise
                raise AssertionError
            finally:
                session.on_conflict = own


def _url(store: str | os.PathLike[str] | object | None) -> Any:
    return "memory:" if store == ":memory:" else store


def _items(session: OwnSession) -> list[Item]:
    return chains.items(session.turns, session.head)


def _natives(item: Item) -> list[Any]:
    """Return what the SDK sees of an item; nothing is mended, as the SDK does that itself."""
    return item.natives if item.codec == _CODEC else codec(_CODEC).encode(item.messages)


def _commit(session: OwnSession, action: str, natives: list[Any], base: Any = None) -> None:
    body = encode_json(natives, "items")
    prompts = sum(map(is_prompt, chains.read(_CODEC, body)))
    session.commit(action, _CODEC, body, prompts=prompts, base=base)


def _pop(session: OwnSession) -> TResponseInputItem | None:
    items, keep = _items(session), session.message_count
    while items:
        last = items.pop()
        keep -= len(last.messages)
        natives = _natives(last)
        if len(natives) > 1:
            _commit(session, "pop", natives[:-1], session.place(keep).head)
        elif natives:
            session.rewind(keep)
        if natives:
            popped: TResponseInputItem = natives[-1]
            return popped
    return None
