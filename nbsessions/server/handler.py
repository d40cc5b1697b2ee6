"""The one handler of the extension: nothing is answered that went round its checks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http.client import responses
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.iostream import StreamClosedError

from nbsessions.server.identity import owner_of

if TYPE_CHECKING:
    from nbsessions.server.routes import Answer, Call, Route
    from nbsessions.server.serving import Serving

_METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
_API: Final = "/nbsessions/api"
_CHUNK: Final = 256 * 1024
"""So many bytes of a file are sent at a time."""


class Refused(web.HTTPError):
    """A request that is not answered, and the line that says why."""

    def __init__(self, status: int, message: str, kind: str, **headers: str) -> None:
        super().__init__(status, log_message=message)
        self.message, self.kind, self.headers = message, kind, headers


@web.stream_request_body
class Handler(APIHandler):
    """Answers whatever is asked for below ``/nbsessions/api``, by the table of routes.

    Who asks is checked before anything else, and before a body is read. A route that is a coroutine function
    is called with this handler and the call, on the loop: it sends on its own, by `write` and `flush`, and
    asks the store by `serving.in_thread`.
    """

    auth_resource = "nbsessions"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        raise TypeError("There is one handler: put a Route into the table, so that it is checked who asks.")

    def initialize(self, serving: Serving) -> None:
        self.serving = serving
        self._route: Route | None = None
        self._nowhere: Refused | None = None
        self._is_read = False
        self._values: dict[str, str] = {}
        self._body = bytearray()
        self._upload: Any = None
        self.on_leave: Callable[[], None] = lambda: None

    # Before the body

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if self.request.method == "OPTIONS":
            return
        if self.current_user is None:
            raise web.HTTPError(403)
        try:
            await self.serving.in_thread(self._find_route)
            # What is no number, Tornado refuses.
            size = self.request.headers.get("Content-Length", "")
            self._check_size(int(size[:18]) if size.isdecimal() else 0)
            if self._route is not None and self._route.uploads:
                from nbsessions.server.uploads import Upload

                self._upload = Upload()
        except Exception as error:
            raise self._refusal(error) from error

    def _find_route(self) -> None:
        from nbsessions.server.routes import matching

        found = matching(self.request.path.removeprefix(self.api))
        method = self.request.method or ""
        method = "GET" if method == "HEAD" else method
        takes = ", ".join(found)
        if not found:
            self._nowhere = Refused(404, "There is no such resource.", "NotFound")
        elif method not in found:
            self._nowhere = Refused(405, f"This resource takes {takes}.", "MethodNotAllowed", Allow=takes)
        else:
            self._route, self._values = found[method]

    def _check_size(self, size: int) -> None:
        from nbsessions.server.errors import TooLarge
        from nbsessions.server.routes import BODY

        most = BODY if self._route is None else self._route.most
        if size > most:
            raise TooLarge(most)

    def data_received(self, chunk: bytes) -> None:
        if self._finished:
            return
        try:
            if self._upload is not None:
                self._upload.write(chunk)
            else:
                self._body += chunk
            self._check_size(len(self._body) if self._upload is None else self._upload.size)
        except Exception as error:  # noqa: BLE001 - nobody else would answer: the rest does not come
            refused = self._refusal(error)
            self._body.clear()
            self.send_error(refused.status_code, exc_info=(type(refused), refused, None))

    # The answer

    async def answer(self) -> None:
        """Do what was asked for, in a thread, and send what came of it."""
        self._is_read = True
        if self._route is None:
            assert self._nowhere is not None
            raise self._nowhere
        try:
            if iscoroutinefunction(self._route.function):
                await self._route.function(self, await self.serving.in_thread(self._call))
            else:
                await self._send(*await self.serving.in_thread(self._done))
        except StreamClosedError:  # nobody listens any more
            return
        except Exception as error:
            raise self._refusal(error) from error

    def _done(self) -> tuple[Answer, bytes]:
        from nbsessions.server.routes import Answer

        assert self._route is not None
        found = self._route.function(self._call())
        answer = found if isinstance(found, Answer) else Answer(found)
        text = b"" if answer.content is None else answer.content.model_dump_json().encode()
        return answer, text

    def _call(self) -> Call:
        from nbsessions.server import parsing
        from nbsessions.server.routes import Call

        route = self._route
        assert route is not None
        return Call(
            store=self.serving.store(owner_of(self.identity_provider, self.current_user)),
            path=self._values,
            query=parsing.query(route.query, self.request.query_arguments),
            body=None if route.body is None else parsing.body(route.body, bytes(self._body)),
            headers=self.request.headers,
            base=self.api,
            upload=None if self._upload is None else self._upload.done(),
        )

    async def _send(self, answer: Answer, text: bytes) -> None:
        assert self._route is not None
        self.set_status(answer.status or self._route.status)
        self.set_header("Cache-Control", "no-store")
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if self.request.method in ("GET", "HEAD") and self.check_etag_header():
            self.set_status(304)
            text = b""
        if answer.file is None:
            await self._finish(text or None, self._route.media)
            return
        with answer.file as file:
            self.set_header("Content-Type", self._route.media)
            while chunk := await self.serving.in_thread(file.read, _CHUNK):
                self.write(chunk)
                await self.flush()
            await self._finish(None, self._route.media)

    async def _finish(self, text: bytes | None, media: str) -> None:
        await self.finish(text, set_content_type=media)

    @property
    def api(self) -> str:
        """The path of the API on this server."""
        # As it was asked for: the base URL may have characters that others write otherwise.
        return self.request.path.partition(_API)[0] + _API

    def compute_etag(self) -> str | None:
        """Return None: what has an ETag gets it from its route."""
        return None

    # What goes wrong

    def _refusal(self, error: Exception) -> web.HTTPError:
        if isinstance(error, web.HTTPError):
            return error
        from nbsessions.exceptions import NotOwner, SessionNotFound
        from nbsessions.server.errors import status_of, told

        # Whose it is, is nobody else's business.
        error = SessionNotFound(error.ref) if isinstance(error, NotOwner) else error
        status = status_of(error)
        if status >= 500:
            self.log.error("nbsessions: %s: %s", type(error).__name__, error, exc_info=status == 500)
        return Refused(status, told(error), type(error).__name__)

    def write_error(self, status_code: int, **options: Any) -> None:
        """Say in one line of JSON what was wrong, and nothing of how this was found out."""
        error = (options.get("exc_info") or (None, None))[1]
        message = responses.get(status_code, "Error")
        kind = message.replace(" ", "")
        if isinstance(error, Refused):
            message, kind = error.message, error.kind
            for name, value in error.headers.items():
                self.set_header(name, value)
        elif isinstance(error, web.HTTPError) and error.log_message and not error.args:
            message = error.log_message
        if not self._is_read:  # the rest of the request is not waited for
            self.set_header("Connection", "close")
        self.set_header("Cache-Control", "no-store")
        # What webagents' clients show.
        detail = {"detail": message} if self.request.path.startswith(f"{self.api}/agents/") else {}
        self.finish(json.dumps({"message": message, "error": kind, **detail}))

    def update_api_activity(self) -> None:
        """Note that somebody is at work, whatever the URL has behind its ``?``."""
        with suppress(web.HTTPError):
            super().update_api_activity()

    # What was uploaded

    def on_finish(self) -> None:
        self._drop()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._drop()
        self.on_leave()

    def hang_up(self) -> None:
        """Close the connection, whatever there is still to send."""
        connection: Any = self.request.connection
        connection.close()

    def _drop(self) -> None:
        if self._upload is not None:
            self._upload.drop()


def _guarded(name: str) -> Callable[..., Awaitable[None]]:
    """Return the method of the handler that answers those who are known, and may do that."""

    # One for each method: `authorized` remembers what the first one that was asked for does.
    async def answer(self: Handler) -> None:
        await self.answer()

    answer.__name__ = name
    return cast(Callable[..., Awaitable[None]], web.authenticated(authorized(answer)))


for _name in _METHODS:
    setattr(Handler, _name, _guarded(_name))
