"""An identity provider that knows who is who: each person has a token of their own."""

from __future__ import annotations

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import RequestHandler

TOKENS = {"ada-token": "ada", "bob-token": "bob"}


class People(IdentityProvider):
    """Knows Ada and Bob by their tokens, as JupyterHub's provider does by its own."""

    def get_user(self, handler: RequestHandler) -> User | None:
        assert isinstance(handler, JupyterHandler)
        name = TOKENS.get(self.get_token(handler) or "")
        if name is None:
            return None
        handler._token_authenticated = True  # type: ignore[attr-defined]
        return User(name)


class AsToldTo(Authorizer):
    """Lets whoever asks do with sessions what a header of the request says, which makes it a test's alone."""

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        return resource != "nbsessions" or action in handler.request.headers.get("X-May", "")
