"""
Where segments are shown: in a notebook, in a terminal, in a pipe.

In a notebook each segment is one output, updated in place; in a terminal the unfinished ones are
drawn live and then printed for good; in a pipe each is printed once.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.segment import Segment as Piece

    from nbsessions.segments import Segment


class Screen(Protocol):
    """What can show segments.

    Examples
    --------
    >>> from nbsessions.segments import Line, Text
    >>> screen: Screen = open_screen(notebook=False)
    >>> unfinished = Text("Hel")
    >>> screen.show([Line("Resumed 'plan'", "note"), unfinished]) == [unfinished]
    Resumed 'plan'
    True
    """

    def show(self, segments: list[Segment]) -> list[Segment]:
        """Show `segments` as they are now, and return those that have to be shown again."""

    def say(self, segment: Segment) -> None:
        """Show a finished segment at once, also where what came before it is not finished."""

    def pause(self) -> None:
        """Leave nothing on the screen that moves."""


def open_screen(*, notebook: bool | None = None, console: Console | None = None) -> Screen:
    """Return the screen that a run is shown on.

    Parameters
    ----------
    notebook : bool or None
        None finds out: a kernel is a notebook, everything else a terminal.
    console : rich.console.Console or None
        The terminal, where it is not the standard output.

    Examples
    --------
    >>> from nbsessions.segments import Text
    >>> open_screen(notebook=False).show([Text("Hello", done=True)])
    Hello
    []
    """
    in_notebook = in_kernel() if notebook is None else notebook
    return _NotebookScreen() if in_notebook else _terminal_screen(console)


class Collected:
    """Keeps every segment and shows none: for whoever does that himself.

    Examples
    --------
    >>> from nbsessions.segments import Text
    >>> screen = Collected()
    >>> screen.show([Text("Hello", done=True)]) == screen.segments
    True
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def show(self, segments: list[Segment]) -> list[Segment]:
        """Keep them all."""
        self.segments = segments
        return segments

    def say(self, segment: Segment) -> None:
        """Keep it as the last one."""
        self.segments.append(segment)

    def pause(self) -> None:
        """Do nothing."""


class _NotebookScreen:
    """Makes each segment one output of the cell."""

    def show(self, segments: list[Segment]) -> list[Segment]:
        from IPython.display import display, update_display

        for segment in segments:
            if not (segment.changed and segment.visible):
                continue
            bundle = {"text/html": segment.html(), "text/plain": segment.plain()}
            if segment.display_id:
                update_display(bundle, display_id=segment.display_id, raw=True)
            else:
                segment.display_id = uuid.uuid4().hex
                display(bundle, display_id=segment.display_id, raw=True)
            segment.changed = False
        return [segment for segment in segments if not segment.done]

    def say(self, segment: Segment) -> None:
        self.show([segment])

    def pause(self) -> None:
        pass


class _TerminalScreen:
    """Prints what is finished; draws the end of what is not, and erases it again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._drawn: _LastLines | None = None
        self._last: Segment | None = None

    def show(self, segments: list[Segment]) -> list[Segment]:
        from rich.live import Live

        rest = [segment for segment in segments if segment.visible or not segment.done]
        if rest and rest[0].done:
            self.pause()
        while rest and rest[0].done:
            self._print(rest.pop(0))
        shown = [segment for segment in rest if segment.visible]
        if shown:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            gap = self._last is not None and (self._last.apart or shown[0].apart)
            self._erase_wrapped()
            self._drawn = _LastLines([segment.rich() for segment in shown], gap)
            self._live.update(self._drawn, refresh=True)
        return rest

    def say(self, segment: Segment) -> None:
        self.pause()
        self._print(segment)

    def _print(self, segment: Segment) -> None:
        from rich.console import Group

        if self._last is not None and (self._last.apart or segment.apart):
            self._console.line()
        # In a group, or rich would join the line with others and forget that it must not wrap.
        self._console.print(Group(segment.rich()))
        self._last = segment

    def pause(self) -> None:
        if self._live is not None:
            self._erase_wrapped()
            live, self._live, self._drawn = self._live, None, None
            live.stop()

    def _erase_wrapped(self) -> None:
        """Erase as many lines as what is drawn has got more of: the window may have become narrower."""
        from rich.control import Control
        from rich.segment import ControlType

        more = 0 if self._drawn is None else self._drawn.wrapped(self._console.width)
        if more:
            up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *up * more))


class _LastLines:
    """As many of the last lines as fit: what scrolled out of the window could not be erased."""

    def __init__(self, parts: Sequence[RenderableType], gap: bool) -> None:
        self._parts = parts
        self._gap = gap
        self._lines: list[str] = []

    def wrapped(self, width: int) -> int:
        """Return how many lines more it takes in a window that has become so wide: terminals wrap again."""
        from rich.cells import chop_cells

        return sum(max(0, len(chop_cells(line, width)) - 1) for line in self._lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.console import Group
        from rich.segment import Segment as Piece

        lines = console.render_lines(Group(*self._parts), options.update(height=None), pad=False)
        room = max(1, console.size.height - 2)
        if self._gap:
            yield Piece.line()
        shown = [_without_padding(line) for line in lines[-room:]]
        self._lines = ["".join(piece.text for piece in line) for line in shown]
        for number, line in enumerate(shown):
            if number:
                yield Piece.line()
            yield from line


def _without_padding(line: Sequence[Piece]) -> Sequence[Piece]:
    """Leave out the blanks at its end: in a window that becomes narrower they would take lines, too."""
    from rich.segment import Segment as Piece

    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    return [*kept[:-1], Piece(kept[-1].text.rstrip(), kept[-1].style)] if kept else kept


class _PlainScreen:
    """Prints each segment once, when it is finished, without a single escape code."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, segments: list[Segment]) -> list[Segment]:
        rest = list(segments)
        while rest and rest[0].done:
            self.say(rest.pop(0))
        return rest

    def say(self, segment: Segment) -> None:
        if segment.visible:
            encoding = getattr(self._console.file, "encoding", None) or "utf-8"
            text = (segment.plain() + "\n").encode(encoding, "replace").decode(encoding)
            self._console.file.write(text)
            self._console.file.flush()

    def pause(self) -> None:
        pass


def beside() -> Screen:
    """Return the screen of a pipe that takes answers alone: all else goes to the standard error.

    Examples
    --------
    >>> from nbsessions.segments import Line, Text
    >>> beside().show([Text("Hello", done=True), Line("plan · turn 1", "footer")])
    Hello
    []
    """
    from rich.console import Console

    return _Beside(Console(force_jupyter=False), Console(force_jupyter=False, stderr=True))


class _Beside(_PlainScreen):
    """Prints answers, and beside them all that is no answer."""

    def __init__(self, console: Console, other: Console) -> None:
        super().__init__(console)
        self._other = _PlainScreen(other)

    def say(self, segment: Segment) -> None:
        from nbsessions.segments import Text

        if isinstance(segment, Text):
            super().say(segment)
        else:
            self._other.say(segment)


def in_kernel() -> bool:
    """Tell whether this process is a notebook's kernel.

    Examples
    --------
    >>> in_kernel()
    False
    """
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _terminal_screen(console: Console | None) -> Screen:
    from rich.console import Console

    if console is None:
        console = Console(force_terminal=sys.stdout.isatty(), force_jupyter=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return _PlainScreen(console)
    from nbsessions.terminal import terminal_theme

    console.push_theme(terminal_theme())
    return _TerminalScreen(console)
