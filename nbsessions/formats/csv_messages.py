"""
Messages as CSV, for spreadsheets and for pandas: a row for each.

UTF-8 with a byte order mark, without which a spreadsheet program shows ``Ã©`` for ``é`` (pandas and polars
skip it); every cell is quoted, lines end with CR LF, as in RFC 4180. A cell that a spreadsheet program would
take for a formula begins with an apostrophe, as OWASP says
(https://owasp.org/www-community/attacks/CSV_Injection): text that begins with ``=``, ``+``, ``-``, ``@``, a
tab or a line end, also behind spaces and in its full-width form. Controls and escape sequences are left out.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from io import TextIOWrapper
from typing import BinaryIO

from nbsessions.formats.base import Format
from nbsessions.formats.exchanges import turn_messages
from nbsessions.messages import message_text
from nbsessions.records import Message
from nbsessions.stores.arguments import Bundle
from nbsessions.text import strip_controls

COLUMNS = (
    "session_id",
    "session",
    "agent",
    "number",
    "role",
    "name",
    "content",
    "tool_calls",
    "tool_call_id",
    "timestamp",
    "turn_id",
    "model",
    "tags",
)
_FORMULA = re.compile("[\\t\\r\\n]|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


def write(bundles: Iterable[Bundle], file: BinaryIO) -> None:
    """Write the messages of sessions, one session after the other.

    Examples
    --------
    >>> from io import BytesIO
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "=1+1"})
    >>> file = BytesIO()
    >>> write([building.bundle()], file)
    >>> file.getvalue().decode("utf-8-sig").splitlines()[1].split(",")[:7]
    ['"chat-7"', '""', '"helper"', '"1"', '"user"', '""', '"\\'=1+1"']
    """
    text = TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
    rows = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for bundle in bundles:
        record = bundle.record
        models = {run.turn_id: run.model for run in bundle.runs if run.turn_id is not None}
        about = (record.session_id, record.name, record.agent_name)
        number = 0
        for turn, messages in turn_messages(bundle):
            for message in messages:
                number += 1
                model = models.get(turn.turn_id) if message.role == "assistant" else None
                said = (*about, str(number), *_said(message), turn.turn_id, model, ", ".join(record.tags))
                rows.writerow(cell(value or "") for value in said)
    text.detach()


def _said(message: Message) -> tuple[str | None, ...]:
    calls = json.dumps(message.tool_calls, ensure_ascii=False) if message.tool_calls else None
    at = message.to_dict().get("timestamp")
    return message.role, message.name, message_text(message), calls, message.tool_call_id, at


def cell(text: str) -> str:
    """Return a text for a cell, which no spreadsheet program takes for a formula.

    Examples
    --------
    >>> cell("=1+1"), cell("a=1"), cell("- an item")
    ("'=1+1", 'a=1', "'- an item")
    """
    shown = strip_controls(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


FORMAT = Format(
    name="csv",
    help="The messages as a table, for spreadsheets: a row for each.",
    suffixes=(".csv",),
    write=write,
    loses="all but the messages at the head: branches, runs, state, checkpoints; control characters; "
    "and text that looks like a formula begins with an apostrophe.",
)
