"""Where keys of known shapes are in a text: each has an anchor, found by its rarest character."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from nbsessions.secrets.shapes import BOUNDARY, SHAPES, Shape


def without_shapes(text: str) -> str:
    """Return a text with a marker for each key of a known shape.

    Examples
    --------
    >>> without_shapes("My key is AKIAIOSFODNN7EXAMPLE.")
    'My key is [secret: aws key id].'
    """
    pieces, done = [], 0
    for at, anchor in _anchors(text):
        for shape in _BY_ANCHOR[anchor]:
            found = shape.pattern.match(text, at) if at >= done else None
            if found is None:
                continue
            own = "secret" in shape.pattern.groupindex
            start, end = found.span("secret") if own else found.span()
            pieces += [text[done:start], f"[secret: {shape.kind}]"]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def anchored(text: str, start: int) -> int:
    """Return where the first anchor is, or a part of one, that may begin a secret in the run from `start`.

    Examples
    --------
    >>> anchored("My key is sk-pro", 10)
    10
    """
    places = [start + at for at, anchor in _anchors(text[start:]) if _may_begin(text, start + at, anchor)]
    for length in range(1, min(_LONGEST_ANCHOR, len(text) + 1)):
        at = len(text) - length
        if any(_may_begin(text, at, anchor) for anchor in _PARTS.get(text[at:], ())):
            places.append(at)
    return min(places, default=len(text))


def _anchors(text: str) -> list[tuple[int, str]]:
    """Return where the anchors of shapes are, and which one each is, from left to right."""
    if len(text) <= _PIECE:
        return sorted(_near(text))
    # A long text is looked through some twenty times over: in pieces, which stay near the processor, and
    # which are short enough for `str.find` to take its quick way.
    starts = range(0, len(text), _PIECE)
    pieces = ((start, text[start : start + _PIECE + _LONGEST_ANCHOR]) for start in starts)
    return sorted({(start + at, anchor) for start, piece in pieces for at, anchor in _near(piece)})


def _near(text: str) -> list[tuple[int, str]]:
    places: list[tuple[int, str]] = []
    for character, anchors in _BY_RARE.items():
        # A character that is not there is found out at once, which a class of them never is.
        if character not in text:
            continue
        by_rare = _RARE.get(character)
        if by_rare is None:
            places += _one_by_one(text, anchors)
            continue
        for found in by_rare.finditer(text):
            at = found.start()
            places += [
                (at - back, anchor)
                for anchor, back in anchors
                if back <= at and text.startswith(anchor, at - back)
            ]
    return places


def _one_by_one(text: str, anchors: Iterable[tuple[str, int]]) -> list[tuple[int, str]]:
    places = []
    for anchor, _ in anchors:
        at = text.find(anchor)
        while at >= 0:
            places.append((at, anchor))
            at = text.find(anchor, at + 1)
    return places


def _may_begin(text: str, at: int, anchor: str) -> bool:
    bounded = all(shape.is_bounded for shape in _BY_ANCHOR[anchor])
    return not bounded or BOUNDARY.match(text, at) is not None


def _rarest(anchor: str) -> int:
    """Return the place of the character in an anchor that texts have the least of."""
    return min(range(len(anchor)), key=lambda place: _RARITY.find(anchor[place]) % len(_RARITY))


def _by_rare(anchors: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for anchor in sorted(anchors, key=len, reverse=True):
        place = _rarest(anchor)
        found.setdefault(anchor[place], []).append((anchor, place))
    return found


def _rare(character: str, anchors: Iterable[tuple[str, int]]) -> re.Pattern[str]:
    """Return what finds anchors by their rarest character: few positions are looked at then."""
    # Most places are passed over by the one letter before.
    before: dict[str, list[str]] = {}
    for anchor, place in anchors:
        around = f"(?<={re.escape(anchor[: place + 1])})(?={re.escape(anchor[place + 1 :])})"
        before.setdefault(anchor[max(0, place - 1) : place + 1], []).append(around)
    seen = [f"(?<={re.escape(end)})(?:{'|'.join(several)})" for end, several in before.items()]
    letters = "".join({end[:-1] for end in before})
    guard = f"(?<=[{re.escape(letters)}]{re.escape(character)})" if all(end[1:] for end in before) else ""
    return re.compile(f"{re.escape(character)}{guard}(?:{'|'.join(seen)})")


_BY_ANCHOR: Final[dict[str, list[Shape]]] = {
    anchor: [one for one in SHAPES if any(anchor.startswith(other) for other in one.anchors)]
    for shape in SHAPES
    for anchor in shape.anchors
}
_PIECE: Final = 28_000
_LONGEST_ANCHOR: Final = max(map(len, _BY_ANCHOR))
_PARTS: Final[dict[str, list[str]]] = {
    part: [anchor for anchor in _BY_ANCHOR if anchor.startswith(part) and anchor != part]
    for part in {anchor[:length] for anchor in _BY_ANCHOR for length in range(1, len(anchor))}
}
_RARITY: Final = "~JQXZzKYVGRBPA_=-/TS.9pkb:"
_BY_RARE: Final = _by_rare(_BY_ANCHOR)
_IN_WORDS: Final = "pkb"
"""Letters of so many words that the few anchors without a rarer one are found sooner one by one."""
_RARE: Final = {
    character: _rare(character, some) for character, some in _BY_RARE.items() if character not in _IN_WORDS
}
