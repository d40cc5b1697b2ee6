"""A run that can be looked at step by step: a slider through its events, and the answer as it was then."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

import anywidget
import ipywidgets

from nbsessions.amounts import duration_text
from nbsessions.exceptions import InvalidInput, RunNotFound
from nbsessions.records import TERMINAL, Event, EventPage, Run
from nbsessions.rendering import MUTED, escape
from nbsessions.replaying import Tape
from nbsessions.runs import prompted
from nbsessions.segments import Text, Thinking
from nbsessions.stores.base import Key
from nbsessions.text import one_line
from nbsessions.widgets.live import Live, assets, line_html, store_here, workspace_here

if TYPE_CHECKING:
    from nbsessions.segments import Segment
    from nbsessions.store import Store

_BLOCK: Final = 8_000
"""Characters of HTML that travel to the browser at once: what stands before them is there already."""
_GROWING: Final = 8_000
"""Of a text that is still being written, so many characters are shown, the last ones."""
_STEPS: Final = 200
"""So many steps it takes at most to play a run."""
_STEP_MS: Final = 100


class _Labels(anywidget.AnyWidget):
    """What plain widgets have no words for: names for those who cannot see, and that no kernel answers."""

    _esm = assets("common.js", "beside.js", "replay.js")
    _css = assets("common.css", "replay.css")


class RunReplay(Live, ipywidgets.VBox):
    """A slider through the events of a run, and below it the answer as it looked after each of them.

    Nothing is asked, and nothing is stored. It opens at the end, and goes along with a run that is under
    way. It is made of plain ipywidgets and works wherever these do.

    Parameters
    ----------
    run : Run or str
        A run, or its id, or the end of it.
    store : Store or None
        Where it is; None: the current one.

    Attributes
    ----------
    run : Run
    position : int
        So many of its events have happened.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> store = nbs.open_store("memory:")
    >>> replay = RunReplay(store.create("plan").send("Hello", agent=lambda prompt: "Hi"), store)
    >>> replay.position = 2
    >>> replay.told
    'event 2 of 5 · TEXT_MESSAGE_START · ... s'
    >>> print(replay)
    Hello
    Hi
    plan · agent · ... s · completed, replayed: no tokens spent
    """

    def __init__(self, run: Run | str, store: Store | None = None) -> None:
        self.store = store_here(store)
        self.run = _found(run, self.store)
        record = self.store.backend.get(Key.of(self.run))
        self._tape = Tape(self.run, self._page, label="" if record is None else record.label)
        self._drawn: weakref.WeakKeyDictionary[Segment, str] = weakref.WeakKeyDictionary()
        self._whole = [*self._tape.answer(self._tape.count)]
        super().__init__(self._made())
        self.add_class("nbs-replay")
        self._follow(self.store.backend)
        if self.run.status in TERMINAL:
            self._stop()
        self._draw()
        self._listen()

    def _page(self, after: int, limit: int) -> EventPage:
        return self.store.events(self.run.run_id, after=after, limit=limit)

    # Its parts

    def _made(self) -> list[ipywidgets.Widget]:
        first, count = self._tape.first, self._tape.count
        self._back = ipywidgets.Button(description="Previous", tooltip="One event back")
        self._on = ipywidgets.Button(description="Next", tooltip="One event on")
        for button in (self._back, self._on):
            button.layout.width = "auto"
        wide = ipywidgets.Layout(width="auto", flex="1 1 20em")
        self.slider = ipywidgets.IntSlider(
            count,
            first,
            count,
            description="Event",
            readout=False,
            layout=wide,
            style={"description_width": "auto"},
        )
        step = max(1, (count - first) // _STEPS)
        self._play = ipywidgets.Play(
            value=count, min=first, max=count, step=step, interval=_STEP_MS, show_repeat=False
        )
        # In the browser, so that it plays also while the kernel is busy.
        ipywidgets.jslink((self._play, "value"), (self.slider, "value"))
        self._label = ipywidgets.HTML()
        self._label.add_class("nbs-label")
        self._answer = ipywidgets.VBox()
        self._answer.add_class("nbs-answer")
        self._line = ipywidgets.HTML()
        self._line.add_class("nbs-line")
        row: dict[str, Any] = {"flex_flow": "row wrap", "align_items": "center"}
        bar = ipywidgets.HBox([self._play, self._back, self._on, self.slider], layout=row)
        if first == count:
            bar.layout.display = "none"
        return [bar, self._label, self._answer, ipywidgets.HBox([self._line, _Labels()])]

    def _listen(self) -> None:
        self.slider.observe(lambda change: self._show(self._draw), "value")
        self._back.on_click(lambda button: self._go(-1))
        self._on.on_click(lambda button: self._go(1))

    def _go(self, steps: int) -> None:
        with self.lock:
            self.position += steps

    # What is shown

    @property
    def position(self) -> int:
        """So many of its events have happened."""
        return int(self.slider.value)

    @position.setter
    def position(self, position: int) -> None:
        self.slider.value = position

    @property
    def told(self) -> str:
        """Which event it is, of how many, and when it happened."""
        count = self._tape.count
        if self._tape.first == count:
            return "No event of this run is kept." if count else "This run has no events."
        event = self._tape.event(self.position)
        words = [f"event {self.position:,} of {count:,}"]
        if event is not None:
            words += [one_line(event.type, 60), _since(self.run, event)]
        elif self.position > self._tape.first:
            words.append("missing")
        return " · ".join(word for word in words if word)

    def _look(self) -> None:
        """Read what has become of the run meanwhile; who looks at its end goes along with it."""
        run = _found(self.run.run_id, self.store)
        if (run.event_count, run.status) == (self.run.event_count, self.run.status):
            return
        at_end = self.position == self.slider.max
        self._tape.grow(run)
        self._whole = [*self._tape.answer(self._tape.count)]
        for part in (self.slider, self._play):
            part.max = self._tape.count
        self.children[0].layout.display = None if self._tape.first < self._tape.count else "none"
        if at_end:
            self.position = self._tape.count
        self._draw()
        # Last: where something could not be read, it is read again.
        self.run = run
        if run.status in TERMINAL:
            self._stop()

    def _draw(self) -> None:
        """Show the answer as it was; of what the browser has already nothing is sent again."""
        blocks = [""]
        for segment in self._tape.answer(self.position):
            if segment.visible:
                if len(blocks[-1]) > _BLOCK:
                    blocks.append("")
                blocks[-1] += self._segment_html(segment)
        parts = [*self._answer.children[: len(blocks)]]
        for part, html in zip(parts, blocks, strict=False):
            part.value = html
        more = [ipywidgets.HTMLMath(html, layout={"width": "auto"}) for html in blocks[len(parts) :]]
        if len(self._answer.children) != len(blocks):
            left = self._answer.children[len(blocks) :]
            self._answer.children = [*parts, *more]
            for part in left:
                part.close()
        self._label.value = f'<span style="{MUTED}">{escape(self.told)}</span>'
        self._back.disabled = self.position <= self._tape.first
        self._on.disabled = self.position >= self._tape.count

    def _segment_html(self, segment: Segment) -> str:
        if not segment.done:
            return _growing(segment).html()
        if segment not in self._drawn:
            self._drawn[segment] = segment.html()
        return self._drawn[segment]

    def _show_line(self, text: str, is_error: bool, can_undo: bool) -> None:
        """Show a line below the answer."""
        self._line.value = line_html(text, is_error)

    # Where no widget runs

    def __str__(self) -> str:
        return "\n".join(segment.plain() for segment in self._whole if segment.visible)

    def _html(self) -> str:
        """Return the whole answer, as it looked at the end."""
        with self.lock:
            return "".join(self._segment_html(segment) for segment in self._whole if segment.visible)


def _found(run: Run | str, store: Store) -> Run:
    if not isinstance(run, (Run, str)):
        raise InvalidInput(f"RunReplay takes a run or its id, not {type(run).__name__}.")
    if isinstance(run, str):
        workspace = workspace_here()
        near = None if workspace is None or workspace.store is not store else workspace.session
        return prompted(store.backend, store.run(run, within=near))
    try:
        return prompted(store.backend, store.run(run.run_id))
    except RunNotFound as error:
        text = f"Run {run.run_id!r} is not in {store.url}. Say where it is: RunReplay(run, store)."
        raise RunNotFound(text, run.run_id) from error


def _since(run: Run, event: Event) -> str:
    """Return how long after the start of the run an event happened, where that is known."""
    at = event.data.get("timestamp")
    if not isinstance(at, (int, float)):
        return ""
    return duration_text(max(0.0, at / 1000 - run.started_at.timestamp()))


def _growing(segment: Segment) -> Segment:
    """Return the end of a text that is long and still being written: all of it would travel at each step."""
    if not isinstance(segment, (Text, Thinking)) or len(segment.text) <= _GROWING:
        return segment
    end = segment.text[-_GROWING:]
    # A whole paragraph, or what was Markdown is none.
    end = end[max(0, end.find("\n\n")) :]
    return type(segment)(f"… {len(segment.text) - len(end):,} characters before …\n\n{end}")
