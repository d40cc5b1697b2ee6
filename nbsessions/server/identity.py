"""Whose sessions somebody sees who asks by HTTP."""

from __future__ import annotations

from typing import Any, Final

from jupyter_server.auth.identity import IdentityProvider, LegacyIdentityProvider, User

_JUPYTERS: Final = "jupyter_server.auth."


def owner_of(provider: IdentityProvider, user: User) -> str:
    """Return the user's name where the server knows who is who, and else whose sessions kernels make here.

    Jupyter Server's own providers know that somebody has the token or the password, and call everybody by a
    name made up at random. Those that know people, as JupyterHub's does, are others.

    Examples
    --------
    >>> from nbsessions.workers import default_owner
    >>> owner_of(IdentityProvider(token="abc"), User("a1b2c3")) == default_owner()
    True
    """
    # Not before somebody asks: a server that nobody asks shall start as fast as without.
    from nbsessions.workers import default_owner

    return user.username if _knows_people(provider) else default_owner()


def _knows_people(provider: IdentityProvider) -> bool:
    who: Any = type(provider)
    if isinstance(provider, LegacyIdentityProvider) and who.__module__.startswith(_JUPYTERS):
        # From before there were identity providers: a login handler may know them.
        who = provider.login_handler_class.get_user  # type: ignore[attr-defined]
    return not who.__module__.startswith(_JUPYTERS)
