"""
Text that a model or a file gave, as Markdown that cannot do anything, whoever renders it.

Readers of Markdown do not agree on where code begins and ends, so nothing here trusts that what is
code for one of them is code for all. Blocks of code are written anew, so that they begin and end the
same for everybody; everything else is written so that it stays text even where a reader is wrong.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict, deque

from nbsessions.rendering import MATH_INLINE, TEX_REACHES_OUT
from nbsessions.text import one_line, strip_controls

# What may stand before a fence: quotes, lists, definitions, and spaces.
_FENCE = re.compile(r"((?:[ \t]|>|[-*+:](?=[ \t])|\d{1,9}[.)](?=[ \t]))*)(`{3,}|~{3,})([^\n]*)")
_WEB = r"(?:https?://|mailto:)"
_IMAGE = re.compile(r"!(?=\[)")
_LINK = re.compile(rf"\]\((?!\s*(?:{_WEB}|\#))", re.IGNORECASE)
_DEFINITION = re.compile(rf"\]:(?!\s*{_WEB})", re.IGNORECASE)
_ACTS = re.compile(rf"<|&\#|{_IMAGE.pattern}|\]\(|\]:|{TEX_REACHES_OUT.pattern}")
_BREAK = re.compile(r"&lt;br\s*/?>", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\\`*_\[\]!|~$\n]")
_BLANK = re.compile(r"(\n[ \t]*\n)")


def inert(text: str) -> str:
    """Return Markdown that says the same, and of which nothing runs, loads or leads to a script.

    HTML is shown as text, but for ``<br>``; a link that is not to the web or mail is text, an image a
    link; every block of code is closed. Escape sequences, controls and bidirectional overrides go.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> print(inert("See <b>, [me](javascript:x) and ![it](https://a.b/c)"))
    See &lt;b>, [me]&#40;javascript:x) and &#33;[it](https://a.b/c)
    >>> print(inert("`a` is `<b>`"))
    `a` is <code>&lt;b&gt;</code>
    """
    lines = deque(re.split(r"[\n\u2028\u2029]", strip_controls(text)))
    blocks: list[tuple[bool, str]] = []
    prose: list[str] = []
    while lines:
        line = lines.popleft()
        found = _FENCE.match(line)
        if found is None:
            prose.append(line)
        elif found[2][0] == "`" and "`" in found[3]:
            # Inline code for most readers, a fence for some: neither then.
            prose.append(found[1] + _entities(found[2]) + found[3])
        else:
            blocks += [(False, _prose(prose))] if prose else []
            blocks.append((not found[1], _block(found, _code_lines(found, lines))))
            prose = []
    blocks += [(False, _prose(prose))] if prose else []
    return _joined(blocks).strip("\n")


def _joined(blocks: list[tuple[bool, str]]) -> str:
    """Return blocks, one below the other; code that stands on its own has an empty line around it."""
    # After an empty line it is code for everybody, also where a formula was begun and not ended.
    text, alone = "", False
    for code, block in blocks:
        if code or alone:
            text, block = text.rstrip("\n"), block.strip("\n")
        text += ("\n\n" if code or alone else "\n") + block
        alone = code
    return text


def escaped(text: str, limit: int = 300) -> str:
    """Return a name, a tag, or another short text as Markdown of one line that shows it as it is.

    Examples
    --------
    >>> escaped("*plan* <b>\\nof 2")
    '\\\\*plan\\\\* &lt;b&gt; of 2'
    """
    line = html.escape(one_line(text, limit), quote=False)
    return re.sub(r"[\\`*_\[\]!|~$#]", lambda found: f"\\{found[0]}", line)


def escaped_html(text: str, limit: int = 300) -> str:
    """Return a short text as HTML of one line, in which Markdown finds nothing either.

    Examples
    --------
    >>> escaped_html("a`<b>")
    'a&#96;&lt;b&gt;'
    """
    return _entities(one_line(text, limit))


def fenced(text: str, language: str = "") -> str:
    """Return text as a block of code that nothing in it can end.

    Examples
    --------
    >>> print(fenced("a = 1", "python"))
    ```python
    a = 1
    ```
    """
    text = strip_controls(text).strip("\n")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    known = re.fullmatch(r"[\w+#.-]{1,30}", language, re.ASCII)
    return f"{fence}{language if known else ''}\n{text}\n{fence}"


def _code_lines(opened: re.Match[str], lines: deque[str]) -> list[str]:
    """Take the lines of a block of code, and the one that closes it, from `lines`."""
    prefix, fence = opened[1], opened[2]
    closes = re.compile(rf"[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*")
    quotes, width = prefix.count(">"), len(prefix.expandtabs(4))
    found = []
    while lines:
        if quotes and not lines[0].lstrip().startswith(">"):  # the quote that it stands in has ended
            break
        line = lines.popleft()
        if closes.fullmatch(line):
            break
        for _ in range(quotes):
            line = re.sub(r"^[ \t]*> ?", "", line)
        indent = len(line) - len(line.lstrip(" \t"))
        found.append(line[min(indent, 0 if quotes else width) :])
    return found


def _block(opened: re.Match[str], lines: list[str]) -> str:
    """Return a block of code written anew."""
    prefix, language = opened[1], (opened[3].split() or [""])[0].strip("{}.")
    text = "\n".join(lines)
    if not prefix:
        return fenced(text, language)
    if _ACTS.search(text):
        return f"{prefix}<pre><code>{_entities(text)}</code></pre>"
    first, *others = fenced(text, language).split("\n")
    under = re.sub(r"[^>\t]", " ", prefix)
    return "\n".join([prefix + first, *(f"{under}{line}" for line in others)])


def _prose(lines: list[str]) -> str:
    return "".join(
        part if number % 2 else _paragraph(part) for number, part in enumerate(_BLANK.split("\n".join(lines)))
    )


def _paragraph(text: str) -> str:
    if not _ACTS.search(text):
        return text
    runs = [found.span() for found in re.finditer(r"`+", text)]
    later: dict[int, deque[int]] = defaultdict(deque)
    for number, (start, end) in enumerate(runs):
        later[end - start].append(number)
    parts, at, number = [], 0, 0
    while number < len(runs):
        start, end = runs[number]
        same = later[end - start]
        while same and same[0] <= number:
            same.popleft()
        if same:
            closing = same.popleft()
            parts += [_text(text[at:start]), _span(text[start:end], text[end : runs[closing][0]])]
            at, number = runs[closing][1], closing
        number += 1
    return "".join([*parts, _text(text[at:])])


def _span(ticks: str, text: str) -> str:
    return f"<code>{_entities(text.strip())}</code>" if _ACTS.search(text) else f"{ticks}{text}{ticks}"


def _text(text: str) -> str:
    # Character references, not backslashes: one that stands before cannot undo them.
    text = MATH_INLINE.sub(lambda found: re.sub("< ?", r"\\lt ", found[0]), text)
    text = text.replace("&#", "&amp;#")
    text = re.sub(r"\\?<", "&lt;", text)
    text = _IMAGE.sub("&#33;", text)
    text = _LINK.sub("]&#40;", text)
    text = _DEFINITION.sub("]&#58;", text)
    text = TEX_REACHES_OUT.sub(lambda found: f"&#92;{found[0][1:]}", text)
    return _BREAK.sub("<br>", text)


def _entities(text: str) -> str:
    return _PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", html.escape(text, quote=False))
