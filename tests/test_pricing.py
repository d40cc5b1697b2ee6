"""What is spent has its price: the right one, or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbsessions as nbs
from nbsessions import InvalidInput, Usage
from nbsessions.pricing import own, priced
from nbsessions.records import Spent
from nbsessions.testing import ScriptedAgent
from tests.prices import stepped

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CACHED = {"input_tokens": 1000, "cache_read_tokens": 600, "cache_write_tokens": 300}


def spent(model: str | None = "gpt-4o", provider: str | None = None, **counts: int) -> Spent:
    return Spent(Usage.model_validate({"requests": 1, **counts}), model, provider, AT)


def cost(model: str | None = "gpt-4o", provider: str | None = None, **counts: int) -> Decimal | None:
    return priced(spent(model, provider, **(counts or {"input_tokens": 1000}))).usage.cost


def listed(model: str, provider: str, tokens: int = 1000) -> Decimal:
    usage = genai_prices.Usage(input_tokens=tokens)
    return genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=AT).total_price


@pytest.fixture(autouse=True)
def no_own_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_set", {})


@pytest.fixture
def two_prices() -> Iterator[None]:
    with stepped():
        yield


# By genai-prices


@pytest.mark.parametrize(
    ("model", "provider", "known_as"),
    [
        ("gpt-4o", "openai", ("gpt-4o", "openai")),
        ("GPT-4o", " OpenAI ", ("gpt-4o", "openai")),
        ("gpt-4o", None, ("gpt-4o", "openai")),
        ("openai:gpt-4o", None, ("gpt-4o", "openai")),
        ("openai/gpt-4o", None, ("gpt-4o", "openai")),
        ("openai/gpt-4o", "openai", ("gpt-4o", "openai")),
        ("openai/gpt-4o", "litellm", ("gpt-4o", "openai")),
        ("gateway/openai:gpt-4o", None, ("gpt-4o", "openai")),
        ("gpt-4o", "openai-responses", ("gpt-4o", "openai")),
        ("gpt-4o", "azure.ai.openai", ("gpt-4o", "azure")),
        ("azure/gpt-4o", None, ("gpt-4o", "azure")),
        ("anthropic/claude-sonnet-4-5", None, ("claude-sonnet-4-5", "anthropic")),
        ("anthropic/claude-sonnet-4-5", "anthropic", ("claude-sonnet-4-5", "anthropic")),
        ("anthropic/claude-sonnet-4.5", "openrouter", ("anthropic/claude-sonnet-4.5", "openrouter")),
        ("openrouter/anthropic/claude-sonnet-4.5", None, ("anthropic/claude-sonnet-4.5", "openrouter")),
        ("claude-sonnet-4-5@20250929", "google-vertex", ("claude-sonnet-4-5", "google")),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "bedrock",
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ),
        (
            "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            None,
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            None,
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws.bedrock",
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ),
        ("models/gemini-2.5-flash", "google-gla", ("gemini-2.5-flash", "google")),
        ("models/gemini-2.5-flash", None, ("gemini-2.5-flash", "google")),
        ("publishers/google/models/gemini-2.5-flash", "gcp.vertex_ai", ("gemini-2.5-flash", "google")),
        ("vertex_ai/gemini-2.5-flash", None, ("gemini-2.5-flash", "google")),
        ("gemini/gemini-2.5-flash", None, ("gemini-2.5-flash", "google")),
        ("google-gla:gemini-2.5-flash", None, ("gemini-2.5-flash", "google")),
        ("grok-4", "x_ai", ("grok-4", "x-ai")),
        ("xai/grok-4", None, ("grok-4", "x-ai")),
        ("mistral-large-latest", "mistral_ai", ("mistral-large-latest", "mistral")),
        ("groq/llama-3.3-70b-versatile", None, ("llama-3.3-70b-versatile", "groq")),
        (
            "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
            None,
            ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "together"),
        ),
    ],
)
def test_a_model_is_known_as_others_call_it(
    model: str, provider: str | None, known_as: tuple[str, str]
) -> None:
    assert cost(model, provider) == listed(*known_as)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        (None, None),
        ("", "openai"),
        ("my-model", None),
        ("claude-of-mine", "anthropic"),
        ("gpt-4o", "ollama"),
        ("gpt-4o", "openai-compatible"),
        ("ollama/gpt-4o", None),
        ("hosted_vllm/claude-sonnet-4-5", None),
        ("gpt-oss:20b", None),
        ("openai/gpt-oss-20b", None),
        ("gpt-oss-20b", "openai"),
        ("deepseek-r1-distill-qwen-7b", None),
        ("deepseek-r1:7b", None),
        ("SmolLM2-135M-Instruct", "local"),
        ("ft:gpt-4o-mini:acme::1", "openai"),
        ("gemma-3", "google"),
    ],
)
def test_what_has_no_known_price_costs_nothing_that_is_known(model: str | None, provider: str | None) -> None:
    done = priced(spent(model, provider, input_tokens=1000, output_tokens=10))
    assert (done.usage.cost, done.usage.unpriced_tokens, done.priced_by) == (None, 1010, None)


def test_it_says_by_which_prices() -> None:
    assert priced(spent(input_tokens=5)).priced_by == f"genai-prices {genai_prices.__version__}"


@pytest.mark.usefixtures("two_prices")
def test_the_tokens_of_a_cache_have_their_own_price() -> None:
    sent = spent("steps", None, **CACHED)
    # 100 at $1, 600 at $0.10, 300 at $1.25 a million
    assert priced(sent).usage.cost == Decimal("0.000535")
    hour = priced(sent._replace(hour_cache_tokens=200))
    assert hour.usage.cost == Decimal("0.000685")  # 200 of the 300 at $2


def test_tokens_of_a_cache_that_are_counted_apart_are_sent_as_well() -> None:
    apart = cost("claude-haiku-4-5", "anthropic", input_tokens=100, cache_read_tokens=600)
    assert apart == cost("claude-haiku-4-5", "anthropic", input_tokens=600, cache_read_tokens=600)


@pytest.mark.usefixtures("two_prices")
def test_a_long_request_has_the_price_of_a_long_one_and_many_short_ones_have_not() -> None:
    assert cost("steps", input_tokens=1000) == Decimal("0.001")
    assert cost("steps", input_tokens=1001) == Decimal("0.003003")
    assert cost("steps", input_tokens=3000, requests=3) == Decimal("0.003")
    assert cost("steps", input_tokens=3001, requests=3) == Decimal("0.009003")
    assert cost("steps", input_tokens=3000, requests=0) == Decimal("0.003")


@pytest.mark.usefixtures("two_prices")
def test_a_request_has_the_price_of_its_time() -> None:
    later = spent("steps", input_tokens=1000)._replace(at=datetime(2026, 6, 1, tzinfo=UTC))
    assert (priced(spent("steps", input_tokens=1000)).usage.cost, priced(later).usage.cost) == (
        Decimal("0.001"),
        Decimal("0.002"),
    )


@pytest.mark.usefixtures("two_prices")
def test_a_price_is_of_whole_billionths() -> None:
    found = cost("steps", input_tokens=10, cache_read_tokens=7, requests=3)
    assert found == Decimal("0.000003700")
    assert found.as_tuple().exponent == -9


def test_a_fee_for_each_request_is_counted_for_each() -> None:
    one = cost("sonar", "perplexity", input_tokens=100)
    three = cost("sonar", "perplexity", input_tokens=300, requests=3)
    assert one is not None
    assert three == 3 * one
    assert cost("sonar", "perplexity", input_tokens=300, requests=0) is None


tokens = st.integers(0, 2**53)


@given(
    st.builds(
        Usage,
        input_tokens=tokens,
        output_tokens=tokens,
        cache_read_tokens=tokens,
        cache_write_tokens=tokens,
        requests=st.integers(0, 10**6),
    ),
    st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "sonar", "nobody's"])
    | st.text(max_size=30),
    st.sampled_from(["openai", "anthropic", "x_ai", None]) | st.text(max_size=10),
    tokens,
)
def test_whatever_is_spent_is_priced_or_unpriced_and_never_an_error(
    usage: Usage, model: str, provider: str | None, hour: int
) -> None:
    done = priced(Spent(usage, model, provider, AT, hour_cache_tokens=hour)).usage
    assert done.model_copy(update={"cost": None, "unpriced_tokens": 0}) == usage
    if usage.total_tokens:
        assert (done.cost is None) == (done.unpriced_tokens == usage.total_tokens)
    assert done.cost is None or 0 <= done.cost < 10**7


# What is told already


def test_a_cost_that_is_told_stays() -> None:
    told = Spent(Usage(input_tokens=1000, requests=1, cost=Decimal("0.5")), "gpt-4o", "openai", AT)
    assert priced(told) == told._replace(priced_by="source")
    assert priced(priced(told)) == priced(told)


def test_an_own_price_wins_over_what_an_agent_tells_and_not_over_what_is_priced() -> None:
    nbs.set_price("gpt-4o", 1, 1)
    told = Spent(Usage(input_tokens=1000, requests=1, cost=Decimal("0.5")), "gpt-4o", "openai", AT)
    assert priced(told).usage.cost == Decimal("0.001")
    by_others = told._replace(priced_by="source")
    assert priced(by_others) == by_others


def test_of_what_a_part_is_told_the_rest_stays_without_a_price() -> None:
    partly = Spent(Usage(input_tokens=10, cost=Decimal("0.5"), unpriced_tokens=4), "gpt-4o")
    assert priced(partly).usage == partly.usage


def test_a_cost_that_is_told_is_of_whole_billionths_as_well() -> None:
    told = Spent(Usage(input_tokens=1, cost=Decimal("0.12345678949")))
    assert priced(told).usage.cost == Decimal("0.123456789")


@pytest.mark.parametrize("cost", ["NaN", "-1", "Infinity", "1e30", "9e8"])
def test_a_cost_that_cannot_be_one_is_not_told(cost: str) -> None:
    told = Spent(Usage.model_construct(**{**Usage(input_tokens=1000).model_dump(), "cost": Decimal(cost)}))
    assert priced(told).usage == Usage(input_tokens=1000, unpriced_tokens=1000)


@pytest.mark.parametrize("count", [-1, 2**64 - 1, 2**62])
def test_a_count_that_cannot_be_one_counts_nothing_and_takes_no_answer_away(
    count: int, sqlite_store: nbs.Store
) -> None:
    session = sqlite_store.create("plan")
    wrong = Usage(input_tokens=count, output_tokens=7, requests=1)
    agent = ScriptedAgent([["Hi", wrong], ["Hi", Usage(input_tokens=1, cost=Decimal("9e8"))]])
    assert session.send("Hello", agent=agent).usage.total_tokens == 7
    assert session.send("Hello", agent=agent).status == "completed"
    assert nbs.usage_df(sqlite_store, "model")["total_tokens"].tolist() == [8]


def test_the_local_model_costs_nothing_and_says_why() -> None:
    told = Spent(Usage(input_tokens=10, requests=1, cost=Decimal(0)), "SmolLM2-135M-Instruct", "local", AT)
    assert priced(told).priced_by == "local"


def test_nothing_spent_is_not_priced_and_loads_nothing() -> None:
    code = (
        "import sys; from nbsessions.pricing import priced; from nbsessions.records import Spent, Usage;"
        "priced(Spent(Usage(requests=1), 'gpt-4o')); assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_network_is_asked() -> None:
    code = (
        "import socket, sys, threading\n"
        "def refuse(*args, **options): raise AssertionError('a network is asked')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from nbsessions.pricing import priced; from nbsessions.records import Spent, Usage\n"
        "assert priced(Spent(Usage(input_tokens=5, requests=1), 'gpt-4o')).usage.cost\n"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Own prices


def test_an_own_price_wins() -> None:
    nbs.set_price("GPT-4o", input_mtok=1, output_mtok=Decimal("3.5"), request=0.01)
    done = priced(spent(input_tokens=1000, output_tokens=1000, requests=2))
    assert (done.usage.cost, done.usage.unpriced_tokens, done.priced_by) == (
        Decimal("0.0245"),
        0,
        "own price",
    )
    nbs.set_price("gpt-4o", None)
    assert cost() == listed("gpt-4o", "openai")


def test_own_prices_of_a_cache_are_those_of_all_that_is_sent_unless_they_are_told() -> None:
    nbs.set_price("mine", 1, 0)
    assert cost("mine", None, **CACHED) == Decimal("0.001")
    nbs.set_price("mine", 1, 0, cache_read_mtok=0, cache_write_mtok=2)
    assert cost("mine", None, **CACHED) == Decimal("0.0007")


def test_an_own_price_may_be_of_one_provider() -> None:
    nbs.set_price("mine", 1, 1, provider="vllm")
    assert (cost("mine", "VLLM"), cost("vllm/mine"), cost("mine", "other")) == (
        Decimal("0.001"),
        Decimal("0.001"),
        None,
    )
    nbs.set_price("mine", 2, 2)
    assert (cost("mine", "vllm"), cost("mine", "other"), cost("hosted/mine")) == (
        Decimal("0.001"),
        Decimal("0.002"),
        Decimal("0.002"),
    )


def test_an_own_price_of_a_file_is_read_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prices.json"
    monkeypatch.setenv("NBSESSIONS_PRICES", str(path))
    path.write_text(json.dumps([{"model": "mine", "input_mtok": 0.1, "output_mtok": 0.2}]))
    assert cost("mine") == Decimal("0.0001")
    assert [(price.model, price.input_mtok, price.output_mtok) for price in nbs.prices()] == [
        ("mine", Decimal("0.1"), Decimal("0.2"))
    ]
    path.write_text(json.dumps([{"model": "mine", "input_mtok": 7, "output_mtok": 0}]))
    os.utime(path, ns=(1, 1))
    assert cost("mine") == Decimal("0.007")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        '[{"model": "mine"}]',
        '[{"model": "mine", "input_mtok": NaN, "output_mtok": 1}]',
        '[{"model": "mine", "input_mtok": -1, "output_mtok": 1}]',
        '[{"model": "mine", "input_mtok": "1", "output_mtok": 1}]',
        '[{"model": "mine", "input": 1, "output_mtok": 1}]',
        "\udcff",
        "[" * 100_000,
    ],
)
def test_a_file_of_prices_that_is_none_is_one_line_and_loses_no_turn(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    monkeypatch.setenv("NBSESSIONS_PRICES", str(path))
    with pytest.raises(InvalidInput, match="NBSESSIONS_PRICES") as refused:
        nbs.prices()
    assert "\n" not in str(refused.value)
    with pytest.warns(RuntimeWarning, match="NBSESSIONS_PRICES"):
        assert cost() == listed("gpt-4o", "openai")


def test_a_warning_that_is_made_an_error_loses_no_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBSESSIONS_PRICES", "/nowhere/prices.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cost() == listed("gpt-4o", "openai")
    assert "NBSESSIONS_PRICES" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "1", True, 1e9, Decimal("-0.1")])
@pytest.mark.parametrize(
    "name", ["input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "request"]
)
def test_a_price_that_is_none_is_refused(name: str, bad: object) -> None:
    with pytest.raises(InvalidInput, match=name):
        nbs.set_price("mine", **{"input_mtok": 1, "output_mtok": 1, name: bad})  # type: ignore[arg-type]
    assert nbs.prices() == []


def test_half_a_price_is_refused() -> None:
    for name in ("input_mtok", "output_mtok", "request"):
        with pytest.raises(InvalidInput, match="lacks"):
            nbs.set_price("mine", **{name: 1})  # type: ignore[arg-type]
    for model in ("", " ", None, 7):
        with pytest.raises(InvalidInput, match="model"):
            nbs.set_price(model, 1, 1)  # type: ignore[arg-type]
