"""Where sessions live: one contract, and members that are found by the scheme of a URL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from nbsessions.exceptions import InvalidInput, MissingExtra
from nbsessions.text import masked
from nbsessions.values import check_path, mend

if TYPE_CHECKING:
    from nbsessions.stores.base import Backend


_SCHEME = r"[a-z][a-z0-9+.-]+(?=:)"


def open_backend(url: str | os.PathLike[str] | None = None) -> Backend:
    """Open the member that a URL or a path names: what `nbsessions.open_store` opens, and raises.

    Examples
    --------
    >>> open_backend("memory:").url
    'memory:'
    """
    if url is None:
        url = default_url()
    if not isinstance(url, (str, bytes, os.PathLike)):
        raise InvalidInput(f"A store is named by its path or URL, not by {url!r}.")
    text = os.fsdecode(url)
    if "\0" in text or mend(text) != text:
        # It is not repeated: a URL may hold a password.
        raise InvalidInput("This is no path and no URL of a store: it holds a NUL, or half a character.")
    scheme = re.match(_SCHEME, text)
    if scheme is None:
        text = f"sqlite:///{quote(str(check_path(text)))}"
    return _member(scheme.group() if scheme else "sqlite")(text)


def check_exists(url: str | None) -> None:
    """Refuse a store in files that are not there, and would be made by opening it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_exists("sqlite:////nowhere/agents.db")
    Traceback (most recent call last):
    nbsessions.exceptions.InvalidInput: sqlite:////nowhere/agents.db: there is no such store.
    """
    url = default_url() if url is None else url
    path = file_of(url)
    if path is not None and not path.exists():
        raise InvalidInput(f"{masked(url)}: there is no such store.")


def file_of(url: str) -> Path | None:
    """Return the file or the folder that a store is in; None: it is in none.

    Examples
    --------
    >>> file_of("sqlite:////nowhere/agents.db").name, file_of("memory:")
    ('agents.db', None)
    """
    scheme, _, rest = url.partition(":")
    if scheme in ("sqlite", "file"):
        path = unquote(rest.partition("?")[0].removeprefix("//"))
        # Of three slashes, the last begins the path of a folder, and none of a database's.
        path = path.removeprefix("/") if scheme == "sqlite" and rest.startswith("//") else path
    elif re.match(_SCHEME, url):
        return None
    else:
        path = url
    return check_path(path)


def default_url() -> str:
    """Return where sessions live when nobody says otherwise: ``$NBSESSIONS_STORE``, else `default_path`.

    Examples
    --------
    >>> default_url() == os.environ.get("NBSESSIONS_STORE", str(default_path()))
    True
    """
    return os.environ.get("NBSESSIONS_STORE") or str(default_path())


def default_path() -> Path:
    """Return where sessions live when neither a person nor the environment says otherwise.

    Examples
    --------
    >>> default_path().name
    'sessions.db'
    """
    import platformdirs

    return Path(platformdirs.user_data_dir("nbsessions", appauthor=False)) / "sessions.db"


def _member(scheme: str) -> Callable[[str], Backend]:
    if scheme == "memory":
        from nbsessions.stores.memory import MemoryBackend

        return MemoryBackend
    if scheme == "sqlite":
        from nbsessions.stores.sqlite import SQLiteBackend

        return SQLiteBackend
    if scheme == "file":
        from nbsessions.stores.file import FileBackend

        return FileBackend
    if scheme in ("postgresql", "postgres"):
        try:
            from nbsessions.stores.postgres import PostgresBackend
        except ImportError as error:
            raise MissingExtra("The store postgresql:", "postgres") from error
        return PostgresBackend
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="nbsessions.stores")}
    if scheme not in found:
        known = ", ".join(f"{name}:" for name in sorted({"file", "memory", "postgresql", "sqlite", *found}))
        raise InvalidInput(f"No store answers to '{scheme}:'. These do: {known} and a plain path.")
    try:
        member: Callable[[str], Backend] = found[scheme].load()
    except ImportError as error:
        raise MissingExtra(f"The store {scheme}:", scheme) from error
    return member
