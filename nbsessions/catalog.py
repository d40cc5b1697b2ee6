"""Finding what a store has: sessions by id, name or a part of an id, in a list, by what was said; runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, get_args

from nbsessions.exceptions import AmbiguousSession, InvalidInput, RunNotFound, SessionNotFound
from nbsessions.names import check_notebook
from nbsessions.records import EventPage, Role, Run, SessionPage, SessionRecord
from nbsessions.stores._listing import ALSO, TEXTS
from nbsessions.stores.base import Backend, Key, Listing, Query, Wanted
from nbsessions.stores.queries import Order
from nbsessions.values import check_count, check_moment, check_text, mend, micros
from nbsessions.words import parse

if TYPE_CHECKING:
    from nbsessions.finding import Hit
    from nbsessions.runs import WithRuns

_TEXT = 2_000
_WORDS = 100
"""SQLite takes no condition of a thousand parts."""
_CANDIDATES = 20
"""So many sessions are looked at to say that a part of an id is ambiguous."""


class Catalog:
    """The part of a store that finds what is in it, and changes nothing; base of `Store`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:"), Catalog)
    True
    """

    backend: Backend
    owner: str

    def record(
        self,
        ref: str,
        *,
        conversation_id: str | None = None,
        agent_name: str | None = None,
        notebook: str | None = None,
        exact: bool = False,
    ) -> SessionRecord:
        """Return what is stored of the session that `ref` names, messages apart.

        Raises
        ------
        SessionNotFound, AmbiguousSession

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> session = store.create("plan")
        >>> store.record(session.session_id[-6:]).name
        'plan'
        """
        if not isinstance(ref, str):
            raise InvalidInput(f"A session is named by text, its id or its name, not by {ref!r}.")
        if mend(ref) != ref:  # no store holds such text
            raise SessionNotFound(mend(ref))
        conversation = _conversation(conversation_id)
        agent_name, notebook = _optional(agent_name, "agent_name"), check_notebook(notebook)
        if ref == "latest" and not exact:
            return self._latest(conversation, agent_name, notebook)
        queries = [
            Query(conversation_id=conversation, session_id=ref),
            Query(conversation_id=conversation, name=ref),
        ]
        if not exact and ref:
            queries.append(Query(conversation_id=conversation, prefix=ref, limit=_CANDIDATES))
            queries.append(Query(conversation_id=conversation, suffix=ref, limit=_CANDIDATES))
        for query in queries:
            found = self.backend.find(query)
            if query.name:
                found = [r for r in found if r.owner == self.owner] or found
                found = [r for r in found if r.agent_name == agent_name] or found
            if len(found) == 1:
                return found[0]
            if found:
                shown = [f"{r.session_id} ({r.name or 'unnamed'}, {r.agent_name})" for r in found]
                raise AmbiguousSession(ref, shown, more=len(found) == query.limit)
        raise SessionNotFound(ref)

    def _latest(
        self, conversation: str | None, agent_name: str | None, notebook: str | None
    ) -> SessionRecord:
        query = Query(conversation_id=conversation, agent_name=agent_name, owner=self.owner, limit=1)
        # The newest may be damaged, which is told, and the next one is meant then.
        for where, limit in product(dict.fromkeys([notebook, None]), (1, None)):
            found = self.backend.find(query._replace(notebook=where, limit=limit))
            if found:
                return found[0]
        raise SessionNotFound("latest")

    def exists(self, ref: str, *, conversation_id: str | None = None) -> bool:
        """Tell whether a session has exactly this id or name.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> nbs.open_store("memory:").exists("plan")
        False
        """
        try:
            self.record(ref, conversation_id=conversation_id, exact=True)
        except SessionNotFound:
            return False
        except AmbiguousSession:
            return True
        return True

    def search(
        self,
        text: str,
        limit: int | None = 20,
        *,
        ref: str | None = None,
        agent_name: str | None = None,
        tag: str | None = None,
        owner: str | None = None,
        role: str | None = None,
        conversation_id: str | None = "*",
    ) -> list[Hit]:
        """Return the messages that hold all words of a text, best first.

        Case and accents do not matter. Messages that a session has left behind, by a rewind or an undo,
        are found, too.

        Parameters
        ----------
        text : str
            Words; ``"a phrase"``; ``begin*`` for all words that begin so.
        limit : int or None
        ref : str or None
            Only the messages that this session has now.
        agent_name, tag, owner : str or None
            Only in sessions with these.
        role : str or None
            Only what the user, the assistant, a tool or the system said.
        conversation_id : str or None
            None: top level. ``"*"``: all.

        Raises
        ------
        InvalidInput
            There is no word in the text, or no such role.
        SessionNotFound, AmbiguousSession

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> store.create("plan").add_message({"role": "user", "content": "Where does the owl live?"})
        >>> [(hit.session.name, hit.number, hit.snippet) for hit in store.search("OWL liv*")]
        [('plan', 1, 'Where does the owl live?')]
        """
        if not isinstance(text, str):
            raise InvalidInput(f"What to search for is text, not {type(text).__name__}.")
        if role is not None and role not in get_args(Role):
            raise InvalidInput(f"There is no role {role!r}. These are: {', '.join(get_args(Role))}.")
        from nbsessions.finding import find_messages

        terms = parse(mend(text))
        within = None if ref is None else self.record(ref, conversation_id=conversation_id)
        query = Query(
            conversation_id=_conversation(conversation_id),
            agent_name=_optional(agent_name, "agent_name"),
            tag=_optional(tag, "tag"),
            owner=_optional(owner, "owner"),
            limit=None if limit is None else check_count(limit, "limit"),
        )
        return find_messages(self.backend, Wanted(terms, query, role), within)

    def page(
        self,
        text: str = "",
        *,
        offset: int = 0,
        limit: int = 50,
        order_by: Order = "updated_at",
        descending: bool | None = None,
        said: bool = False,
        agent_name: str | None = None,
        tag: str | None = None,
        owner: str | None = None,
        notebook: str | None = None,
        since: datetime | None = None,
        conversation_id: str | None = None,
    ) -> SessionPage:
        """Return some of the sessions in any order, and how many there are: what a list on a screen needs.

        Parameters
        ----------
        text : str
            Words, 100 at most, each of which the name, the id, the agent's name or a tag holds.
        offset, limit : int
        order_by : str
            ``updated_at``, ``created_at``, ``name``, ``agent_name``, ``owner``, ``model``,
            ``message_count``, ``turn_count``, ``total_tokens`` or ``cost``. What has none comes last.
        descending : bool or None
            None: texts begin with A, and all else with the newest or the most.
        said : bool
            Sessions in which a message holds the words are found, too, the last word also where it goes on;
            of very many, those that fit best.
        agent_name, tag, owner, notebook : str or None
            Only sessions with these.
        since : datetime or None
            Timezone-aware; `updated_at` at or after it.
        conversation_id : str or None
            None: top level. ``"*"``: all.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> store.create("plan").add_message({"role": "user", "content": "Where does the owl live?"})
        >>> _ = store.create("Owls"), store.create("essay")
        >>> page = store.page("owl", said=True, order_by="name", limit=1)
        >>> [record.name for record in page], page.total
        (['Owls'], 2)
        """
        if order_by not in get_args(Order):
            raise InvalidInput(f"There is no order {order_by!r}. These are: {', '.join(get_args(Order))}.")
        query = Query(
            conversation_id=_conversation(conversation_id),
            agent_name=_optional(agent_name, "agent_name"),
            tag=_optional(tag, "tag"),
            owner=_optional(owner, "owner"),
            notebook=check_notebook(notebook),
            since=None if since is None else micros(check_moment(since, "since")),
        )
        text = mend(check_text(text, "text", half=True, most=_TEXT))
        if len(text.split()) > _WORDS:
            raise InvalidInput(f"Look for {_WORDS} words or fewer, not {len(text.split())}.")
        listing = Listing(
            sessions=query,
            text=text,
            also=self._said_in(text, query) if said else (),
            order=order_by,
            descending=order_by not in TEXTS if descending is None else bool(descending),
            offset=check_count(offset, "offset"),
            limit=check_count(limit, "limit"),
        )
        return self.backend.listing(listing)

    def _said_in(self, text: str, query: Query) -> Sequence[Key]:
        try:
            terms = parse(f"{text}*" if text[-1:].isalnum() else text)
        except InvalidInput:  # it may be in a name, though no word is in it
            return ()
        found = self.backend.search(Wanted(terms, query._replace(limit=ALSO)))
        return list(dict.fromkeys(one.key for one in found))

    def run(self, ref: str, *, within: WithRuns | None = None) -> Run:
        """Return the run of an id, or of the end or the beginning of one; `within` a session first.

        Raises
        ------
        RunNotFound, InvalidInput
            None has it, or several do.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
        >>> store.run(run.run_id[-8:]).status
        'completed'
        """
        from nbsessions.runs import find_run

        exact = find_run(self.backend, ref)
        if exact is not None:
            return exact
        for runs in ([] if within is None else within.runs(), self.backend.runs()):
            meant = [run for run in runs if ref and (run.run_id.endswith(ref) or run.run_id.startswith(ref))]
            if len(meant) == 1:
                return meant[0]
            if meant:
                raise InvalidInput(f"{ref!r} could be {len(meant)} runs. Give more of the id.")
        raise RunNotFound(f"No run {mend(ref)!r} in this store. `runs` lists those of a session.", ref)

    def events(self, run_id: str, *, after: int = -1, limit: int | None = None) -> EventPage:
        """Return a run's events whose `seq` is above `after`, in order.

        Raises
        ------
        RunNotFound, InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> run = store.create("plan").send("Hello", agent=lambda prompt: "Hi")
        >>> [event.seq for event in store.events(run.run_id, after=0, limit=2)]
        [1, 2]
        """
        from nbsessions.runs import event_page, find_run

        run = find_run(self.backend, run_id)
        if run is None:
            raise RunNotFound(f"No run {run_id!r} in this store.", run_id)
        return event_page(self.backend, run, after, limit)

    # Last, because inside the class its name hides the type.

    def list(
        self,
        limit: int | None = 20,
        *,
        agent_name: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        conversation_id: str | None = None,
    ) -> list[SessionRecord]:
        """Return sessions, most recently updated first.

        Parameters
        ----------
        limit : int or None
        agent_name, tag : str or None
        since : datetime or None
            Timezone-aware; `updated_at` at or after it.
        conversation_id : str or None
            None: top level. ``"*"``: all.

        Raises
        ------
        InvalidInput

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan"), store.create("essay", tags=["draft"])
        >>> [record.name for record in store.list(tag="draft")]
        ['essay']
        """
        limit = None if limit is None else check_count(limit, "limit")
        query = Query(
            conversation_id=_conversation(conversation_id),
            agent_name=_optional(agent_name, "agent_name"),
            tag=_optional(tag, "tag"),
            since=None if since is None else micros(check_moment(since, "since")),
            limit=limit,
        )
        return self.backend.find(query)


def _conversation(conversation_id: str | None) -> str | None:
    """Return a conversation as a query has it: empty at top level, None for all."""
    return None if conversation_id == "*" else _optional(conversation_id, "conversation_id") or ""


def _optional(text: str | None, what: str) -> str | None:
    return None if text is None else check_text(text, what)
