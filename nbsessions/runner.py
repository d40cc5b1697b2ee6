"""One run: a prompt goes to an adapter, its events are stored and then shown, its answer is committed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbsessions.accounts import Account, event_of
from nbsessions.adapters import adapt
from nbsessions.adapters.base import Adapter, Answer, Request
from nbsessions.calling import Caller, Stop, in_thread
from nbsessions.chains import read
from nbsessions.codecs import Item, translate
from nbsessions.driving import drive
from nbsessions.exceptions import (
    InvalidInput,
    RunCancelled,
    RunFailed,
    RunNotFound,
    SessionBusy,
    SessionError,
    StoreError,
    StoreUnavailable,
)
from nbsessions.permissions import Approve, nobody
from nbsessions.recorder import Recorder, describe, place
from nbsessions.records import Head, Run, Usage, trusted
from nbsessions.stores.base import Finish, Progress
from nbsessions.values import check_text, encode_json, micros, new_id, now
from nbsessions.workers import LEASE, worker_name

if TYPE_CHECKING:
    from nbsessions.recorder import Listener
    from nbsessions.session import Session


def run(
    session: Session,
    agent: object,
    prompt: str,
    *,
    on_event: Listener | None = None,
    model: str | None = None,
    max_messages: int | None = None,
    max_tokens: int | None = None,
    cell_id: str | None = None,
    base: Head | None = None,
    retry_of: str | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    approve: Approve = nobody,
) -> Run:
    """Send `prompt` to `agent` and commit the answer to `session` as one turn.

    Parameters
    ----------
    session : Session
    agent : object
        Whatever `adapt` takes.
    prompt : str
    on_event : callable or None
        Called with each AG-UI event after it was stored, about ten times a second.
    model : str or None
        Another model, for this run.
    max_messages, max_tokens : int or None
        How many messages the agent sees, and of how many tokens: see `Session.context`.
    cell_id : str or None
        The notebook cell that asks.
    base : Head or None
        Answer from here instead of from the head: the head leaves what came after.
    retry_of : str or None
        The run whose prompt this is.
    progress : Progress or None
        How far the run `retry_of` had come: the agent goes on from there.
    stop : threading.Event or None
        Set it to cancel the run.
    approve : callable
        Takes a `ToolQuestion`, and returns whether the agent may call that tool: True, False or a
        `Decision`. Called on this thread. Without it, no tool is called that has to be asked about.

    Raises
    ------
    RunFailed, RunCancelled
        The prompt and what was said are kept on the run; the head did not move.
    InvalidInput, AgentError, NotOwner
        Nothing was started.
    SessionBusy, SessionConflict
        Somebody else is answering in this session, or has moved it, and `on_conflict` is ``"error"``.
        Nothing was started, unless the text says on which fork the answer is kept.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> run(session, lambda prompt: "Hi", "Hello").status
    'completed'
    """
    if not isinstance(prompt, str):
        raise InvalidInput(f"A prompt is text, not {type(prompt).__name__}.")
    if not prompt.strip():
        raise InvalidInput("The prompt is empty. Write what the agent shall answer.")
    encode_json(prompt, "prompt")
    for what, text in {"model": model, "cell_id": cell_id, "retry_of": retry_of}.items():
        if text is not None:
            check_text(text, what, most=_LONGEST)
    if base is not None and not isinstance(base, Head):
        raise InvalidInput(f"base must be a Head, not {type(base).__name__}.")
    if not callable(approve):
        raise InvalidInput(
            f"approve is a function that decides about a ToolQuestion, not {type(approve).__name__}."
        )
    adapter = adapt(agent, model=model)
    if model is not None and model != adapter.model and not adapter.takes_model:
        raise InvalidInput(f"{adapter.name} takes no model; leave {model!r} out, or choose it as the agent.")
    adapter.check()
    session.check_owner()
    if session.on_conflict == "error" and (busy := session.answering()):
        raise SessionBusy(session.record.label, busy[0].worker or "somebody")
    if progress is not None and not adapter.goes_on:
        raise InvalidInput(f"{adapter.name} cannot go on from the middle: send the prompt again.")
    # What waits comes first: the agent shall see it.
    session.save_waiting()
    if session.on_conflict == "error":
        session.check_place()
    own_model = model or adapter.model
    started = new_run(
        session, adapter.name, prompt, model=own_model, base=base, cell_id=cell_id, retry_of=retry_of
    )
    items = session.visible(max_messages, max_tokens, at=base)
    request = _request(session, adapter, started, model, items, progress)
    recorder = Recorder(session.backend, started, on_event, stop, session.max_events)
    attempt = _Attempt(session, adapter, request, started, recorder, base, approve)
    caller = Caller(session, Stop() if stop is None else Stop(stop))
    attempt.begin()
    attempt.ask(caller)
    attempt.save()
    stored = session.backend.get_run(started.run_id)
    carried = Usage() if progress is None else progress.usage
    told = {"output": attempt.answer.output, "prompt": prompt, "carried": carried}
    return (stored or started).model_copy(update=told)


class _Attempt:
    """One run on its way: asked, answered, and kept, whatever happens meanwhile."""

    def __init__(
        self,
        session: Session,
        adapter: Adapter,
        request: Request,
        started: Run,
        recorder: Recorder,
        base: Head | None,
        approve: Approve,
    ) -> None:
        self.answer = Answer(model=request.model or adapter.model)
        self._session, self._adapter, self._request = session, adapter, request
        self._started, self._recorder, self._base = started, recorder, base
        self._approve = approve
        self._account = Account(self.answer)
        self.answer.on_progress = self._progress
        self._start = session.standing()
        self._commit: Callable[[], object] | None = None
        self._stopped = False

    def _progress(self, body: str, usage: Usage) -> None:
        """Take how far the agent has come, and what that has cost."""
        for spent in self._account.news():
            self._recorder.keep(event_of(spent))
        self._recorder.progress(self._adapter.progress_codec or self._adapter.codec, body, usage)

    def begin(self) -> None:
        """Store the run before its agent is asked."""
        try:
            self._session.backend.start_run(self._started)
        except KeyboardInterrupt as error:
            raise self._cancelled() from error

    def ask(self, caller: Caller) -> None:
        """Make the agent answer; end the run as cancelled or failed where it does not."""
        try:
            self._recorder.begin()
            drive(self._adapter, self._request, self._recorder, self.answer, self._approve, caller)
            self._recorder.check()
            read(self._adapter.codec, self.answer.body)
            self._wait()
        except (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit) as error:
            # A stop that comes when all was said takes nothing back: it was paid for.
            self._stopped = self._is_answered()
            if not self._stopped:
                raise self._cancelled() from error
            self._wait()
        except (Exception, SystemExit) as error:
            text = describe(error) + place(error)
            refused = self._give_up("failed", text)
            raise RunFailed(f"{self._adapter.name} failed: {text}{refused}", self._started.run_id) from error

    def _wait(self) -> None:
        """Let the answer wait to be saved: from here on nothing loses it."""
        if self._save not in self._session.unsaved:
            self._session.unsaved.append(self._save)

    def _shown(self) -> None:
        """Show the end of the run, and keep no more of its events than asked for."""
        self._recorder.show()
        with suppress(StoreError):  # they are kept a little longer, then
            self._recorder.retain(ended=True)

    def save(self) -> None:
        """Commit the answer; where the store refuses it, it goes on waiting in this process."""
        waits = "The answer is kept in this process: `save` tries again."
        try:
            self._session.save_waiting()
            self._shown()
        except SessionError:  # which says where the answer is kept
            self._recorder.show()
            raise
        except StoreError as error:
            self._recorder.show()
            raise StoreUnavailable(f"{error} {waits}") from error
        except KeyboardInterrupt as error:
            self._recorder.show()
            saved = "The answer is saved." if self._session.saved else waits
            raise RunCancelled(f"Stopped while it was saved. {saved}", self._started.run_id) from error
        if self._stopped:
            text = "Stopped when all was said. The answer is saved."
            raise RunCancelled(text, self._started.run_id)

    def _save(self) -> None:
        """Make the one commit of this answer, however often it is tried."""
        if self._commit is None:
            self._close()
            finish = self._finish("completed", self._recorder.end())
            self._commit = self._session.prepare(
                "turn" if self._base is None else "replace",
                self._adapter.codec,
                self.answer.body,
                prompts=1,
                base=self._base,
                cell_id=self._started.cell_id,
                finish=finish,
                start=self._start,
            )
        self._commit()

    def _close(self) -> None:
        """Tell in the log what was spent since the last step."""
        for spent in self._account.close():
            self._recorder.keep(event_of(spent))

    def _is_answered(self) -> bool:
        try:
            return bool(read(self._adapter.codec, self.answer.body))
        except InvalidInput:
            return False

    def _cancelled(self) -> RunCancelled:
        refused = self._give_up("cancelled", "stopped")
        text = f"Stopped. The prompt and {self._recorder.characters:,} characters of the answer are kept."
        return RunCancelled(text if not refused else f"Stopped.{refused}", self._started.run_id)

    def _give_up(self, status: str, error: str) -> str:
        """End the run without a turn; return what there is to say where the store refuses that too."""
        recorder = self._recorder
        self._close()
        events = recorder.fail(error) if status == "failed" else recorder.end(cancelled=True)
        with suppress(StoreError):  # whether the store refuses, the end of the run tells
            recorder.store_progress()
        try:
            self._session.backend.finish_run(self._finish(status, events, error))
            self._session.spent(self._account.bill(self._started.started_at).usage)
        except StoreError as refused:
            return f" That could not be stored: {refused}"
        except RunNotFound:  # stopped before it was stored
            return ""
        finally:
            recorder.show()
        with suppress(StoreError):  # they are kept a little longer, then
            recorder.retain(ended=True)
        return ""

    def _finish(
        self, status: str, log: tuple[int, list[tuple[str, str]]], error: str | None = None
    ) -> Finish:
        first, events = log
        answer = self.answer
        bill = self._account.bill(self._started.started_at)
        return Finish(
            run_id=self._started.run_id,
            status=status,
            finished_at=micros(now()),
            usage=bill.usage,
            model=answer.model,
            provider=answer.provider,
            error=error,
            shares=bill.shares,
            priced_by=bill.priced_by,
            events=events,
            first=first,
            progressed=self._recorder.progressed,
        )


def _request(
    session: Session,
    adapter: Adapter,
    started: Run,
    model: str | None,
    items: Sequence[Item],
    progress: Progress | None,
) -> Request:
    return Request(
        prompt=started.prompt or "",
        messages=[message for item in items for message in item.messages],
        native=translate(items, adapter.codec),
        session_id=session.session_id,
        run_id=started.run_id,
        model=model,
        progress=progress,
    )


def new_run(
    session: Session,
    agent_name: str,
    prompt: str,
    *,
    model: str | None = None,
    base: Head | None = None,
    cell_id: str | None = None,
    retry_of: str | None = None,
) -> Run:
    """Return a run of this process that is about to begin; nothing is stored.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> new_run(nbs.open_store("memory:").create("plan"), "local", "Hello").status
    'running'
    """
    at = now()
    fields = {
        "run_id": new_id(),
        "session_id": session.session_id,
        "conversation_id": session.conversation_id,
        "agent_name": agent_name,
        "model": model,
        "prompt": prompt,
        "base": session.head if base is None else base,
        "started_at": at,
        "cell_id": cell_id,
        "retry_of": retry_of,
        "worker": worker_name(),
        "lease_until": at + LEASE,
    }
    return trusted(Run, _UNBEGUN | fields)


_UNBEGUN = {name: field.default for name, field in Run.model_fields.items()}

_LONGEST = 600
"""Characters: PostgreSQL looks up nothing that is longer, and would refuse the answer at its commit."""


async def run_in_thread(session: Session, agent: object, prompt: str, **options: Any) -> Run:
    """Call `run` for a caller on an event loop. Cancelling it cancels the run.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> session = nbs.open_store("memory:").create("plan")
    >>> asyncio.run(run_in_thread(session, lambda prompt: "Hi", "Hello")).output
    'Hi'
    """
    return await in_thread(lambda stop: run(session, agent, prompt, stop=stop, **options))
