"""Whose sessions somebody sees who asks by HTTP."""

from __future__ import annotations

from typing import Final

from jupyter_server.auth.identity import IdentityProvider, User

_JUPYTERS: Final = "jupyter_server.auth.identity"


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

    return default_owner() if type(provider).__module__ == _JUPYTERS else user.username
