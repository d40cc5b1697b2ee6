"""Markdown in a terminal."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nbsessions.terminal import terminal_markdown
from tests.test_rendering import CONTROLS, PIECES
from tests.views import written


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=25).map("".join))
def test_any_markdown_can_be_shown_in_a_terminal(markdown: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    console.print(terminal_markdown(markdown))
    assert not CONTROLS.search(written(console))


def test_markdown_in_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None)
    shown = (
        "# T\n\n[x](http://a.b) ![y](http://c.d) $a_1*b*c$ <i>\n\n$$\na_1\n- b\n$$\n\n```python\n1 + 1\n```"
    )
    console.print(terminal_markdown(shown))
    lines = [line.strip() for line in written(console).splitlines() if line.strip()]
    assert lines == ["T", "x (http://a.b) y (http://c.d) $a_1*b*c$ <i>", "$$", "a_1", "- b", "$$", "1 + 1"]
