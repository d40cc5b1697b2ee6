"""What an agent is sent of a session: read from its end, as far as the limits reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nbsessions import chains
from nbsessions.codecs import Item, codec
from nbsessions.context.counting import Size, Told, of_items, of_usage, sizes
from nbsessions.context.trimming import Context, Seen, from_summary, is_summed_up, kept, pick
from nbsessions.moving import Movable
from nbsessions.records import Head, Message, Turn
from nbsessions.values import check_count

_ALL: Final = 2**53
_FIRST: Final = 32
"""So many messages are read first where tokens are counted, and four times as many each time after that."""


class Seeing(Movable):
    """A movable head, and what an agent is sent there; base of `Branch`.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> isinstance(nbs.open_store("memory:").create(), Seeing)
    True
    """

    def visible(
        self, max_messages: int | None = None, max_tokens: int | None = None, *, at: Head | None = None
    ) -> list[Item]:
        """Return what an agent would be sent, natively: see `context`.

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> session.messages = [{"role": "user", "content": str(n)} for n in range(5)]
        >>> [item.messages[0].text for item in session.visible(max_messages=1)]
        ['4']
        """
        return self._seen(max_messages, max_tokens, at or self.head, counted=False).items

    def context(
        self, max_messages: int | None = None, max_tokens: int | None = None, *, at: Head | None = None
    ) -> Context:
        """Return what an agent would be sent: which messages, how many tokens each has, what is left out.

        All system messages are sent, the last summary, and the last of the messages after it that the limits
        leave. No result of a tool is sent without its call.

        Parameters
        ----------
        max_messages, max_tokens : int or None
            None: as the session has them.
        at : Head or None
            Where, instead of at the head.

        Raises
        ------
        InvalidInput, DamagedTurn

        Examples
        --------
        >>> import nbsessions as nbs
        >>> session = nbs.open_store("memory:").create("plan")
        >>> _ = session.send("What do owls eat?", agent=lambda prompt: "Mice.")
        >>> [(one.position, one.message.role, one.size.tokens) for one in session.context().seen]
        [(1, 'user', 9), (2, 'assistant', 6)]
        """
        return self._seen(max_messages, max_tokens, at or self.head, counted=True)

    def _seen(
        self, max_messages: int | None, max_tokens: int | None, head: Head, *, counted: bool
    ) -> Context:
        messages_limit = _checked(max_messages, self.max_messages, "max_messages")
        tokens_limit = _checked(max_tokens, self.max_tokens, "max_tokens")
        turns, found = self._in_reach(messages_limit, tokens_limit, head, counted=counted)
        items, places = self._with_standing(turns, head)
        messages = [message for item in items for message in item.messages]
        known = [*sizes(messages[: len(messages) - len(found)], {}), *found] if found else []
        order = from_summary(messages)
        tokens = [known[place].tokens for place in order] if known else None
        stay = kept([messages[place] for place in order], messages_limit, tokens_limit, tokens)
        sent = [order[place] for place in sorted(stay)]
        return Context(
            _picked(items, sent),
            [Seen(places[place], messages[place], known[place]) for place in sent] if known else [],
            stored=places[-1] if places else 0,
            max_messages=messages_limit,
            max_tokens=tokens_limit,
            # Where not all was read, there is more than there is room for.
            is_cut=len(sent) < len(order) or (tokens_limit is not None and not _is_all(turns, head)),
        )

    def _with_standing(self, turns: Sequence[Turn], head: Head) -> tuple[list[Item], list[int]]:
        """Return the items of turns, and above them what is always sent; and the number of each message."""
        if not turns:
            return [], []
        items = chains.items(turns, head)
        first = turns[0].total_messages - turns[0].message_count + 1
        places = list(range(first, first + sum(len(item.messages) for item in items)))
        above = [] if turns[0].parent_id is None else self.backend.system_turns(turns[0].turn_id)
        for turn in reversed(above):
            found, before = chains.standing(turn)
            items, places = [*found, *items], [*before, *places]
        return items, places

    def _in_reach(
        self, max_messages: int | None, max_tokens: int | None, head: Head, *, counted: bool
    ) -> tuple[list[Turn], list[Size]]:
        """Return as many of the last turns as the limits may leave, with the sizes of their messages."""
        if max_tokens is None and max_messages is None and self.compact_at is not None:
            max_tokens = _ALL  # a summary may be near
        if max_tokens is None:
            turns = self._chain(at=head) if max_messages is None else self._tail(max_messages, head)
            return turns, self._sizes(turns, head) if counted else []
        window = _FIRST if max_messages is None else min(_FIRST, max_messages)
        while True:
            turns = self._tail(window, head)
            found = self._sizes(turns, head)
            if (
                _is_all(turns, head)
                or window == max_messages
                or sum(size.tokens for size in found) > max_tokens
            ):
                return turns, found
            window = window * 4 if max_messages is None else min(window * 4, max_messages)

    def _sizes(self, turns: Sequence[Turn], head: Head) -> list[Size]:
        """Return the size of each message of these turns, as far as they and their runs tell."""
        last = max(_FIRST, 2 * len(turns))
        runs = {run.turn_id: run for run in self.backend.runs(self.key, last=last)} if turns else {}
        messages: list[Message] = []
        told: dict[int, Told] = {}
        for turn in turns:
            items = codec(turn.codec).items(turn.body)
            of_turn, view = of_items(items), [message for item in items for message in item.messages]
            run = runs.get(turn.turn_id)
            if not of_turn and run is not None:
                of_turn = of_usage(view, run.usage, run.model)
            cut = len(view) if head.keep is None or turn is not turns[-1] else head.keep
            told |= {len(messages) + at: one for at, one in of_turn.items() if at < cut}
            messages += view[:cut]
        return sizes(messages, told)

    def _chain(self, messages: int | None = None, at: Head | None = None) -> list[Turn]:
        head = at or self.head
        if head.turn_id is None:
            return []
        turns = self.backend.chain(head.turn_id, messages=messages)
        chains.check(turns, head, messages)
        return turns

    def _tail(self, messages: int, head: Head) -> list[Turn]:
        """Return the last turns, enough of them for so many messages of a head that may be cut."""
        turns = self._chain(messages, head)
        lost = 0 if head.keep is None or not turns else turns[-1].message_count - head.keep
        return turns if not lost else self._chain(messages + lost, head)


def _is_all(turns: Sequence[Turn], head: Head) -> bool:
    """Tell whether nothing before these turns is sent, but for what always is."""
    return not turns or turns[0].parent_id is None or is_summed_up(chains.view(turns, head))


def _checked(limit: int | None, own: int | None, name: str) -> int | None:
    return own if limit is None else check_count(limit, name, 1)


def _picked(items: Sequence[Item], places: Sequence[int]) -> list[Item]:
    """Return the items of the messages at these places, in this order."""
    found: list[Item] = []
    part: set[int] = set()
    last = -1
    for place in places:
        if place < last:
            found, part = found + pick(items, part), set()
        part.add(place)
        last = place
    return found + pick(items, part)
