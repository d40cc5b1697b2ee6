"""The session commands of webagents, as its clients and people call them, in words of our table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nbsessions.arguments import Argument
from nbsessions.commands.given import check
from nbsessions.exceptions import InvalidInput

_CONVERSATION = Argument(name="conversation_id", help="of this A2A conversation")

COMMANDS: Final[dict[str, tuple[Argument, ...]]] = {
    "save": (Argument(name="name", help="what to call it", kind="rest"),),
    "load": (
        Argument(
            name="session_id",
            help="an id, a name, a part of an id; none: the latest",
            kind="rest",
            completes="session",
        ),
        _CONVERSATION,
    ),
    "new": (Argument(name="name", help="what to call it", kind="rest"),),
    "history": (Argument(name="limit", help="how many (20)", kind="number", default=20), _CONVERSATION),
    "clear": (
        Argument(name="confirm", help="true: yes, delete all of this agent's sessions", kind="flag"),
        _CONVERSATION,
    ),
}
"""What each takes there, under the names that it has there."""

_OURS: Final = {"session_id": "ref", "conversation_id": "conversation"}


def translated(name: str, given: Mapping[str, object], *, typed: bool = False) -> tuple[str, dict[str, Any]]:
    """Return our command and its values for what webagents means by `name`.

    There `clear` is of everything: all of this owner's sessions with the agent, or those of one conversation.
    It deletes only where `confirm` is exactly true.

    Parameters
    ----------
    name : {"save", "load", "new", "history", "clear"}
    given : mapping
        As JSON brings it.
    typed : bool
        A person wrote ``key=value``: all values are text.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> translated("load", {"session_id": "chat-7"})
    ('load', {'ref': 'chat-7'})
    >>> translated("clear", {"confirm": "true"})
    ('clear', {'confirm': False, 'all': True})
    >>> translated("clear", {"confirm": "true"}, typed=True)
    ('clear', {'confirm': True, 'all': True})
    """
    if name not in COMMANDS:
        raise InvalidInput(f"There is no command {name!r}. These are: {', '.join(COMMANDS)}.")
    if name == "clear":
        # Whatever else was said is not a confirmation, and the command tells what it would delete.
        said = given.get("confirm")
        given = {**given, "confirm": said is True or (typed and said == "true")}
        typed = False
    values = check(COMMANDS[name], given, typed=typed)
    ours = {_OURS.get(key, key): value for key, value in values.items()}
    return name, ours | ({"all": True} if name == "clear" else {})


def pairs(name: str, words: Sequence[str]) -> dict[str, str] | None:
    """Return what a person wrote as ``key=value`` behind a command; None where it is something else.

    Examples
    --------
    >>> pairs("clear", ["confirm=true"])
    {'confirm': 'true'}
    >>> pairs("load", ["a=b"]) is None
    True
    """
    known = {argument.key for argument in COMMANDS.get(name, ())}
    found = [word.partition("=") for word in words]
    if not found or any(not equals or key not in known for key, equals, _ in found):
        return None
    return {key: value for key, _, value in found}
