"""Any agent behind an AG-UI endpoint, by its URL: https://docs.ag-ui.com (looked at: 1.0)."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic_core import from_json

from nbsessions.adapters.base import Adapter, Answer, Emit, Request
from nbsessions.exceptions import AgentError, AgentUnavailable, InvalidInput
from nbsessions.permissions import Decision, ToolQuestion, check_arguments
from nbsessions.records import Spent, Usage
from nbsessions.text import bare_url, is_url, one_line
from nbsessions.values import encode_json, new_id, now

if TYPE_CHECKING:
    import httpx2
    from ag_ui.core import BaseEvent, Interrupt, ResumeEntry, RunAgentInput, TokenUsage

    from nbsessions.adapters._agui_messages import Said

TOKEN: Final = "NBSESSIONS_AGUI_TOKEN_"
"""The variable ``NBSESSIONS_AGUI_TOKEN_EXAMPLE_COM`` holds the token for example.com."""
_CONNECT_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 600.0
"""An endpoint that says nothing for so long has gone."""
_MOST_ROUNDS: Final = 100
"""So often it may ask whether a tool may be called, in one run."""


class AGUIAdapter(Adapter):
    """Makes the agent behind an AG-UI endpoint answer.

    Its tools are called where it runs: what it does not ask about itself (by an interrupt) cannot be held
    back here.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``. A name and password in it go to the server, and are shown and stored
        nowhere; nor is a query.
    name : str or None
        What to call it; None: the URL without what may be secret.
    headers : mapping of str to str or None
        Sent along with each request.
    token : str or None
        Sent as ``Authorization: Bearer``. None: for the host example.com, what is in the variable
        ``NBSESSIONS_AGUI_TOKEN_EXAMPLE_COM``; ``..._LOCALHOST_8000``, with a port, goes before
        ``..._LOCALHOST``.

    Raises
    ------
    InvalidInput
        It is no such URL.

    Examples
    --------
    >>> AGUIAdapter("http://ada:secret@localhost:8000/agent").name
    'http://localhost:8000/agent'
    """

    codec: ClassVar[str] = "chat"
    progress_codec: ClassVar[str | None] = "ag-ui-interrupts"
    is_async = True
    goes_on = True

    def __init__(
        self,
        url: str,
        name: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> None:
        where = bare_url(url) if is_url(url) else ""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not where or not host:
            raise InvalidInput(f"An AG-UI endpoint has a URL such as http://localhost:8000/, not {where!r}.")
        super().__init__(name or where)
        self._url, self._where = url, where
        self._headers = dict(headers or {})
        self._token, self._host, self._port = token, host, port

    def headers(self) -> dict[str, str]:
        """Return what is sent with each request; the token is looked up each time."""
        found = {"Accept": "text/event-stream", "Content-Type": "application/json", **self._headers}
        token = self._token or _token(f"{self._host}:{self._port}") or _token(self._host)
        if token and not any(name.lower() == "authorization" for name in found):
            found["Authorization"] = f"Bearer {token}"
        return found

    async def arun(self, request: Request, emit: Emit, answer: Answer) -> None:
        await _Run(self, request, emit, answer).go()

    async def events(self, asked: RunAgentInput) -> AsyncGenerator[BaseEvent, None]:
        """Yield what the endpoint answers.

        Raises
        ------
        AgentUnavailable
            It cannot be reached, or is no such endpoint.
        AgentError
            What it sends is no stream of events, or ends before its end.
        """
        import httpx2

        from nbsessions.adapters._agui_stream import data_of, event_of

        body = asked.model_dump_json(by_alias=True)
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=_SILENT_SECONDS)
        began = False
        try:
            async with (
                # A redirect would take what was said, and headers with it, to whomever it names.
                httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as client,
                client.stream("POST", self._url, content=body, headers=self.headers()) as response,
            ):
                began = True
                await self._check(response)
                async for data in data_of(response.aiter_bytes()):
                    yield event_of(data)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = one_line(str(error), 200) or type(error).__name__
            if not began:
                raise AgentUnavailable(f"{self._where} cannot be reached: {why}") from error
            raise AgentError(f"it broke off: {why}") from error

    async def _check(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_success and kind == "text/event-stream":
            return
        if response.has_redirect_location:
            there = bare_url(str(response.url.join(response.headers["location"])))
            raise AgentUnavailable(f"{self._where} has moved: name {there} instead, if that is where to ask")
        said = b""
        async for chunk in response.aiter_bytes():
            said += chunk
            if len(said) > 2000:
                break
        text = one_line(said.decode(errors="replace"), 200)
        if response.is_success:
            raise AgentUnavailable(
                f"{self._where} answers with {kind or 'nothing'}, and not with a stream of events: is it an "
                f"AG-UI endpoint? {text}".rstrip()
            )
        raise AgentUnavailable(
            f"{self._where} answers {response.status_code} {response.reason_phrase}: {text}".rstrip(": ")
        )


class _Run:
    """One run: as many of the endpoint's as there are interrupts, each with the answers to the last ones."""

    def __init__(self, adapter: AGUIAdapter, request: Request, emit: Emit, answer: Answer) -> None:
        from nbsessions.adapters._agui_messages import Said

        self._adapter, self._request, self._answer = adapter, request, answer
        self._said: Said = Said(emit, request.prompt)
        self._run_id = request.run_id
        self._asked_at = now().isoformat().replace("+00:00", "Z")
        self._result: Any = None

    async def go(self) -> None:
        """Ask until there is an answer."""
        interrupts, said, answer = self._earlier(), self._said, self._answer
        for _ in range(_MOST_ROUNDS):
            resume = [await self._decided(one) for one in interrupts]
            if resume:
                # From here on it may have done what it asked about: it is not asked again.
                answer.on_progress("[]", answer.usage)
            interrupts = await self._ask(resume)
            if not interrupts:
                break
            self._keep(interrupts)
            self._run_id = new_id()
        else:
            raise AgentError(f"it asked {_MOST_ROUNDS} times whether it may go on")
        prompt = {"role": "user", "content": self._request.prompt, "timestamp": self._asked_at}
        answer.body = encode_json([prompt, *said.done()], "answer")
        answer.output = said.text if said.text or self._result is None else self._result

    def _earlier(self) -> list[Interrupt]:
        """Return what an earlier run has stopped with."""
        from ag_ui.core import Interrupt

        if self._request.progress is None:
            return []
        kept = from_json(self._request.progress.body)
        self._said.went_on(kept["messages"])
        interrupts = [Interrupt.model_validate(one) for one in kept["interrupts"]]
        self._keep(interrupts)
        return interrupts

    def _keep(self, interrupts: list[Interrupt]) -> None:
        """Keep what it can be gone on from, before anybody is asked."""
        kept = {
            "messages": self._said.messages,
            "interrupts": [one.model_dump(mode="json", by_alias=True) for one in interrupts],
        }
        self._answer.on_progress(encode_json(kept, "progress"), self._answer.usage)

    async def _ask(self, resume: list[ResumeEntry]) -> list[Interrupt]:
        """Send all that was said, and return what the endpoint stops with."""
        from ag_ui.core import RunErrorEvent, RunFinishedEvent

        self._answer.on_request()
        finished: RunFinishedEvent | None = None
        events = self._adapter.events(self._input(resume))
        try:
            async for event in events:
                if isinstance(event, RunErrorEvent):
                    self._count(event.usage)
                    raise AgentError(one_line(event.message, 400) or "it failed")
                if isinstance(event, RunFinishedEvent):
                    finished = event
                    break
                self._said.take(event)
        finally:
            await events.aclose()
        if finished is None:
            raise AgentError("it ended before its run was finished: what it had said is kept")
        self._said.close()
        self._count(finished.usage)
        self._result = finished.result
        outcome = finished.outcome
        if outcome is not None and outcome.type == "cancelled":
            raise AgentError("its run was cancelled there")
        return list(outcome.interrupts) if outcome is not None and outcome.type == "interrupt" else []

    def _input(self, resume: list[ResumeEntry]) -> RunAgentInput:
        from ag_ui.core import RunAgentInput, UserMessage

        from nbsessions.adapters._agui_messages import sent
        from nbsessions.records import parse_messages

        request, said = self._request, self._said
        own = sent(parse_messages(said.messages), open_calls=bool(resume))
        prompt = UserMessage(id=said.prompt_id, content=request.prompt)
        return RunAgentInput(
            thread_id=request.session_id,
            run_id=self._run_id,
            protocol_version="1.0",
            # Those from before 1.0 ask for all of these.
            state={},
            tools=[],
            context=[],
            forwarded_props={},
            messages=[*sent(request.messages), prompt, *own],
            resume=resume or None,
        )

    async def _decided(self, interrupt: Interrupt) -> ResumeEntry:
        """Have an interrupt answered that is a question of yes or no."""
        from ag_ui.core import ResumeEntry

        call = self._said.call(interrupt.tool_call_id)
        schema = interrupt.response_schema or {}
        if call is None and not _is_yes_or_no(schema):
            text = one_line(interrupt.message or interrupt.reason, 200)
            raise AgentError(f"it asks for what can only be told it in the next prompt: {text}")
        name = interrupt.reason if call is None else call.name
        arguments = encode_json({"message": interrupt.message}, "message") if call is None else call.arguments
        decision = Decision(True)
        if self._request.must_ask(name, True):
            question = ToolQuestion(
                name=name,
                arguments=arguments,
                call_id=interrupt.id if call is None else call.call_id,
                run_id=self._request.run_id,
                agent_name=self._adapter.name,
            )
            decision = await self._request.approve(question)
        return ResumeEntry(interrupt_id=interrupt.id, status="resolved", payload=_payload(schema, decision))

    def _count(self, usage: list[TokenUsage] | None) -> None:
        """Count what the endpoint says that a run of it spent; each message of its agent was a request."""
        answer = self._answer
        made = sum(message["role"] == "assistant" for message in self._said.messages)
        requests = max(1, made - answer.usage.requests)
        for one in usage or []:
            spent = Usage(
                input_tokens=one.input_tokens or 0,
                output_tokens=one.output_tokens or 0,
                cache_read_tokens=one.cached_input_tokens or 0,
                cache_write_tokens=one.cache_write_input_tokens or 0,
                reasoning_tokens=one.reasoning_tokens or 0,
                requests=requests if one is (usage or [])[0] else 1,
            )
            answer.usage += spent
            answer.requests.append(Spent(spent, one.model, one.provider, now()))
            answer.model, answer.provider = one.model or answer.model, one.provider or answer.provider


def _is_yes_or_no(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties")
    approved = properties.get("approved") if isinstance(properties, dict) else None
    is_object = isinstance(approved, dict) and approved.get("type") == "boolean"
    return not schema or schema.get("type") == "boolean" or is_object


def _payload(schema: Mapping[str, Any], decision: Decision) -> Any:
    """Return a decision as an interrupt wants it."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    if decision.approved and decision.arguments is not None and "editedArgs" not in known:
        decision = Decision(False, "the arguments of this call cannot be edited")
    if schema.get("type") == "boolean":
        return decision.approved
    told: dict[str, Any] = {"approved": decision.approved}
    if decision.approved and decision.arguments is not None:
        told["editedArgs"] = check_arguments(decision.arguments)
    if not decision.approved:
        told["reason"] = decision.for_model()
    return told


def _token(host: str) -> str | None:
    return os.environ.get(TOKEN + re.sub(r"[^A-Z0-9]", "_", host.upper()))
