"""
What a person sees of a run while it happens.

A run is shown as segments, in order: text, thinking, a tool call, a line. This turns the events of a
run into segments, and says when the screen has to show them again. Nothing is written to a store.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

from nbsessions.folds import content_text
from nbsessions.screens import open_screen
from nbsessions.segments import Asked, Line, Text, Thinking, ToolCall
from nbsessions.text import counted, one_line

if TYPE_CHECKING:
    from types import TracebackType

    from ag_ui.core import BaseEvent
    from rich.console import Console

    from nbsessions.permissions import ToolQuestion
    from nbsessions.screens import Screen
    from nbsessions.segments import Segment

_INTERVAL = 0.08
"""Seconds between updates; a little less than the 0.1 s in which deltas are gathered upstream."""


class AnswerView:
    """Shows one run while it happens, in a notebook or a terminal.

    Parameters
    ----------
    notebook : bool or None
        None finds out: a kernel is a notebook, everything else a terminal.
    title : str or None
        A line above the answer.
    console : rich.console.Console or None
        The terminal, where it is not the standard output.
    screen : Screen or None
        Where it is shown, where it is none of these.

    Examples
    --------
    >>> with AnswerView(notebook=False) as view:
    ...     view.note("Resumed 'plan'")
    ...     view.finish("plan · turn 3 · saved")
    Resumed 'plan'
    (no text)
    plan · turn 3 · saved
    """

    def __init__(
        self,
        *,
        notebook: bool | None = None,
        title: str | None = None,
        console: Console | None = None,
        screen: Screen | None = None,
    ) -> None:
        self._screen = screen or open_screen(notebook=notebook, console=console)
        self._segments: list[Segment] = []
        self._open: dict[tuple[type, str], Any] = {}
        self._answered = False
        self._next_update = 0.0
        if title:
            self._add(Line(title, "title"), at_once=True)

    def __enter__(self) -> AnswerView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end_all()
        finally:
            self._screen.pause()

    def event(self, event: BaseEvent) -> None:
        """Show one event of the run; events of an unknown type are passed over.

        Examples
        --------
        >>> from ag_ui.core import RunErrorEvent
        >>> with AnswerView(notebook=False) as view:
        ...     view.event(RunErrorEvent(message="the model is overloaded"))
        Error: the model is overloaded
        """
        data = event.model_dump(by_alias=True, warnings=False)
        kind = str(getattr(data["type"], "value", data["type"]))
        match kind.replace("THINKING_TEXT_MESSAGE", "REASONING_MESSAGE"):
            case "TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK":
                self._speak(Text, data)
            case "REASONING_MESSAGE_CONTENT" | "REASONING_MESSAGE_CHUNK":
                self._speak(Thinking, data)
            case "TEXT_MESSAGE_START" | "TEXT_MESSAGE_END":
                self._end(Text, data.get("messageId", ""))
            case "REASONING_MESSAGE_START" | "REASONING_MESSAGE_END":
                self._end(Thinking, data.get("messageId", ""))
            case (
                "TOOL_CALL_START"
                | "TOOL_CALL_ARGS"
                | "TOOL_CALL_CHUNK"
                | "TOOL_CALL_END"
                | "TOOL_CALL_RESULT"
            ):
                self._tool(kind, data)
            case "RUN_ERROR":
                self._answered = True
                self._add(
                    Line(f"Error: {one_line(str(data.get('message', '')), 500)}", "error"), at_once=True
                )
            case "CUSTOM" if data.get("name") == "nbsessions.context":
                self._dropped(data.get("value"))
            case "CUSTOM" if data.get("name") == "nbsessions.approval":
                self._decided(data.get("value"))
            case "CUSTOM" if data.get("name") == "nbsessions.subagent":
                self._asked(data.get("value"))
            case "CUSTOM" if data.get("name") == "nbsessions.untold":
                self._untold(data.get("value"))
            case "CUSTOM" if data.get("name") == "nbsessions.truncated":
                self._add(
                    Line("The answer was cut off: it reached its greatest length", "note"), at_once=True
                )

    def copy(self, screen: Screen) -> AnswerView:
        """Return the same answer on another screen, from where each goes on by itself.

        What is finished they share. Only where the screen keeps every segment is it the whole answer.

        Examples
        --------
        >>> from nbsessions.screens import Collected
        >>> view, screen = AnswerView(screen=Collected()), Collected()
        >>> view.note("both")
        >>> view.copy(screen).note("one")
        >>> view.note("the other")
        >>> [segment.text for segment in screen.segments]
        ['both', 'one']
        """
        twin = AnswerView(screen=screen)
        growing = {segment: copy.copy(segment) for segment in self._segments if not segment.done}
        twin._segments = [growing.get(segment, segment) for segment in self._segments]
        twin._open = {key: growing[segment] for key, segment in self._open.items()}
        twin._answered = self._answered
        twin.flush()
        return twin

    def note(self, text: str) -> None:
        """Show one muted line.

        Examples
        --------
        >>> AnswerView(notebook=False).note("The local model is small.")
        The local model is small.
        """
        self._add(Line(text, "note"), at_once=True)

    def flush(self) -> None:
        """Show what throttling held back, for whoever finds that no event has come for a while.

        Examples
        --------
        >>> AnswerView(notebook=False).flush()
        """
        self._update(at_once=True)

    def pause(self) -> None:
        """Leave the terminal to somebody else, such as a question to the person; events resume.

        Examples
        --------
        >>> AnswerView(notebook=False).pause()
        """
        self._update(at_once=True)
        self._screen.pause()

    def ask(self, question: ToolQuestion) -> None:
        """Show a call of a tool that waits to be allowed, and leave the terminal to whoever asks about it.

        Examples
        --------
        >>> from nbsessions.permissions import ToolQuestion
        >>> question = ToolQuestion(name="add", arguments="3", call_id="c", run_id="r", agent_name="adder")
        >>> AnswerView(notebook=False).ask(question)
        adder asks to call add:
        3
        """
        self.pause()
        self._screen.say(Asked(question))

    def finish(self, footer: str, output: object = None) -> None:
        """End what is still open and show the footer; an output that was not said in words comes first.

        Examples
        --------
        >>> AnswerView(notebook=False).finish("saved")
        (no text)
        saved
        """
        self._end_all()
        if not self._answered and output not in (None, ""):
            self._add(Text(f"```python\n{output!r}\n```", done=True))
        elif not self._answered:
            self._add(Line("(no text)", "note"))
        if footer:
            self._add(Line(footer, "footer"))
        self._update(at_once=True)
        self._screen.pause()

    def _speak(self, kind: type[Text | Thinking], data: dict[str, Any]) -> None:
        key = kind, data.get("messageId") or ""
        segment = self._open.get(key)
        if segment is None:
            segment = self._open[key] = kind()
            self._add(segment)
        was_visible = segment.visible
        segment.text += data.get("delta") or ""
        segment.changed = True
        self._answered |= kind is Text and segment.visible
        self._update(at_once=segment.visible and not was_visible)

    def _tool(self, kind: str, data: dict[str, Any]) -> None:
        key = ToolCall, data.get("toolCallId") or ""
        if key not in self._open:
            # Text after this call is a new segment, also where the message goes on.
            for open_kind, message_id in [key for key in self._open if key[0] is not ToolCall]:
                self._end(open_kind, message_id)
            self._open[key] = ToolCall(data.get("toolCallName") or "tool")
            self._add(self._open[key])
        call: ToolCall = self._open[key]
        call.changed = True
        if kind == "TOOL_CALL_RESULT":
            call.result = content_text(data.get("content"))
            self._end(*key)
        elif delta := data.get("delta"):
            call.arguments += delta
        # A tool may run for long after its arguments are complete.
        self._update(at_once=kind == "TOOL_CALL_END")

    def _dropped(self, value: object) -> None:
        count = value.get("dropped") if isinstance(value, dict) else None
        if not isinstance(count, int):
            return
        what = "older message was" if count == 1 else "older messages were"
        self.note(f"{count:,} {what} left out: the model's context is full")

    def _decided(self, value: object) -> None:
        if isinstance(value, dict):
            name, reason = value.get("toolCallName"), value.get("reason")
            kind = "Allowed" if value.get("approved") is True else "Denied"
            told = [f"{kind} from now on: {name}" if value.get("always") is True else f"{kind}: {name}"]
            told += [f"with {value['arguments']} instead"] if "arguments" in value else []
            told += [f"({reason})"] if reason else []
            self.note(" ".join(told))

    def _untold(self, value: object) -> None:
        told = {k: n for k, n in value.items() if isinstance(n, int)} if isinstance(value, dict) else {}
        parts = " and ".join(counted(number, str(kind)) for kind, number in told.items())
        if parts:
            one = sum(told.values()) == 1
            kept = "it is kept" if one else "they are kept"
            self.note(f"{parts} of earlier turns cannot be told to this agent; {kept}.")

    def _asked(self, value: object) -> None:
        if isinstance(value, dict):
            name, where = str(value.get("agentName")), str(value.get("sessionId"))
            self.note(f"{name} was asked, in a session of its own ({where[-8:]})")

    def _add(self, segment: Segment, *, at_once: bool = False) -> None:
        self._segments.append(segment)
        self._update(at_once=at_once)

    def _end(self, kind: type, key: str) -> None:
        segment = self._open.pop((kind, key), None)
        if segment is not None:
            segment.done = segment.changed = True
            self._update(at_once=True)

    def _end_all(self) -> None:
        for segment in self._segments:
            segment.changed |= not segment.done
            segment.done = True
        self._open.clear()
        self._update(at_once=True)

    def _update(self, *, at_once: bool) -> None:
        started = time.monotonic()
        if not at_once and started < self._next_update:
            return
        self._segments = self._screen.show(self._segments)
        # A long answer takes long to render: leave most of the time to the agent.
        ended = time.monotonic()
        self._next_update = ended + max(_INTERVAL, 3 * (ended - started))
