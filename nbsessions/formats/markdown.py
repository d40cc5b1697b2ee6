"""
A session as Markdown, to be read: on GitHub, in an editor, in a mail.

GitHub Flavored Markdown (https://github.github.com/gfm/). Answers are as the model wrote them, and inert (see
`nbsessions.formats.inert`): HTML is shown, not run, and nothing is loaded. It is written, and not read back:
for that there are ``json`` and ``notebook``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from nbsessions.folds import arguments_line
from nbsessions.formats.base import Format
from nbsessions.formats.exchanges import (
    Exchange,
    Part,
    exchanges,
    facts,
    failed,
    in_vain,
    minute,
    parts,
    spent,
)
from nbsessions.formats.exchanges import title as title_of
from nbsessions.formats.inert import escaped, escaped_html, fenced, inert
from nbsessions.messages import message_text
from nbsessions.records import Run
from nbsessions.rendering import indented_json
from nbsessions.stores.arguments import Bundle
from nbsessions.text import one_line

_HEADING = 80
"""A prompt that is no longer, and has one line, is said by its heading alone."""
_LONG = 20_000
"""Characters of arguments and of results that are shown."""


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write sessions, one after the other.

    Examples
    --------
    >>> from io import BytesIO
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper", name="Greetings")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> building.add({"role": "assistant", "content": "Hello <b>!"})
    >>> file = BytesIO()
    >>> write([building.bundle()], file)
    >>> text = file.getvalue().decode()
    >>> text.splitlines()[0], text.splitlines()[-1]
    ('# Greetings', 'Hello &lt;b>!')
    """
    for number, bundle in enumerate(bundles):
        file.write(b"\n---\n\n" if number else b"")
        file.write("\n\n".join(_blocks(bundle)).encode("utf-8", "replace") + b"\n")


def _blocks(bundle: Bundle) -> Iterator[str]:
    """Yield the blocks of a session, between which an empty line stands."""
    shown = exchanges(bundle)
    yield f"# {escaped(title_of(bundle, shown))}"
    rows = [f"| {escaped(label)} | {escaped(value)} |" for label, value in facts(bundle)]
    yield "\n".join(["| | |", "| --- | --- |", *rows])
    yield from _in_vain(failed(bundle, None))
    number = 0
    for exchange in shown:
        number += exchange.prompt is not None
        yield from _exchange(exchange, number)
    if not shown:
        yield "No messages."


def _exchange(exchange: Exchange, number: int) -> Iterator[str]:
    prompt = exchange.prompt
    if prompt is not None:
        text = message_text(prompt).strip()
        yield f"## {number} · {_heading(text)}"
        if prompt.timestamp is not None:
            yield f"<sub>{minute(prompt.timestamp)} UTC</sub>"
        if len(text) > _HEADING or "\n" in text:
            yield _quoted(inert(text))
    yield from map(part_markdown, parts(exchange.messages))
    line = spent(exchange.runs)
    if line:
        yield f"<sub>{escaped(line)}</sub>"
    yield from _in_vain(exchange.failed)


def _heading(prompt: str) -> str:
    first, _, more = prompt.partition("\n")
    return escaped(first, _HEADING) + (" …" if more and not first.endswith("…") else "") or "(no text)"


def _in_vain(runs: Iterable[Run]) -> Iterator[str]:
    for run in runs:
        yield f"> ⚠ {escaped(in_vain(run), 1_000)}"


def part_markdown(part: Part) -> str:
    """Return a part of an answer as Markdown that cannot do anything.

    Examples
    --------
    >>> part_markdown(Part("text", "It is <b>**3**."))
    'It is &lt;b>**3**.'
    """
    match part.kind:
        case "text":
            return inert(part.text)
        case "thinking":
            return _details("Thinking", inert(part.text))
        case "system":
            return _details(f"System: {escaped_html(part.text, _HEADING)}", inert(part.text))
        case "result":
            return _details(f"<code>{escaped_html(part.name)}</code>{_peek(part.text)}", _data(part.text))
        case "call":
            return _call(part)
    return f"> {escaped(part.text)}"


def _call(part: Part) -> str:
    line = escaped_html(f"{one_line(part.name, 80)}({arguments_line(part.text)})")
    told = [] if part.text.strip() in ("", "{}") else ["Arguments", _data(part.text)]
    told += [] if part.result is None else ["Result", _data(part.result)]
    peek = "" if part.result is None else _peek(part.result)
    return _details(f"<code>{line}</code>{peek}", "\n\n".join(told))


def _peek(result: str) -> str:
    return f" → {escaped_html(result, 60) or '(nothing)'}"


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def _data(text: str) -> str:
    indented = indented_json(text)
    shown = indented or text
    if len(shown) > _LONG:
        left_out = len(shown) - _LONG
        shown = f"{shown[:_LONG]}\n… {left_out:,} characters are not shown; the store has them all …"
    return fenced(shown, "json" if indented else "text")


def _quoted(text: str) -> str:
    """Return Markdown as a quote, whose lines end where a person ended them."""
    lines, in_code = text.split("\n"), False
    quoted = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        in_code ^= line.lstrip().startswith("```")
        hard = "  " if line.strip() and following.strip() and not in_code else ""
        quoted.append(f"> {line}".rstrip() + hard)
    return "\n".join(quoted)


FORMAT = Format(
    name="markdown",
    help="Markdown to be read, on GitHub and elsewhere; what models wrote does nothing in it.",
    suffixes=(".md", ".markdown"),
    write=write,
    loses="all but the messages at the head and what they cost: branches, events, state, checkpoints; "
    "control characters, and the ends of very long results.",
)
