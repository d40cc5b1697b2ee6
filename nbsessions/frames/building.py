"""DataFrames of columns, typed also where there is no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from nbsessions.frames.making import MISSING, Array, numbers, texts
from nbsessions.frames.sheets import UTC, Column

Values = Mapping[str, list[Any]]


def build(
    columns: Sequence[Column],
    pieces: Iterable[Values],
    *,
    newest: str | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return a frame of these columns, of values that come in pieces, by the names of their sources.

    Parameters
    ----------
    columns : sequence of Column
    pieces : iterable of mapping
        Each has the same number of values for each source.
    newest : str or None
        The source of times: the latest row comes first and, of rows of the same time, the last.
    limit : int or None
        So many of the first rows then; else of the last.

    Examples
    --------
    >>> from nbsessions.frames.sheets import SESSIONS
    >>> names = [SESSIONS["name"], SESSIONS["cost"]]
    >>> build(names, [{"name": ["plan"], "cost": [None]}])["cost"].isna().tolist()
    [True]
    """
    series = [_Series(column) for column in columns]
    times = _Growing()
    # Where nothing comes, the columns have their types, too.
    nothing: Values = {
        name: [] for name in [*(name for one in columns for name in one.sources), newest or ""]
    }
    for piece in chain([nothing], pieces):
        if newest is not None:
            times.add(numbers(piece[newest]))
        for one in series:
            one.add(piece)
    order: Any = slice(None) if limit is None else slice(-limit, None) if limit else slice(0)
    if newest is not None:
        order = _latest_first(times.values())[:limit]
    # One after the other: what it was made of goes before the next is made.
    data = {one.column.name: one.made(order) for one in series}
    return pd.DataFrame(data, copy=False)


def _latest_first(times: Array) -> Array:
    backwards = times[::-1]
    order: Array = len(backwards) - 1 - np.argsort(-backwards, kind="stable")
    return order


class _Series:
    """One column that grows piece by piece."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self._texts: list[Any] = []
        self._grown = _Growing()
        self._codes: dict[Any, int] = {name: code for code, name in enumerate(column.categories)}

    def add(self, piece: Values) -> None:
        """Add the values of a piece."""
        sources = [_array(piece[name], self.column.dtype) for name in self.column.sources]
        values = sources[0] if self.column.make is None else self.column.make(*sources)
        if self.column.dtype == "string":
            # Where Arrow holds them, they take less than half of the memory from here on.
            self._texts.append(pd.array(values, dtype="string"))
        else:
            self._grown.add(self._coded(values) if self.column.dtype == "category" else values)

    def _coded(self, values: Array) -> Array:
        codes, found = pd.factorize(values)
        own = [self._codes.setdefault(name, len(self._codes)) for name in found]
        return np.array([*own, -1], dtype=np.int32)[codes]

    def made(self, order: Any) -> Any:
        """Return all values in this order; nothing is left here."""
        if self.column.dtype == "string":
            parts, self._texts = self._texts, []
            return pd.concat([pd.Series(part, copy=False) for part in parts], ignore_index=True).array[order]
        grown, self._grown = self._grown, _Growing()
        values = grown.values()[order]
        is_category = self.column.dtype == "category"
        return self._category(values) if is_category else _typed(values, self.column.dtype)

    def _category(self, codes: Array) -> Any:
        names = list(self._codes)
        if not self.column.categories:  # they come in an order that is always the same
            names.sort()
            place = {name: at for at, name in enumerate(names)}
            codes = np.array([*(place[name] for name in self._codes), -1], dtype=np.int32)[codes.astype(int)]
        index = pd.Index(names, dtype="str" if names else object).astype("str")
        return pd.Categorical.from_codes(codes.astype(np.int32), dtype=pd.CategoricalDtype(index))


class _Growing:
    """An array that grows. Many small ones, each freed in its turn, would leave holes in the memory."""

    def __init__(self) -> None:
        self._held: Array | None = None
        self._length = 0

    def add(self, values: Array) -> None:
        """Put values behind the others."""
        end = self._length + len(values)
        if self._held is None or end > len(self._held):
            larger = np.empty(max(end, 2 * self._length), dtype=values.dtype)
            larger[: self._length] = self.values()
            self._held = larger
        self._held[self._length : end] = values
        self._length = end

    def values(self) -> Array:
        """Return all of them."""
        return np.empty(0) if self._held is None else self._held[: self._length]


def _array(values: list[Any], dtype: str) -> Array:
    if dtype in ("string", "category"):
        return texts(values)
    return np.array(values, dtype=dtype) if dtype in ("bool", "float64") else numbers(values)


def _typed(values: Array, dtype: str) -> Any:
    """Return values as a column of this type; those that are missing are marked as it marks them."""
    if dtype == UTC:
        return pd.DatetimeIndex(values.view("M8[us]")).tz_localize("UTC")
    if dtype == "Int64":
        missing = values == MISSING
        return pd.arrays.IntegerArray(np.where(missing, 0, values), missing)
    if dtype == "Float64":
        missing = np.isnan(values)
        return pd.arrays.FloatingArray(np.where(missing, 0.0, values), missing)
    return values
