"""People's own prices, for models that nobody else has a price for, or another one."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from nbsessions.exceptions import InvalidInput
from nbsessions.pricing.spellings import Ref
from nbsessions.records import Usage

Number = int | float | Decimal
_HIGHEST: Final = 1_000_000
_MILLION: Final = 1_000_000


class Price(NamedTuple):
    """What a model costs, in US dollars.

    Attributes
    ----------
    model : str
    provider : str or None
        None: whoever serves it.
    input_mtok, output_mtok : Decimal
        A million tokens sent, and generated.
    cache_read_mtok, cache_write_mtok : Decimal or None
        A million tokens read from a cache, and written to it. None: as any that are sent.
    request : Decimal
        Each request.

    Examples
    --------
    >>> price = Price("my-model", None, Decimal("0.2"), Decimal("0.8"))
    >>> price.of(Usage(input_tokens=1_000_000, output_tokens=500_000, requests=1))
    Decimal('0.6')
    """

    model: str
    provider: str | None
    input_mtok: Decimal
    output_mtok: Decimal
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    request: Decimal = Decimal(0)

    def of(self, usage: Usage) -> Decimal:
        """Return what it makes of a usage, whose tokens sent include those of the cache.

        Examples
        --------
        >>> Price("my-model", None, Decimal("0.2"), Decimal("0.8")).of(Usage(input_tokens=1_000_000))
        Decimal('0.2')
        """
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        fresh = max(usage.input_tokens - read - written, 0)
        cached = self.input_mtok if self.cache_read_mtok is None else self.cache_read_mtok
        kept = self.input_mtok if self.cache_write_mtok is None else self.cache_write_mtok
        tokens = (
            fresh * self.input_mtok + read * cached + written * kept + usage.output_tokens * self.output_mtok
        )
        return tokens / _MILLION + usage.requests * self.request


_lock = threading.Lock()
_set: dict[Ref, Price | None] = {}
_read: tuple[tuple[str, int] | None, dict[Ref, Price]] = (None, {})


def set_price(
    model: str,
    input_mtok: Number | None = None,
    output_mtok: Number | None = None,
    *,
    cache_read_mtok: Number | None = None,
    cache_write_mtok: Number | None = None,
    request: Number | None = None,
    provider: str | None = None,
) -> None:
    """Set the price of a model, or of what runs on a machine of your own: what ends from now on has it.

    It is there until Python ends, and wins over what genai-prices knows. One that stays is written into the
    file ``$NBSESSIONS_PRICES``: a JSON array of objects with these names, ``model``, ``input_mtok`` and
    ``output_mtok`` at least. `Store.reprice` gives it to what was spent before.

    Parameters
    ----------
    model : str
        As runs name it; capitals do not matter.
    input_mtok, output_mtok : number or None
        US dollars for a million tokens sent, and generated. Both None: the price is taken away.
    cache_read_mtok, cache_write_mtok : number or None
        For a million tokens read from a cache, and written to it. None: as `input_mtok`.
    request : number or None
        For each request, beside its tokens.
    provider : str or None
        Only where this one serves it.

    Raises
    ------
    InvalidInput
        A price is none: negative, no number, too high, or one of the two is missing.

    Examples
    --------
    >>> set_price("my-model", input_mtok=0.2, output_mtok=0.8)
    >>> [(price.model, price.input_mtok) for price in prices()]
    [('my-model', Decimal('0.2'))]
    >>> set_price("my-model", None)
    >>> prices()
    []
    """
    told = {
        "model": model,
        "provider": provider,
        "input_mtok": input_mtok,
        "output_mtok": output_mtok,
        "cache_read_mtok": cache_read_mtok,
        "cache_write_mtok": cache_write_mtok,
        "request": request,
    }
    gone = all(value is None for name, value in told.items() if name not in ("model", "provider"))
    key = _key(_text(model, "model"), None if provider is None else _text(provider, "provider"))
    price = None if gone else _price(told)
    with _lock:
        _set[key] = price


def prices() -> list[Price]:
    """Return the own prices that hold now, those of the file ``$NBSESSIONS_PRICES`` included.

    Raises
    ------
    InvalidInput
        The file cannot be read, or is none of prices.

    Examples
    --------
    >>> prices()
    []
    """
    return [price for price in {**_of_file(), **_set}.values() if price is not None]


def own_price(refs: Iterable[Ref]) -> Price | None:
    """Return the own price of a model that is called one of these, the first one that has a price.

    Raises
    ------
    InvalidInput
        The file ``$NBSESSIONS_PRICES`` cannot be read, or is none of prices.

    Examples
    --------
    >>> own_price([Ref(None, "my-model")]) is None
    True
    """
    known = {**_of_file(), **_set}
    return next((price for ref in refs if (price := known.get(ref)) is not None), None) if known else None


def _key(model: str, provider: str | None) -> Ref:
    return Ref(None if provider is None else provider.strip().lower(), model.strip().lower())


def _price(told: dict[str, Any]) -> Price:
    """Return what is told as a price, or refuse it."""
    unknown = sorted(told.keys() - set(Price._fields))
    if unknown:
        raise InvalidInput(f"A price has no {unknown[0]!r}; it has {', '.join(Price._fields)}.")
    model = _text(told.get("model"), "model")
    provider = None if told.get("provider") is None else _text(told["provider"], "provider")
    numbers = {
        name: _number(told[name], name, model) for name in Price._fields[2:] if told.get(name) is not None
    }
    missing = [name for name in ("input_mtok", "output_mtok") if name not in numbers]
    if missing:
        raise InvalidInput(f"The price of {model!r} lacks {missing[0]}; 0 is a price.")
    return Price(model, provider, **numbers)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"The {name} of a price is a name, not {value!r}.")
    return value.strip()


def _number(value: object, name: str, model: str) -> Decimal:
    good = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    number = Decimal(str(value)) if good else Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _HIGHEST:
        raise InvalidInput(
            f"{name} of {model!r} is a number of US dollars from 0 to {_HIGHEST:,}, not {value!r}."
        )
    return number


def _of_file() -> dict[Ref, Price]:
    """Return the prices of the file, which is read again when it has changed."""
    global _read
    path = os.environ.get("NBSESSIONS_PRICES")
    if not path:
        return {}
    try:
        state = (path, Path(path).stat().st_mtime_ns)
        if _read[0] != state:
            _read = (state, _parsed(Path(path).read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The prices in {path} ($NBSESSIONS_PRICES) cannot be read: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"The prices in {path} ($NBSESSIONS_PRICES) are none: {error}") from None
    return _read[1]


def _parsed(text: str) -> dict[Ref, Price]:
    try:
        told = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"no JSON: {error}") from None
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise InvalidInput("a JSON array of objects is expected, one for each model.")
    found = [_price(one) for one in told]
    return {_key(price.model, price.provider): price for price in found}
