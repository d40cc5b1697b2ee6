"""What sessions, tags and notebooks may be called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from nbsessions.exceptions import InvalidInput
from nbsessions.text import strip_controls
from nbsessions.values import check_text, encode_json, mend


def check_name(name: str) -> str:
    """Return `name`, or refuse it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_name("plan")
    'plan'
    """
    return _checked(name, "name", 200)


def check_id(value: str, what: str) -> str:
    """Return an id that somebody else gave, or refuse it.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_id("chat-7", "session_id")
    'chat-7'
    """
    return _checked(value, what, 200)


def check_tags(tags: Iterable[str]) -> list[str]:
    """Return `tags` as a list, each once, or refuse one.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_tags(["draft", "draft"])
    ['draft']
    """
    if isinstance(tags, str):
        raise InvalidInput(f"tags must be a list of texts, such as [{tags[:40]!r}].")
    if not isinstance(tags, Iterable):
        raise InvalidInput(f"tags must be a list of texts, not {type(tags).__name__}.")
    return list(dict.fromkeys(_checked(tag, "tag", 100) for tag in tags))


def check_notebook(path: str | None) -> str | None:
    """Return what a notebook is remembered by: its path, or None where there is none.

    Raises
    ------
    InvalidInput

    Examples
    --------
    >>> check_notebook("/home/ada/plan.ipynb")
    '/home/ada/plan.ipynb'
    """
    # A file may be called what is no text; it is told from others by what can be kept of that.
    return None if path is None else mend(check_text(path, "notebook", half=True))


def _checked(text: str, what: str, length: int) -> str:
    if text == "latest" and what != "tag":
        raise InvalidInput("'latest' is reserved; choose another name.")
    if not isinstance(text, str):
        raise InvalidInput(f"A {what} must be text, not {type(text).__name__}.")
    # Nearly every name: a line of text, with nothing in it that is not seen.
    if text.isprintable() and text.strip() and len(text) <= length:
        return text
    if not text.strip() or len(text) > length or not _on_one_line(text):
        raise InvalidInput(f"{text[:40]!r} is no {what}: 1 to {length} characters, on one line.")
    encode_json(text, what)
    return text


def _on_one_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and "\t" not in text and strip_controls(text) == text


def fork_names(label: str, taken: Callable[[], Iterable[str | None]] = list) -> Iterator[str]:
    """Yield the names that forks of `label` get, one after the other.

    Parameters
    ----------
    label : str
    taken : callable
        Returns the names of the forks that there are, asked once the first two are taken: what comes
        then follows the last of them.

    Examples
    --------
    >>> from itertools import islice
    >>> list(islice(fork_names("plan", lambda: ["plan (fork 8)"]), 3))
    ['plan (fork)', 'plan (fork 2)', 'plan (fork 9)']
    """
    # A label of the greatest length leaves room for what is added.
    short = label[:180]
    yield f"{short} (fork)"
    yield f"{short} (fork 2)"
    numbers = [re.fullmatch(r" \(fork ([0-9]{1,9})\)", name.removeprefix(short)) for name in taken() if name]
    number = max([2, *(int(found[1]) for found in numbers if found)])
    while True:
        number += 1
        yield f"{short} (fork {number})"
