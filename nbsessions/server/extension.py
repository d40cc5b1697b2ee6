"""The extension of Jupyter Server: what can be configured, and where its one handler stands."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Int, List, Unicode, Union

from nbsessions.server.handler import Handler
from nbsessions.server.serving import Serving


class NbsessionsApp(ExtensionApp):
    """Serves the sessions of a store below ``/nbsessions/api/``.

    Examples
    --------
    >>> NbsessionsApp.name
    'nbsessions'
    """

    name = "nbsessions"

    store = Unicode(
        None,
        allow_none=True,
        config=True,
        help="URL or path of the store. None: where kernels keep sessions, $NBSESSIONS_STORE or sessions.db "
        "in the user's data directory.",
    )

    streams = Int(
        200, min=1, config=True, help="So many runs are sent as they happen at a time, to whoever listens."
    )

    redact_secrets = Union(
        [Bool(), List(Unicode())],
        default_value=True,
        config=True,
        help="Whether keys and passwords are replaced before they are stored; regular expressions are looked "
        "for beside what is known.",
    )

    def initialize_handlers(self) -> None:
        """Put the one handler below ``/nbsessions/api``, whatever is asked for there."""
        self.serving = Serving(self.store, streams=self.streams, redact=self.redact_secrets)
        self.handlers.append((r"/nbsessions/api(?:/.*)?", Handler, {"serving": self.serving}))

    async def stop_extension(self) -> None:
        """Close the store with the server."""
        await self.serving.close()
