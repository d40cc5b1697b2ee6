"""Ctrl-C at any line, and wherever Python itself looks for one."""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Container
from functools import cache
from types import CodeType, FrameType
from typing import Any


class CtrlC:
    """Raises KeyboardInterrupt before the nth line in some files, and says which line that was."""

    def __init__(self, nth: int, files: Container[str]) -> None:
        self.left, self.files = nth, files
        self.where: str | None = None

    def __enter__(self) -> CtrlC:
        # What is collected meanwhile runs its `__del__`, where Python drops an interrupt.
        gc.disable()
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)
        gc.enable()

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event in ("call", "line") and not _leaves_a_with(frame):
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}, {event}"
                raise KeyboardInterrupt
        return self._trace


def _leaves_a_with(frame: FrameType) -> bool:
    """Tell whether a `with` is about to call `__exit__`: in between Python looks for no signal."""
    return any(offset < frame.f_lasti for offset in _withs(frame.f_code).get(frame.f_lineno, ()))


@cache
def _withs(code: CodeType) -> dict[int, list[int]]:
    """Return where the blocks of each line that has a `with` begin."""
    found: dict[int, list[int]] = {}
    for step in dis.get_instructions(code):
        if step.opname in ("BEFORE_WITH", "LOAD_SPECIAL") and step.positions and step.positions.lineno:
            found.setdefault(step.positions.lineno, []).append(step.offset)
    return found


class Signal:
    """Raises KeyboardInterrupt where Python would handle the nth signal that comes in some files.

    These are the beginning of each function and the return of each call of one in C. A lock that is
    written in C can be held by `with` so that nothing comes in between; `CtrlC` does not know that.
    """

    def __init__(self, nth: int, files: Container[str]) -> None:
        self.left, self.files = nth, files
        self.where: str | None = None

    def __enter__(self) -> Signal:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code.co_filename in self.files and event in ("call", "c_return"):
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}, {event}"
                raise KeyboardInterrupt
