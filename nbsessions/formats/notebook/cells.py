"""The cells of an exported notebook: one for each prompt, with its answer as output."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from nbsessions.amounts import cost_text
from nbsessions.formats.exchanges import (
    Exchange,
    Part,
    exchanges,
    facts,
    part_html,
    part_plain,
    parts,
    spent,
    title,
)
from nbsessions.formats.inert import escaped, inert
from nbsessions.formats.markdown import part_markdown
from nbsessions.rendering import MUTED, escape
from nbsessions.stores.arguments import Bundle
from nbsessions.text import counted

KEY: Final = "nbsessions"
"""Of the metadata that are ours."""
ASKS: Final = "%%agent --raw --rerun replay"
"""The first line of a cell that shows a stored answer."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def cells(bundle: Bundle) -> list[dict[str, Any]]:
    """Return the cells that show a session.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> [cell["id"] for cell in cells(Building("example", "chat-7", agent_name="helper").bundle())]
    ['nbsessions-about', 'nbsessions-load']
    """
    shown = exchanges(bundle)
    found = [
        _markdown("nbsessions-about", _about(bundle, shown), {}),
        _code("nbsessions-load", f"%load_ext nbsessions\n{_load(bundle)}", {}, []),
    ]
    for exchange in shown:
        prompt = exchange.prompt
        if prompt is not None and not exchange.leads and found[-1]["cell_type"] == "code":
            # A turn of several prompts is one cell, because it is shown again as one.
            found[-1]["outputs"] += _outputs([Part("note", f"user: {prompt.text}")], exchange, bundle)
        elif prompt is not None and exchange.leads and prompt.text.strip():
            outputs = _outputs([], exchange, bundle)
            source = f"{ASKS}\n{prompt.text}"
            found.append(_code(_cell_id(exchange), source, _about_cell(exchange, prompt.text), outputs))
        else:
            messages = exchange.messages if prompt is None else [prompt, *exchange.messages]
            text = "\n\n".join(map(part_markdown, parts(messages))) or "(no text)"
            role = messages[0].role
            heading = "*assistant*\n\n" if role == "assistant" else ""
            found.append(_markdown(_cell_id(exchange), heading + text, _about_cell(exchange, text)))
    return found


def _about(bundle: Bundle, shown: list[Exchange]) -> str:
    known, usage = dict(facts(bundle)), bundle.record.usage
    told = [known.get(label, "") for label in ("agent", "model", "when")]
    told.append(counted(bundle.record.message_count, "message"))
    if usage.total_tokens:
        told += [f"{usage.input_tokens:,} → {usage.output_tokens:,} tokens", cost_text(usage)]
    return (
        f"# {escaped(title(bundle, shown))}\n\n"
        f"{escaped(' · '.join(text for text in told if text), 1_000)}\n\n"
        "*Run All* shows the stored answers again: it asks nobody, and costs nothing. "
        "It needs the package `nbsessions`."
    )


def _load(bundle: Bundle) -> str:
    """Return the line that loads the session, and imports this notebook where the store has less of it."""
    record = bundle.record
    line = f"%session load {_word(record.session_id)}"
    if record.conversation_id is not None:
        line += f" --conversation {_word(record.conversation_id)}"
    if record.head.turn_id is not None:
        line += f" --turn {_word(record.head.turn_id)}"
    return f"{line} --or-import"


def _word(text: str) -> str:
    """Return an id as one word of a command's line; of one with quotes, the end or the beginning."""
    if re.fullmatch(r"[\w.:@][\w.:@-]*", text, re.ASCII):
        return text
    first, *_, last = text.split('"') if '"' in text else (text, text)
    return f'"{last or first}"'


def _cell_id(exchange: Exchange) -> str:
    """Return the id of a cell: of one that asks, its turn's, by which the stored answer is found."""
    turn_id = exchange.turn.turn_id
    known = turn_id if _UUID.fullmatch(turn_id) else sha(turn_id)[:32]
    return known if exchange.prompt is not None and exchange.leads else f"{known}-{exchange.first}"


def _about_cell(exchange: Exchange, text: str) -> dict[str, Any]:
    role = exchange.messages[0].role if exchange.prompt is None else "user"
    about = {
        "turn_id": exchange.turn.turn_id,
        "number": exchange.first,
        "role": role,
        "text_sha": sha(as_saved(text)),
    }
    return {KEY: about}


def _outputs(first: list[Part], exchange: Exchange, bundle: Bundle) -> list[dict[str, Any]]:
    outputs = [_output(part) for part in [*first, *parts(exchange.messages)]]
    line = spent(exchange.runs, bundle.record.label, exchange.turn.total_turns)
    if line:
        html = f'<div style="{MUTED};font-size:.85em;margin:2px 0 4px">{escape(line)}</div>'
        outputs.append(_display({"text/html": html, "text/plain": line}))
    return outputs


def _output(part: Part) -> dict[str, Any]:
    plain = part_plain(part)
    if part.kind == "text":
        return _display({"text/markdown": inert(part.text), "text/plain": plain})
    return _display({"text/html": part_html(part), "text/plain": plain})


def _display(data: dict[str, str]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _markdown(cell_id: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": cell_id, "metadata": metadata, "source": source}


def _code(
    cell_id: str, source: str, metadata: dict[str, Any], outputs: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": metadata,
        "outputs": outputs,
        "source": source,
    }


def as_saved(text: object) -> str:
    """Return the text of a notebook's field, which may be in lines, as all who save it spell it.

    Examples
    --------
    >>> as_saved(["a\\r\\n", "b\\n"])
    'a\\nb'
    """
    joined = "".join(line for line in text if isinstance(line, str)) if isinstance(text, list) else text
    return joined.replace("\r\n", "\n").replace("\r", "\n").strip("\n") if isinstance(joined, str) else ""


def sha(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal digits.

    Examples
    --------
    >>> sha("Hi")[:8]
    '3639efcd'
    """
    return sha256(text.encode("utf-8", "replace")).hexdigest()
