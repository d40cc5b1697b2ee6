from __future__ import annotations

from collections.abc import Iterator

import ipywidgets
import pytest


@pytest.fixture(autouse=True)
def _close_widgets() -> Iterator[None]:
    """Close the widgets of a test: ipywidgets keeps each until then."""
    yield
    ipywidgets.Widget.close_all()
