"""What pydantic-ai's AG-UI stream tells, as the log of a run has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ag_ui.core import EventType, TextMessageEndEvent, TextMessageStartEvent, ToolCallStartEvent

from nbsessions.adapters.base import Emit

if TYPE_CHECKING:
    from ag_ui.core import BaseEvent


class Told:
    """Passes events on, but for those that only a client needs who keeps the history itself.

    These are values to be sent back with it, and empty messages for calls to belong to. Here the store keeps
    the history, and the log of one framework is like that of another.

    Examples
    --------
    >>> shown = []
    >>> told = Told(shown.append)
    >>> told(TextMessageStartEvent(message_id="m1"))
    >>> told(TextMessageEndEvent(message_id="m1"))
    >>> told(ToolCallStartEvent(tool_call_id="c1", tool_call_name="add", parent_message_id="m1"))
    >>> [(event.type.value, event.parent_message_id) for event in shown]
    [('TOOL_CALL_START', None)]
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._begun: TextMessageStartEvent | None = None
        self._empty: set[str | None] = set()

    def __call__(self, event: BaseEvent) -> None:
        if event.type == EventType.REASONING_ENCRYPTED_VALUE:
            return
        begun, self._begun = self._begun, None
        if isinstance(event, TextMessageEndEvent) and begun is not None:
            self._empty.add(begun.message_id)
            return
        if begun is not None:
            self._emit(begun)
        if isinstance(event, TextMessageStartEvent):
            self._begun = event
            return
        if isinstance(event, ToolCallStartEvent) and event.parent_message_id in self._empty:
            event = event.model_copy(update={"parent_message_id": None})
        self._emit(event)
