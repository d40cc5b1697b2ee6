"""
Prompts and answers in the cells of a notebook that carries no session of ours.

Read are cells of ``%%agent``, and of ``%%ai`` of Jupyter AI (jupyter-ai-magics 2.31,
https://jupyter-ai.readthedocs.io/en/v2/users/index.html), whose first word is the model, and whose outputs
say in their metadata (``jupyter_ai``) which one answered. The answer is what the outputs show: Markdown,
text, or what was printed. Of tool calls a notebook shows too little to have them back.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import FormatError
from nbsessions.formats.base import note
from nbsessions.formats.building import Building
from nbsessions.formats.reading import dict_of, list_of, moment, text_of
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle
from nbsessions.text import counted, one_line, strip_controls

_ASKS: Final = re.compile(r"%%(agent|ai)(?:[ \t]+([^\n]*))?(?:\n|$)")
_TAKE_VALUES: Final = {"--model", "--into", "--session", "--max-messages", "--max-tokens", "--rerun"} | {
    *("-f", "--format", "-n", "--region-name", "-q", "--request-schema"),
    *("-p", "--response-path", "-m", "--model-parameters"),
}
_COMMANDS: Final = frozenset({"delete", "error", "help", "list", "register", "update", "version"})
# What our display shows beside an answer: tool calls and thoughts that are folded, notes, the line below.
_BESIDE: Final = re.compile(r'\s*<(?:details |div style="(?:color|font-weight))')


class _Cell(NamedTuple):
    magic: str
    words: list[str]
    options: dict[str, str]
    prompt: str
    outputs: list[Any]
    at: datetime | None


def read_cells(data: dict[str, Any], path: Path) -> Iterator[Bundle]:
    """Yield what the cells of a notebook tell as one session; nothing where no cell asks an agent.

    Examples
    --------
    >>> output = {"output_type": "stream", "name": "stdout", "text": ["Hello!"]}
    >>> cell = {"cell_type": "code", "source": "%%ai openai-chat:gpt-4\\nHi", "outputs": [output]}
    >>> bundle = next(read_cells({"nbformat": 4, "cells": [cell]}, Path("chat.ipynb")))
    >>> bundle.record.message_count, bundle.record.model
    (2, 'openai-chat:gpt-4')
    """
    found = [cell for cell in map(_cell, _cells(data, path)) if cell is not None]
    if not found:
        note("no cell of it asks an agent (%%agent, %%ai)")
        return
    by_ai = all(cell.magic == "ai" for cell in found)
    agents = [cell.words[0] for cell in found if cell.magic == "agent" and cell.words]
    building = Building(
        "notebook",
        None,
        agent_name="jupyter-ai" if by_ai else next(iter(agents), "local"),
        title=path.stem,
        metadata={"notebook": path.name},
        created_at=next((cell.at for cell in found if cell.at is not None), None),
    )
    beside = 0
    for cell in found:
        beside += _add(building, cell)
    if beside:
        are = "is" if beside == 1 else "are"
        note(f"{counted(beside, 'output')} beside the answers, such as tool calls, {are} left out")
    yield building.bundle()


def _cells(data: dict[str, Any], path: Path) -> list[Any]:
    if data.get("nbformat", 4) >= 4:
        return list_of(data.get("cells"))
    # Notebooks of before 2014 have worksheets, and other names.
    import nbformat

    try:
        return list(nbformat.convert(nbformat.from_dict(data), 4)["cells"])
    except Exception as error:  # noqa: BLE001 - what it raises at a notebook that is none is not told
        reason = f"it is a notebook of version {data.get('nbformat')} that cannot be read: {error}"
        raise FormatError(path, one_line(reason)) from None


def _cell(value: Any) -> _Cell | None:
    cell = dict_of(value)
    source = _text(cell.get("source"))
    asks = _ASKS.match(source)
    if cell.get("cell_type") != "code" or asks is None:
        return None
    words, options = _words(asks[2] or "")
    if asks[1] == "ai" and words and words[0] in _COMMANDS:
        return None
    prompt = source[asks.end() :].strip("\n")
    times = dict_of(dict_of(cell.get("metadata")).get("execution"))
    at = moment(times.get("iopub.execute_input") or times.get("shell.execute_reply.started"))
    return (
        _Cell(asks[1], words, options, prompt, list_of(cell.get("outputs")), at) if prompt.strip() else None
    )


def _words(line: str) -> tuple[list[str], dict[str, str]]:
    try:
        given = shlex.split(line)
    except ValueError:  # a quote that is not closed
        given = line.split()
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(given)
    for word in rest:
        name, has_value, value = word.partition("=")
        if word.startswith("-"):
            options[name] = value if has_value else next(rest, "") if name in _TAKE_VALUES else ""
        else:
            words.append(word)
    return words, options


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _add(building: Building, cell: _Cell) -> int:
    """Add a prompt and its answer, and return how many outputs were left out."""
    said, beside, error, model, provider = [], 0, None, cell.options.get("--model"), None
    for output in map(dict_of, cell.outputs):
        data = dict_of(output.get("data"))
        told = dict_of(dict_of(output.get("metadata")).get("jupyter_ai"))
        model, provider = text_of(told.get("model_id")) or model, text_of(told.get("provider_id")) or provider
        if output.get("output_type") == "error":
            error = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
        elif cell.magic == "agent" and _BESIDE.match(_text(data.get("text/html"))):
            beside += 1
        elif output.get("output_type") == "stream":
            said += [_text(output.get("text"))] if output.get("name") != "stderr" else []
        else:
            # Our Markdown is written to be shown; what was said is the text.
            kinds = (
                ("text/plain", "text/markdown") if cell.magic == "agent" else ("text/markdown", "text/plain")
            )
            said.append(next((text for kind in kinds if (text := _text(data.get(kind)))), ""))
    if cell.magic == "ai" and model is None and cell.words:
        model = cell.words[0]
    answer = strip_controls("\n\n".join(text.strip("\n") for text in said if text.strip()))
    building.add({"role": "user", "content": cell.prompt}, at=cell.at)
    if answer:
        building.add({"role": "assistant", "content": answer})
    if model is not None:
        building.spend(Usage(), model=model, provider=provider, at=cell.at)
    if error is not None:
        building.end("failed", error)
    return beside
