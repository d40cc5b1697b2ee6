"""Text that a model, a file or another program gave, made safe to show on a line or a screen."""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    r"""
      (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]                      # CSI: colours, cursor
    # OSC and DCS, titles and links; one that never ends stops at the next, or this took quadratic time.
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\x90\x98\x9d-\x9f]*+(?:\x07|\x9c|\x1b\\)
    | \x1b[ -/]*[0-~]                                       # other escape sequences
    | [\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]
    """,
    re.VERBOSE,
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """Return `text` without what could act on a terminal or reorder what is read.

    Escape sequences, control characters other than newline and tab, and bidirectional overrides go;
    a carriage return becomes a newline, and half a character (a lone surrogate) the replacement sign.

    Examples
    --------
    >>> strip_controls("\\x1b[31mred\\x1b[0m, safe\\u202e\\x07")
    'red, safe'
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def one_line(text: str, limit: int = 300) -> str:
    """Return the first `limit` characters of `text`, on one line and without controls.

    Examples
    --------
    >>> one_line("Hello,\\n\\x1b[31mworld", 9)
    'Hello, w…'
    """
    # Only so much is looked at, because this runs on every update.
    line = " ".join(strip_controls(text[: limit * 4]).split())
    return line if len(line) <= limit and len(text) <= limit * 4 else line[: limit - 1] + "…"


def last_words(text: str, limit: int) -> str:
    """Return the last `limit` characters of `text`, on one line and without controls.

    Examples
    --------
    >>> last_words("Hello,\\nworld", 6)
    '…world'
    """
    line = " ".join(strip_controls(text[-limit * 4 :]).split())
    return line if len(line) <= limit else "…" + line[len(line) - limit + 1 :]


def masked(url: str) -> str:
    """Return a URL without the passwords in it.

    Examples
    --------
    >>> masked("postgresql://ada:secret@host/agents?sslpassword=more")
    'postgresql://ada:***@host/agents?sslpassword=***'
    """
    url = re.sub(r"(?<=://)([^/?@:]*):[^/?]*(?=@)", r"\1:***", url)
    return re.sub(r"(?<=[?&])([a-z]*(?:password|secret))=[^&]*", r"\1=***", url)


def is_url(text: object) -> bool:
    """Tell whether a text is the URL of an endpoint.

    Examples
    --------
    >>> is_url("http://localhost:8000/"), is_url("openai:gpt-5.2")
    (True, False)
    """
    return isinstance(text, str) and re.match(r"https?://", text, re.IGNORECASE) is not None


def bare_url(url: str) -> str:
    """Return a URL without what may be secret in it: who logs in, and what is asked by a query.

    Examples
    --------
    >>> bare_url("https://ada:secret@example.com/agent?key=1#top")
    'https://example.com/agent'
    """
    scheme, _, rest = url.partition("://")
    where = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = where.partition("/")
    return f"{scheme.lower()}://{host.rpartition('@')[2]}{slash}{path}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not one.

    Examples
    --------
    >>> counted(1, "turn"), counted(1200, "turn")
    ('1 turn', '1,200 turns')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def wrap(text: str, lead: str = "") -> list[str]:
    """Return a text as lines that fit the terminal, below each other behind what leads them.

    Examples
    --------
    >>> wrap("one line", "  ls  ")
    ['  ls  one line']
    """
    import shutil
    import textwrap

    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead))
