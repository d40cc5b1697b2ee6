"""Whose sessions somebody sees: what the server knows of people, and what it makes up."""

from __future__ import annotations

import pytest
from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
    User,
)
from jupyter_server.auth.login import LegacyLoginHandler

from nbsessions.server.identity import owner_of
from tests.server.people import People

RANDOM = User("0f3c9a77")


@pytest.mark.parametrize("provider", [IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider])
def test_who_has_the_token_has_what_kernels_make(provider: type[IdentityProvider]) -> None:
    assert owner_of(provider(token="abc"), RANDOM) == "ada"


def test_people_have_their_own() -> None:
    assert owner_of(People(token="abc"), User("bob")) == "bob"


def test_people_whom_a_login_handler_knows_have_their_own() -> None:
    class Login(LegacyLoginHandler):
        @classmethod
        def get_user(cls, handler: object) -> str:
            return "bob"

    class Themed(LegacyLoginHandler):
        """Looks otherwise, and knows nobody."""

    assert owner_of(LegacyIdentityProvider(login_handler_class=Login), User("bob")) == "bob"
    assert owner_of(LegacyIdentityProvider(login_handler_class=Themed), RANDOM) == "ada"


def test_a_hubs_user_is_who_the_kernel_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NBSESSIONS_OWNER")
    monkeypatch.setenv("JUPYTERHUB_USER", "carl")
    assert owner_of(IdentityProvider(token="abc"), RANDOM) == "carl"
