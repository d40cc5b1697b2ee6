"""What is served here, and whose sessions."""

from __future__ import annotations

from pydantic import BaseModel

from nbsessions import __version__
from nbsessions.server.routes import Call, Route


class About(BaseModel):
    """What is served here, and whose sessions.

    Examples
    --------
    >>> About(version="1.0", owner="ada").owner
    'ada'
    """

    version: str
    owner: str


def about(call: Call) -> About:
    """Say what is served here, and whose sessions.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> about(Call(nbs.open_store("memory:"))).version == nbs.__version__
    True
    """
    return About(version=__version__, owner=call.store.owner)


ROUTES = (Route("GET", "/", "What is served here, and whose sessions these are.", about, About),)
