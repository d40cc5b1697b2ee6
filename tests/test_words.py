from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsessions import InvalidInput, Message
from nbsessions.words import MAX_WORDS, count, parse, said, snippet, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("naïve Ünder STRASSE straße", ["naive", "under", "strasse", "strasse"]),
        ("snake_case a-b a.b", ["snake", "case", "a", "b", "a", "b"]),
        ("北京 Oslo", ["北", "京", "oslo"]),
        ("ﬁne №5 x²", ["fine", "no5", "x2"]),
        ("", []),
        ("?!…\0\n", []),
    ],
)
def test_words_are_compared_without_case_and_accents(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_text_has_no_more_words_than_a_store_can_keep() -> None:
    assert len(words("a " * (MAX_WORDS + 10))) == MAX_WORDS
    assert words("a" * 1_000) == ["a" * 64]


@given(st.text())
def test_words_hold_nothing_that_a_database_could_take_for_more(text: str) -> None:
    assert not {*"".join(words(text))} & {*" '\"*\\:&|!()<>-\0"}
    assert words(" ".join(words(text))) == words(text)


@given(st.text())
def test_a_text_is_found_by_each_of_its_words(text: str) -> None:
    found = words(text)
    for word in found:
        assert count(parse(word), found) > 0


def test_terms_are_words_phrases_and_beginnings() -> None:
    assert parse('the "night owl" sl* "bar no"*') == [
        (("the",), False),
        (("night", "owl"), False),
        (("sl",), True),
        (("bar", "no"), True),
    ]
    assert parse('an "open quote')[0].words == ("an",)


@pytest.mark.parametrize("text", ["", "  ", '""', "?!", "*"])
def test_a_search_needs_a_word(text: str) -> None:
    with pytest.raises(InvalidInput, match="There is no word to search for"):
        parse(text)


def test_calls_of_tools_can_be_found() -> None:
    call = {"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    message = Message(role="assistant", content="Let me see", tool_calls=[call])
    assert words(said(message)) == ["let", "me", "see", "weather", "city", "oslo"]


def test_a_snippet_shows_the_first_place_on_one_line() -> None:
    text = "word " * 100 + "\nthe Öwl\nflies " + "away " * 100
    shown = snippet(parse("owl"), text)
    assert "the Öwl flies" in shown
    assert shown.startswith("…word")
    assert shown.endswith("…")
    assert len(shown) < 300
    assert snippet(parse('"night owl"'), "A night-owl.") == "A night-owl."
    assert snippet(parse("owl"), "\x1b[31mowl") == "owl"


@pytest.mark.parametrize("before", ["x " * 200, "é " * 200])
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("owl", "an OWL."),
        ('"night owl"', "Night - OwL"),
        ("ow*", "an owlet"),
        ("owl", "the_owl_sat"),
        ("o" * 70, "o" * 80),
    ],
)
def test_a_snippet_is_around_what_was_found_with_and_without_accents(
    before: str, query: str, shown: str
) -> None:
    """What only ends like it is not what was looked for."""
    found = snippet(parse(query), f"{before}howl fowls noo{'o' * 70} {'y ' * 100}{shown}")
    assert shown in found
    assert "howl" not in found
