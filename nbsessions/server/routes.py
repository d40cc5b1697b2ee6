"""
The one table of routes: the handler answers what it names, and the OpenAPI document is made from it.

A route's function gets a `Call`, in which all is checked already, and returns a model, or an `Answer` where
there is more to say than that. It runs in a thread and may block; nothing is refused but by raising.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict

from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.stores.base import Key

if TYPE_CHECKING:
    from nbsessions.records import SessionRecord
    from nbsessions.store import Store

Method = Literal["GET", "POST", "PATCH", "DELETE"]
BODY: Final = 1024 * 1024
"""So many bytes of JSON a request may have, where its route does not say otherwise."""
_MODULES: Final = (
    "about",
    "sessions",
    "messages",
    "runs",
    "search",
    "usage",
    "exports",
    "imports",
    "streaming",
    "commands",
    "openapi",
)


class Strict(BaseModel):
    """What comes from outside: other fields, and values of other types, are refused.

    Examples
    --------
    >>> Strict.model_config["extra"]
    'forbid'
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Strict):
    """A query, or a body, without any fields.

    Examples
    --------
    >>> Nothing()
    Nothing()
    """


@dataclass
class Call:
    """One request, checked: who asks, and for what.

    Attributes
    ----------
    store : Store
        Of the one who asks: what is somebody else's is not there.
    path : mapping of str to str
        What stands for ``{...}`` in the path.
    query, body : model
        Of the types that the route names.
    headers : mapping of str to str
        Of the request; names in any spelling.
    base : str
        The path of the API on this server, ``/nbsessions/api`` behind its base URL.
    upload : Path or None
        A file with the body, where the route takes one; it is removed afterwards.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> Call(nbs.open_store("memory:")).path
    {}
    """

    store: Store
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    upload: Path | None = None

    def record(self, session_id: str, conversation_id: str | None) -> SessionRecord:
        """Return the session of this exact id, as it is now.

        Raises
        ------
        SessionNotFound

        Examples
        --------
        >>> import nbsessions as nbs
        >>> store = nbs.open_store("memory:")
        >>> _ = store.create("plan", session_id="s1")
        >>> Call(store).record("s1", None).name
        'plan'
        """
        found = self.store.backend.get(Key(conversation_id or "", session_id))
        if found is None:
            raise SessionNotFound(session_id)
        return found


@dataclass
class Answer:
    """What a route answers, where that is more than a model with the status of the route.

    Attributes
    ----------
    content : model or None
    status : int or None
        None: the one of the route.
    headers : mapping of str to str
    file : binary file or None
        Sent instead of the content, from where it stands, and closed.

    Examples
    --------
    >>> Answer(status=204).content is None
    True
    """

    content: BaseModel | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    file: BinaryIO | None = None


class Route(NamedTuple):
    """One thing that can be asked for.

    Attributes
    ----------
    method : str
    path : str
        Below the API: ``/sessions/{session_id}``. What stands for ``{...}`` is any text but an empty one.
    summary : str
        One line of help.
    function : callable
        Takes a `Call`, returns a model or an `Answer`. A coroutine function gets the handler, too, and sends
        on its own: see `nbsessions.server.handler`.
    answer : model or None
        The type of what is answered; None: nothing, or a file.
    query, body : model
        The types of what is asked with; a body of None: there is none.
    status : int
        Of the answer, where all is well.
    most : int
        So many bytes the body may have.
    uploads : bool
        The body is a file of any kind, and no JSON.
    media : str
        The type of what is answered, where it is no JSON.
    headers : tuple of str
        Which headers of a request it honours.

    Examples
    --------
    >>> Route("GET", "/", "Nothing.", lambda call: Nothing()).status
    200
    """

    method: Method
    path: str
    summary: str
    function: Callable[..., Any]
    answer: type[BaseModel] | None = None
    query: type[BaseModel] = Nothing
    body: type[BaseModel] | None = None
    status: int = 200
    most: int = BODY
    uploads: bool = False
    media: str = "application/json"
    headers: tuple[str, ...] = ()


@cache
def all_routes() -> tuple[Route, ...]:
    """Return the whole table.

    Examples
    --------
    >>> all_routes()[0].path
    '/'
    """
    modules = (import_module(f"nbsessions.server.{name}") for name in _MODULES)
    return tuple(route for module in modules for route in module.ROUTES)


def matching(path: str) -> dict[str, tuple[Route, dict[str, str]]]:
    """Return the routes of a path below the API, as it is in the URL, by their methods.

    Raises
    ------
    InvalidInput
        The path is no text.

    Examples
    --------
    >>> [(method, route.path) for method, (route, values) in matching("/sessions").items() if method == "GET"]
    [('GET', '/sessions')]
    """
    try:
        parts = [unquote(part, errors="strict") for part in path.rstrip("/").split("/")]
    except UnicodeDecodeError:
        raise InvalidInput("The path of the URL is not UTF-8.") from None
    found = ((route, _values(route.path.rstrip("/").split("/"), parts)) for route in all_routes())
    return {route.method: (route, values) for route, values in reversed([*found]) if values is not None}


def _values(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return what stands for ``{...}`` in a path; None: it is another path."""
    if len(wanted) != len(parts):
        return None
    values = {}
    for name, part in zip(wanted, parts, strict=True):
        if name.startswith("{") and part:
            values[name[1:-1]] = part
        elif name != part:
            return None
    return values
