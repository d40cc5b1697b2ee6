"""A conversation to read and to go back in: its turns, and the lines on which it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from nbsessions.codecs import codec
from nbsessions.exceptions import InvalidInput, SessionNotFound
from nbsessions.families import Line, Lines
from nbsessions.records import Head, Message
from nbsessions.reprs import Conversation, footer_text, message_html, message_text
from nbsessions.session import Session
from nbsessions.stores.base import Key, is_intact
from nbsessions.text import counted, one_line, strip_controls
from nbsessions.widgets.live import Live, assets, store_here, workspace_here

if TYPE_CHECKING:
    from nbsessions.records import Run, SessionRecord, Turn
    from nbsessions.store import Store

_MESSAGES: Final = 8
"""A turn has about so many messages at most: so many are asked for, to have a page of turns."""


class ConversationView(Live, anywidget.AnyWidget):
    """A session's turns: what was said, what tools were called, what each turn took.

    It follows the session, also where another kernel goes on with it. Where the conversation went more than
    one way, each is a click away; "Fork here" and "Rewind here" go on from a turn, and undo takes a rewind
    back. Long sessions come in pages.

    Parameters
    ----------
    session : Session, SessionRecord or str
        A text names one of the current store, as for `Store.resume`.
    page_size : int
        So many turns are shown at once.

    Attributes
    ----------
    session : Session
        The one that is shown; after "Fork here", the fork.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> _ = session.send("Hello", agent=lambda prompt: "Hi")
    >>> print(ConversationView(session))
    plan · 2 messages
    <BLANKLINE>
    1 user
    Hello
    <BLANKLINE>
    2 assistant
    Hi
    """

    _esm = assets("common.js", "conversation.js")
    _css = assets("style.css")

    page_size = traitlets.Int(20, min=1, max=200).tag(sync=True)
    _status: Any = traitlets.Dict().tag(sync=True)
    _page: Any = traitlets.Dict({"turns": [], "title": "", "count": ""}).tag(sync=True)
