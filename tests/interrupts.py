"""Ctrl-C at any line."""

from __future__ import annotations

import sys
from collections.abc import Container
from types import FrameType
from typing import Any


class CtrlC:
    """Raises KeyboardInterrupt before the nth line in some files, and says which line that was."""

    def __init__(self, nth: int, files: Container[str]) -> None:
        self.left, self.files = nth, files
        self.where: str | None = None

    def __enter__(self) -> CtrlC:
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        if event in ("call", "line"):
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}, {event}"
                raise KeyboardInterrupt
        return self._trace
