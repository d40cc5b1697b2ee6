"""
A session as one HTML page, to be read in a browser: from a file, a mail, or a web server.

HTML Living Standard (https://html.spec.whatwg.org/). Everything that a model or a file gave is escaped, and
rendered as the live display renders it; the page has no script and loads nothing, and its policy
(https://www.w3.org/TR/CSP3/) allows neither. Formulas stay as they were written: what would typeset them is a
script. It is written, and not read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from nbsessions.formats._style import STYLE
from nbsessions.formats.base import Format
from nbsessions.formats.exchanges import (
    Exchange,
    exchanges,
    facts,
    failed,
    in_vain,
    minute,
    part_html,
    parts,
    spent,
)
from nbsessions.formats.exchanges import title as title_of
from nbsessions.messages import message_text
from nbsessions.records import Run
from nbsessions.rendering import escape, markdown_html
from nbsessions.stores.arguments import Bundle
from nbsessions.text import one_line

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_CONTENTS = 3
"""A session of more prompts than this has a list of them."""


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions, one below the other, as one page.

    Examples
    --------
    >>> from io import BytesIO
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper", name="Greetings")
    >>> building.add({"role": "user", "content": "Hi <script>"})
    >>> file = BytesIO()
    >>> write([building.bundle()], file)
    >>> b"Hi &lt;script&gt;" in file.getvalue(), b"<title>Greetings</title>" in file.getvalue()
    (True, True)
    """
    number = 0
    for number, bundle in enumerate(bundles, 1):
        shown = exchanges(bundle)
        if number == 1:
            _put(file, _head(title_of(bundle, shown)))
        for piece in _session(bundle, shown, number):
            _put(file, piece)
    if number == 0:
        _put(file, _head("No sessions"))
    _put(file, "</body>\n</html>\n")


def _put(file: BinaryIO, text: str) -> None:
    file.write(text.encode("utf-8", "replace"))


def _head(title: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="nbsessions">
<title>{escape(title)}</title>
<style>
{STYLE}</style>
</head>
<body>
"""


def _session(bundle: Bundle, shown: list[Exchange], number: int) -> Iterator[str]:
    """Yield the HTML of a session, piece by piece."""
    rows = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>\n" for label, value in facts(bundle)
    )
    yield f"<main>\n<header>\n<h1>{escape(title_of(bundle, shown))}</h1>\n<dl>\n{rows}</dl>\n</header>\n"
    prompted = [exchange for exchange in shown if exchange.prompt is not None]
    if len(prompted) > _CONTENTS:
        yield _contents(prompted, number)
    yield _in_vain(failed(bundle, None))
    for exchange in shown:
        yield _exchange(exchange, number)
    if not shown:
        yield '<p class="note">No messages.</p>\n'
    yield "</main>\n"


def _contents(prompted: list[Exchange], number: int) -> str:
    items = "".join(
        f'<li><a href="#{_anchor(exchange, number)}">{escape(_peek(exchange))}</a></li>\n'
        for exchange in prompted
    )
    return (
        f"<details class=contents><summary>{len(prompted):,} prompts</summary>\n<ol>{items}</ol></details>\n"
    )


def _anchor(exchange: Exchange, number: int) -> str:
    return f"s{number}m{exchange.first}"


def _peek(exchange: Exchange) -> str:
    assert exchange.prompt is not None
    return one_line(message_text(exchange.prompt), 80) or "(no text)"


def _exchange(exchange: Exchange, number: int) -> str:
    prompt = exchange.prompt
    asked = ""
    if prompt is not None:
        at = f"<time>{minute(prompt.timestamp)} UTC</time>" if prompt.timestamp is not None else ""
        text = markdown_html(message_text(prompt), breaks=True) or '<p class="note">(no text)</p>'
        asked = f'<div class="prompt">\n<div class="by"><b>user</b> {at}</div>\n{text}</div>\n'
    answer = "".join(part_html(part) for part in parts(exchange.messages))
    if answer:
        answer = f'<div class="answer">\n{answer}</div>\n'
    line = spent(exchange.runs)
    footer = f"<footer>{escape(line)}</footer>\n" if line else ""
    anchor = _anchor(exchange, number)
    return f'<section id="{anchor}">\n{asked}{answer}{footer}</section>\n{_in_vain(exchange.failed)}'


def _in_vain(runs: Iterable[Run]) -> str:
    return "".join(f'<p class="failed">{escape(in_vain(run))}</p>\n' for run in runs)


FORMAT = Format(
    name="html",
    help="One page for a browser; it has no script and loads nothing.",
    suffixes=(".html", ".htm"),
    write=write,
    loses="all but the messages at the head and what they cost: branches, events, state, checkpoints; "
    "control characters, and the middle of very long results.",
)
