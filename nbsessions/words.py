"""
What a text is searched for: its words, alike on every store.

Words are compared without case and accents. A sign of a script that writes no spaces is a word of its
own, so that any part of such a text can be found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.records import Message
from nbsessions.text import one_line

MAX_WORDS = 60_000
"""So many words of a message can be found: PostgreSQL keeps no more than 1 MB of one text's."""
_LONGEST = 64
# Han, kana, Thai, Lao, Myanmar and Khmer are written without spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_QUERY = re.compile(r'"([^"]*)"(\*?)|(\S+)')
_AROUND = 60


class Term(NamedTuple):
    """Words that must follow each other; with `prefix`, the last one may go on.

    Examples
    --------
    >>> Term(("night", "owl")).prefix
    False
    """

    words: tuple[str, ...]
    prefix: bool = False


def words(text: str) -> list[str]:
    """Return the words of a text, as they are compared.

    Examples
    --------
    >>> words("Ünder the_Sun: 42 北京")
    ['under', 'the', 'sun', '42', '北', '京']
    """
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    found = _word().findall(text.casefold())
    return [word[:_LONGEST] for word in found[:MAX_WORDS]]


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def parse(text: str) -> list[Term]:
    """Return what a person searches for: all of these words, ``"a phrase"``, ``begin*``.

    Raises
    ------
    InvalidInput
        There is no word in it.

    Examples
    --------
    >>> [term.words for term in parse('the "night owl" sl*')]
    [('the',), ('night', 'owl'), ('sl',)]
    """
    terms = []
    for quoted, star, plain in _QUERY.findall(text):
        found = tuple(words(quoted or plain))
        if found:
            terms.append(Term(found, bool(star) or plain.endswith("*")))
    if not terms:
        raise InvalidInput(f"There is no word to search for in {one_line(text, 40)!r}.")
    return terms


def said(message: Message) -> str:
    """Return what can be found of a message: its text, and the tools that it calls with their arguments.

    Examples
    --------
    >>> said(Message(role="user", content="Hello"))
    'Hello'
    """
    calls = [f"{call.name} {call.arguments}" for call in message.calls] if message.tool_calls else []
    return "\n".join([message.text, *calls]) if calls else message.text


def count(terms: Sequence[Term], found: Sequence[str]) -> int:
    """Return how often all of the terms are among these words together; 0 where one is missing.

    Examples
    --------
    >>> count(parse("the sun"), words("The sun, the moon")), count(parse("stars"), words("The sun"))
    (3, 0)
    """
    times = [sum(1 for _ in _places(term, found)) for term in terms]
    return sum(times) if all(times) else 0


def _places(term: Term, found: Sequence[str]) -> Iterator[int]:
    *first, last = term.words
    for at in range(len(found) - len(first)):
        ends = found[at + len(first)]
        if (ends.startswith(last) if term.prefix else ends == last) and [
            *found[at : at + len(first)]
        ] == first:
            yield at


def snippet(terms: Sequence[Term], text: str) -> str:
    """Return the part of a text around the first place where a term is, on one line.

    Examples
    --------
    >>> snippet(parse("owl"), "Once upon a time there was an owl. " + "She was wise. " * 20)[:60]
    'Once upon a time there was an owl. She was wise. She was wis'
    """
    start, end = next((spot for term in terms for spot in _spots(term, text)), (0, 0))
    begin = max(0, start - _AROUND)
    # A word is not cut where it can be helped.
    begin = text.rfind(" ", max(0, begin - 20), begin) + 1 if begin else 0
    part = text[begin : end + 2 * _AROUND]
    before, after = "…" if begin else "", "…" if end + 2 * _AROUND < len(text) else ""
    return f"{before}{one_line(part, 4 * _AROUND)}{after}"


def _spots(term: Term, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a term is in a text as it was written."""
    if text.isascii() and len(text) <= MAX_WORDS:
        # Without accents and large signs it is found as it is, and not word by word.
        yield from (match.span() for match in _ascii(term).finditer(text))
        return
    spans: list[tuple[int, int]] = []
    found: list[str] = []
    for match in re.finditer(r"\w[\w\u0300-\u036f]*", text):
        for word in words(match.group()):
            found.append(word)
            spans.append(match.span())
        if len(found) >= MAX_WORDS:
            break
    for at in _places(term, found):
        yield spans[at][0], spans[at + len(term.words) - 1][1]


@lru_cache(maxsize=256)
def _ascii(term: Term) -> re.Pattern[str]:
    """Return what finds a term in a text of ASCII; words are compared as far as `words` keeps them."""
    found = [re.escape(word) + r"[^\W_]*" * (len(word) == _LONGEST) for word in term.words]
    ends = r"[^\W_]*" if term.prefix else r"(?![^\W_])"
    return re.compile(r"(?<![^\W_])" + r"[\W_]+".join(found) + ends, re.ASCII | re.IGNORECASE)
