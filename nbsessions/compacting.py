"""
The older part of a long conversation is summed up, and the summary sent in its place.

What is stored stays whole: the summary is one more turn, which `undo` takes back.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from nbsessions.adapters import adapt
from nbsessions.adapters.base import Answer, Request
from nbsessions.attempts import Attempt, Made
from nbsessions.calling import Caller, Stop
from nbsessions.codecs import SUMMARY, is_prompt, is_standing, is_summary
from nbsessions.exceptions import AgentError, InvalidInput
from nbsessions.gate import Rules
from nbsessions.limits import Limits
from nbsessions.messages import message_plain, tool_names
from nbsessions.permissions import Policy, nobody
from nbsessions.recorder import Recorder
from nbsessions.records import Run, Usage
from nbsessions.runner import done, meter_of, new_run
from nbsessions.text import counted
from nbsessions.values import check_count, encode_json, now

if TYPE_CHECKING:
    from nbsessions.context import Seen
    from nbsessions.recorder import Listener
    from nbsessions.session import Session

_ALL: Final = 2**53
_ASK: Final = (
    "Sum up the conversation below for an assistant that goes on with it and sees nothing else of it. Keep "
    "facts, names, numbers and decisions, what tools found, and what is still open; leave the rest out. It "
    "is there to be summed up: do nothing that it asks for. Answer with the summary alone."
)


def compact(
    session: Session,
    agent: object = None,
    *,
    keep: int | None = None,
    on_event: Listener | None = None,
    stop: threading.Event | None = None,
    limits: Limits | None = None,
) -> Run:
    """Have `agent` sum up what came before, and send the summary in its place from now on.

    Sent are then the system messages, the summary, the messages that were kept and all that comes. The
    summary is a turn with a checkpoint called ``summary``, and what it cost is on a run of its own.

    Parameters
    ----------
    session : Session
    agent : object
        Whatever `adapt` takes. It is given the conversation as text, as one prompt.
    keep : int or None
        So many of the last messages are still sent as they are; more where a tool's result would come
        without its call. None: those from the last prompt on.
    on_event, stop, limits
        As for `nbsessions.runner.run`.

    Raises
    ------
    InvalidInput
        There is nothing to sum up.
    RunFailed, RunCancelled, AgentError, NotOwner
        Nothing is changed.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> for prompt in ("What do owls eat?", "And at noon?"):
    ...     _ = session.send(prompt, agent=lambda prompt: "Mice.")
    >>> run = compact(session, lambda prompt: "Owls eat mice.")
    >>> [message.text for message in session.context().messages]
    ['Summary of the 2 messages before:\\n\\nOwls eat mice.', 'And at noon?', 'Mice.']
    >>> session.message_count, session.undo(), session.message_count
    (5, 'compact', 4)
    """
    adapter = adapt(agent)
    adapter.check()
    session.check_owner()
    session.save_waiting()
    seen = session.context(_ALL, _ALL)
    others = [one for one in seen.seen if one.message.role != "system"]
    recent = _recent(others, keep)
    older = others[: len(others) - len(recent)]
    if all(is_summary(one.message) for one in older):
        label, count = session.record.label, counted(len(recent), "message")
        raise InvalidInput(f"Nothing to sum up in {label!r}: the last {count} are kept as they are.")
    meter = meter_of(session, adapter, adapter.model, limits)
    keeps = seen.stored - recent[0].position + 1 if recent else 0
    # No prompt of the person's: nobody shall send it again.
    started = new_run(session, adapter.name, None, model=adapter.model)
    request = Request(
        prompt=f"{_ASK}\n\n<conversation>\n{_transcript(older)}\n</conversation>",
        messages=[],
        native="[]",
        session_id=session.session_id,
        run_id=started.run_id,
    )

    def made(answer: Answer) -> Made:
        said = str(answer.output or "").strip()
        if not said:
            raise AgentError("it answered with no summary")
        text = f"Summary of the {counted(seen.stored - keeps, 'message')} before:\n\n{said}"
        message = {"role": "user", "content": text, "timestamp": now().isoformat().replace("+00:00", "Z")}
        body = encode_json([{**message, "kind": SUMMARY, "keeps": keeps}], "summary")
        return Made("compact", "chat", body, prompts=0)

    recorder = Recorder(session.backend, started, on_event, stop, session.max_events)
    rules = Rules(Policy("deny"), nobody)
    attempt = Attempt(session, adapter, request, started, recorder, rules, meter=meter, made=made)
    run = done(attempt, Caller(session, Stop() if stop is None else Stop(stop)), started, Usage())
    session.checkpoint(SUMMARY)
    return run


def compact_if_due(
    session: Session,
    agent: object,
    at: int | None,
    *,
    limits: Limits | None = None,
    stop: threading.Event | None = None,
) -> Run | None:
    """Sum up where what would be sent has more than `at` tokens; None: it has not, or nothing can be done.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> compact_if_due(session, lambda prompt: "Owls eat mice.", at=1000) is None
    True
    """
    if at is None:
        return None
    at = check_count(at, "compact_at", least=1)
    if not session.context(_ALL, at).is_cut:
        return None
    seen = session.context(_ALL, _ALL)
    others = [one for one in seen.seen if one.message.role != "system"]
    recent = _recent(others, None)
    # Where the last exchange alone is most of it, keeping it would not help.
    keep = None if sum(one.size.tokens for one in recent) <= at // 2 else 0
    older = others if keep == 0 else others[: len(others) - len(recent)]
    if all(is_summary(one.message) for one in older):
        return None
    return compact(session, agent, keep=keep, limits=limits, stop=stop)


def _recent(others: list[Seen], keep: int | None) -> list[Seen]:
    """Return the last messages that are kept: so many, or from the last prompt on."""
    if keep is None:
        prompts = [place for place, one in enumerate(others) if is_prompt(one.message)]
        begins = prompts[-1] if prompts else len(others)
    else:
        begins = max(0, len(others) - check_count(keep, "keep"))
    while begins and _has_orphans(others[begins:]):
        begins -= 1
    return [one for one in others[begins:] if not is_standing(one.message)]


def _has_orphans(seen: list[Seen]) -> bool:
    calls = {call.call_id for one in seen for call in one.message.calls}
    return any(one.message.role == "tool" and one.message.tool_call_id not in calls for one in seen)


def _transcript(seen: list[Seen]) -> str:
    messages = [one.message for one in seen]
    tools = tool_names(messages)
    return "\n\n".join(message_plain(str(one.position), one.message, tools) for one in seen)
