"""
Make the pictures of the README again: ``python -m tests.pictures``.

They are what `Chart.save` writes, of a store that `tests.charts.plausible` fills.
"""

from __future__ import annotations

from pathlib import Path

import nbsessions as nbs
from nbsessions import charts
from tests.charts.plausible import filled

FOLDER = Path(__file__).parent.parent / ".github" / "images"


def main() -> None:
    """Write each picture over the one of before, and say how large it is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with nbs.open_store("memory:") as store:
        filled(store)
        made = {
            "tokens": charts.tokens(store),
            "cost": charts.cost(store),
            "context": charts.context(store.resume("weekly report")),
        }
        for name, chart in made.items():
            path = chart.save(FOLDER / f"{name}.png", overwrite=True)
            print(f"{path.relative_to(FOLDER.parent.parent)}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
