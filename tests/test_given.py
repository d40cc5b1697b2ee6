from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput
from nbsessions.arguments import Argument
from nbsessions.commands import on_face
from nbsessions.commands.given import check, schema

ARGUMENTS = (
    Argument(name="--text", help="a text"),
    Argument(name="--choice", help="one of two", choices=("a", "b"), default="a"),
    Argument(name="count", help="a number", kind="number"),
    Argument(name="--really", help="yes", kind="flag"),
    Argument(name="words", help="words", kind="words", required=True),
    Argument(name="rest", help="a name", kind="rest"),
)
WORDS = {"words": ["a"]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(
    st.sampled_from(["text", "choice", "count", "really", "words", "rest", "other"]), JSON, max_size=7
)
LIKELY = st.fixed_dictionaries(
    {"words": st.lists(st.text(max_size=4), min_size=1, max_size=3)},
    optional={
        "text": st.text(max_size=8) | st.none(),
        "choice": st.sampled_from(["a", "b", None]),
        "count": st.integers() | st.integers(0, 9).map(float),
        "really": st.booleans(),
        "rest": st.text(max_size=8),
    },
)


@given(BODIES | LIKELY)
def test_it_takes_what_its_schema_says(body: dict[str, Any]) -> None:
    agrees = jsonschema.Draft202012Validator(schema(ARGUMENTS)).is_valid(body)
    try:
        values = check(ARGUMENTS, body)
    except InvalidInput as error:
        assert (agrees, str(error).count("\n")) == (False, 0)  # noqa: PT017 - or it is taken
        return
    assert agrees
    assert {name: value for name, value in values.items() if value is not None} == {
        name: value for name, value in body.items() if value is not None and (name, value) != ("rest", "")
    }


@given(st.text(max_size=8), st.booleans(), st.integers(-(10**12), 10**12))
def test_typed_values_are_read_by_their_type(text: str, really: bool, count: int) -> None:
    typed = {"text": text, "really": str(really).lower(), "count": str(count), "words": "a b"}
    values = check(ARGUMENTS, typed, typed=True)
    assert values == {"text": text, "really": really, "count": count, "words": ["a", "b"]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "words is missing: words."),
        ({"words": []}, "words is empty: words."),
        ({"words": "a"}, "words must be a list of texts, not 'a'."),
        (WORDS | {"wrods": 1}, "There is no argument 'wrods'. Did you mean 'words'?"),
        (WORDS | {"count": True}, "count must be a whole number, not true."),
        (WORDS | {"count": "3"}, "count must be a whole number, not '3'."),
        (WORDS | {"really": "yes"}, "really must be true or false, not 'yes'."),
        (WORDS | {"choice": "c"}, "choice must be one of a, b, not 'c'."),
        (WORDS | {"text": {"a": "b"}}, "text must be text, not an object."),
        (WORDS | {"text": "\ud800"}, "text holds a lone surrogate, which is not text."),
    ],
)
def test_what_is_wrong_is_told_in_one_line(body: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(ARGUMENTS, body)
    assert str(caught.value) == told


def test_a_text_that_is_no_number_is_refused_where_it_was_typed() -> None:
    for text in ("", "1_0", "x", "9" * 5_000):
        with pytest.raises(InvalidInput, match="count must be a whole number"):
            check(ARGUMENTS, {"count": text, "words": "a"}, typed=True)


def test_the_schemas_of_all_commands_are_schemas() -> None:
    for command in on_face("http"):
        jsonschema.Draft202012Validator.check_schema(schema(command.on("http")))
