"""Settings without their keys."""

from __future__ import annotations

import pytest

from nbsessions.formats.secrets import without_secrets

KEYS = """
    api_key apiKey API-KEY openai_api_key secret client_secret password db_password passwd credentials Authorization
    access_token accessToken refresh_token id_token auth_token private_key cookie token GITHUB_TOKEN
"""
PLAIN = "max_tokens used_tokens token_count total_tokens prompt_tokens tool_names model key keys name passes"


@pytest.mark.parametrize("key", KEYS.split())
def test_secrets_go(key: str) -> None:
    assert without_secrets({"a": [{key: "x"}]}) == ({"a": [{}]}, [f"a.{key}"])


@pytest.mark.parametrize("key", PLAIN.split())
def test_what_is_none_stays(key: str) -> None:
    assert without_secrets({key: "x"}) == ({key: "x"}, [])


def test_that_there_is_none_stays() -> None:
    assert without_secrets({"api_key": None}) == ({"api_key": None}, [])


def test_passwords_in_addresses_are_masked() -> None:
    kept, _ = without_secrets({"base_url": "https://ada:hunter2@example.com/v1"})
    assert "hunter2" not in str(kept)
