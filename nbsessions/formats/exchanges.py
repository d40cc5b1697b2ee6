"""A session as a document shows it: prompts, and what answered each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from nbsessions.amounts import cost_text
from nbsessions.chains import view
from nbsessions.codecs import is_prompt
from nbsessions.folds import fold, labelled, tool_html, tool_plain
from nbsessions.messages import message_text
from nbsessions.records import TERMINAL, Head, Message, Run, SessionRecord, Turn, Usage
from nbsessions.rendering import MONO, MUTED, escape, markdown_html
from nbsessions.reprs import footer_text
from nbsessions.stores.arguments import Bundle
from nbsessions.text import counted, one_line, strip_controls

_PEEK = 100


class Exchange(NamedTuple):
    """A prompt and what answered it; or, where `prompt` is None, messages that no prompt asked for.

    Attributes
    ----------
    turn : Turn
        In which it begins.
    leads : bool
        Whether nothing of that turn stands before it but what no prompt asked for.
    prompt : Message or None
    messages : sequence of Message
        What follows the prompt.
    first : int
        The number of its first message, from 1.
    runs : sequence of Run
        That gave the answer.
    failed : sequence of Run
        That were asked after it, and gave none.
    """

    turn: Turn
    leads: bool
    prompt: Message | None
    messages: list[Message]
    first: int
    runs: list[Run]
    failed: list[Run]


class Part(NamedTuple):
    """One thing to show of an answer.

    ``call`` has the arguments as `text`, and a `result` where there is one.
    """

    kind: Literal["text", "thinking", "call", "result", "system", "note"]
    text: str
    name: str = ""
    result: str | None = None


def path(bundle: Bundle) -> list[Turn]:
    """Return the turns on which a session stands, oldest first.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> path(Building("example", "chat-7", agent_name="helper").bundle())
    []
    """
    turns = {turn.turn_id: turn for turn in bundle.turns}
    found = []
    turn_id = bundle.record.head.turn_id
    while turn_id is not None:
        found.append(turns[turn_id])
        turn_id = turns[turn_id].parent_id
    return found[::-1]


def turn_messages(bundle: Bundle) -> list[tuple[Turn, list[Message]]]:
    """Return the turns on which a session stands, each with those of its messages that are kept.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> [[message.text for message in messages] for _, messages in turn_messages(building.bundle())]
    [['Hi']]
    """
    head = bundle.record.head
    return [
        (turn, view([turn], head if turn.turn_id == head.turn_id else Head(turn.turn_id)))
        for turn in path(bundle)
    ]


def exchanges(bundle: Bundle) -> list[Exchange]:
    """Return what a session says, oldest first: each prompt with its answer.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.add({"role": "user", "content": "Hi"})
    >>> building.add({"role": "assistant", "content": "Hello!"})
    >>> [(each.prompt.text, len(each.messages)) for each in exchanges(building.bundle())]
    [('Hi', 1)]
    """
    answered = {run.turn_id: run for run in bundle.runs if run.turn_id is not None}
    found: list[Exchange] = []
    number = 1
    for turn, messages in turn_messages(bundle):
        prompted = False
        for at, message in enumerate(messages):
            # A system message that comes between belongs to nobody's answer.
            apart = message.role == "system" and not prompted
            if is_prompt(message):
                found.append(Exchange(turn, not prompted, message, [], number, [], []))
                prompted = True
            elif not found or (apart and (found[-1].prompt is not None or at == 0)):
                found.append(Exchange(turn, True, None, [message], number, [], []))
            else:
                found[-1].messages.append(message)
            number += 1
        if found and turn.turn_id in answered:
            found[-1].runs.append(answered[turn.turn_id])
        if found:
            found[-1].failed.extend(failed(bundle, turn.turn_id))
    return found


def failed(bundle: Bundle, turn_id: str | None) -> list[Run]:
    """Return the runs that were asked after a turn, or at the beginning, and gave no answer.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> building = Building("example", "chat-7", agent_name="helper")
    >>> building.run("1", status="failed", prompt="Hi", error="no network")
    >>> [run.error for run in failed(building.bundle(), None)]
    ['no network']
    """
    ended = TERMINAL - {"completed"}
    return [
        run
        for run in bundle.runs
        if run.turn_id is None and run.status in ended and run.base.turn_id == turn_id
    ]


def parts(messages: Iterable[Message]) -> list[Part]:
    """Return what there is to show of the messages of an answer; a tool's result stands with its call.

    Examples
    --------
    >>> parts([Message(role="assistant", content="Hello!")])
    [Part(kind='text', text='Hello!', name='', result=None)]
    """
    found: list[Part] = []
    calls: dict[str, int] = {}
    for message in messages:
        text = message_text(message)
        if message.role == "tool":
            at = calls.get(message.tool_call_id or "")
            if at is not None and found[at].result is None:
                found[at] = found[at]._replace(result=text)
            else:
                found.append(Part("result", text, message.name or "tool"))
            continue
        thought = message.get("reasoning_content")
        if isinstance(thought, str) and thought.strip():
            found.append(Part("thinking", thought))
        if message.role == "user":
            found.append(Part("note", f"user: {text}"))
        elif text.strip():
            found.append(Part("system" if message.role == "system" else "text", text))
        for call in message.calls:
            calls[call.call_id] = len(found)
            found.append(Part("call", call.arguments, call.name))
    return found


def part_html(part: Part) -> str:
    """Return a part as HTML that cannot do anything, as the live display shows it.

    Examples
    --------
    >>> part_html(Part("text", "It is **3**."))
    '<p style="margin:0 0 .6em">It is <strong>3</strong>.</p>\\n'
    """
    match part.kind:
        case "text":
            return markdown_html(part.text)
        case "thinking":
            return fold("Thinking", markdown_html(part.text))
        case "call":
            return tool_html(part.name, part.text, part.result)
        case "result":
            peek = escape(one_line(part.text, 80) or "(nothing)")
            name = escape(one_line(part.name, 80))
            summary = f'<span style="{MONO}"><strong>{name}</strong> → {peek}</span>'
            return fold(summary, labelled("Result", part.text))
        case "system":
            return fold(
                f"System: {escape(one_line(part.text, _PEEK))}", markdown_html(part.text, breaks=True)
            )
    return f'<div style="{MUTED};font-size:.92em;margin:2px 0">{escape(one_line(part.text))}</div>'


def part_plain(part: Part) -> str:
    """Return a part as plain text, without what could act on a terminal.

    Examples
    --------
    >>> part_plain(Part("call", '{"a": 1}', "add", "3"))
    '▸ add(a=1) → 3'
    """
    if part.kind == "call":
        return tool_plain(part.name, part.text, part.result)
    label = {"thinking": "Thinking: ", "system": "System: ", "result": f"{one_line(part.name, 80)} → "}
    return label.get(part.kind, "") + strip_controls(part.text).strip("\n")


# What stands around it


def title(bundle: Bundle, shown: Sequence[Exchange]) -> str:
    """Return what to call a session: its name, its first prompt, or the end of its id.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> title(Building("example", "chat-7", agent_name="helper", name="plan").bundle(), [])
    'plan'
    """
    first = next((one_line(each.prompt.text, 80) for each in shown if each.prompt is not None), "")
    return one_line(bundle.record.name or "", 200) or first or one_line(bundle.record.label, 200)


def facts(bundle: Bundle) -> list[tuple[str, str]]:
    """Return what there is to know of a session: labels and values, each on one line.

    Examples
    --------
    >>> from nbsessions.formats.building import Building
    >>> dict(facts(Building("example", "chat-7", agent_name="helper").bundle()))["agent"]
    'helper'
    """
    record, usage = bundle.record, bundle.record.usage
    models = dict.fromkeys(run.model for run in bundle.runs if run.model)
    rows = [
        ("agent", record.agent_name),
        ("model", ", ".join(models) or record.model or ""),
        ("owner", record.owner),
        ("when", _when(record)),
        ("messages", f"{record.message_count:,} in {counted(record.turn_count, 'turn')}"),
    ]
    if usage.total_tokens:
        rows.append(("tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"))
        rows.append(("cost", "unknown" if usage.cost is None else cost_text(usage)))
    rows += [("tags", ", ".join(record.tags)), ("session", record.session_id)]
    return [(label, one_line(value)) for label, value in rows if value]


def _when(record: SessionRecord) -> str:
    begun, ended = minute(record.created_at), minute(record.updated_at)
    if begun == ended:
        return f"{begun} UTC"
    same_day = begun[:10] == ended[:10]
    return f"{begun} to {ended[11:] if same_day else ended} UTC"


def minute(moment: datetime) -> str:
    """Return a time to the minute.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> minute(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02 03:04'
    """
    return moment.strftime("%Y-%m-%d %H:%M")


def spent(runs: Sequence[Run], label: str = "", turn: int = 0) -> str:
    """Return the line below an answer: its model, tokens, cost and time; empty where no run gave it.

    Examples
    --------
    >>> spent([])
    ''
    """
    if not runs:
        return ""
    usage = sum((run.usage for run in runs), Usage())
    agent = runs[-1].model or runs[-1].agent_name
    seconds = sum(run.duration or 0.0 for run in runs)
    line = footer_text(label=label, turn=turn, agent=agent, usage=usage, seconds=seconds, saved="")
    return line


def in_vain(run: Run) -> str:
    """Return one line about a run that gave no answer.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 2, tzinfo=UTC)
    >>> in_vain(Run(run_id="r", session_id="s", agent_name="a", status="failed", prompt="Hi", started_at=at))
    'Not answered (failed): Hi'
    """
    asked = one_line(run.prompt or "", _PEEK)
    error = f" · {one_line(run.error)}" if run.error else ""
    return f"Not answered ({run.status}){f': {asked}' if asked else ''}{error}"
