"""One attempt to answer: an agent is asked, what it says is stored, and its answer is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from nbsessions.accounts import Account, event_of
from nbsessions.adapters.base import Adapter, Answer, Request
from nbsessions.calling import Caller
from nbsessions.chains import read
from nbsessions.driving import drive
from nbsessions.exceptions import (
    InvalidInput,
    LimitReached,
    RunCancelled,
    RunFailed,
    RunNotFound,
    SessionError,
    StoreError,
    StoreUnavailable,
)
from nbsessions.gate import Gate, Rules
from nbsessions.limits import Meter
from nbsessions.permissions import Later, ToolQuestion
from nbsessions.recorder import Recorder, describe, place
from nbsessions.records import Head, Run, Spent, Usage
from nbsessions.stores.base import Finish
from nbsessions.text import counted, one_line
from nbsessions.values import micros, now
from nbsessions.workers import LEASE, worker_name

if TYPE_CHECKING:
    from nbsessions.session import Session


NOTE: Final = "nbsessions.note"
"""The name of the ``CUSTOM`` event that tells a person something beside the answer."""


class Made(NamedTuple):
    """What is committed of an answer."""

    action: str
    codec: str
    body: str
    prompts: int


class _DecidedElsewhere(InvalidInput):
    """Another process goes on with the run."""


class Attempt:
    """One run on its way: asked, answered, and kept, whatever happens meanwhile.

    Parameters
    ----------
    session : Session
    adapter : Adapter
    request : Request
    started : Run
        As it begins, or as it was suspended.
    recorder : Recorder
    rules : Rules
        By what it is decided which tools the agent may call.
    base : Head or None
        Where the answer goes; None: on the head.
    before : sequence of Spent
        What it spent before it was suspended.
    meter : Meter or None
        Watches what it may spend.
    made : callable or None
        Makes what is committed of an answer; None: the answer itself is.

    Attributes
    ----------
    answer : Answer
    is_suspended : bool
        Whether it waits for a decision that nobody makes now.
    """

    def __init__(
        self,
        session: Session,
        adapter: Adapter,
        request: Request,
        started: Run,
        recorder: Recorder,
        rules: Rules,
        *,
        base: Head | None = None,
        before: Sequence[Spent] = (),
        meter: Meter | None = None,
        made: Callable[[Answer], Made] | None = None,
    ) -> None:
        self.answer = Answer(model=request.model or adapter.model)
        self.is_suspended = False
        self._session, self._adapter, self._request = session, adapter, request
        self._started, self._recorder, self._base = started, recorder, base
        self._gate = Gate(started.run_id, rules, self._suspend, self._go_on)
        self._waits = started.status == "suspended"
        self._account = Account(self.answer, before)
        self._meter, self._make = meter, made or self._whole
        self._reached: LimitReached | None = None
        self._made: Made | None = None
        self.answer.on_progress = self._progress
        self.answer.on_request = self._before_request
        self._start = session.standing()
        self._commit: Callable[[], object] | None = None
        self._stopped = False

    def _progress(self, body: str, usage: Usage) -> None:
        """Take how far the agent has come, and what that has cost."""
        for spent in self._account.news():
            self._recorder.keep(event_of(spent))
        self._recorder.progress(self._adapter.progress_codec or self._adapter.codec, body, usage)

    def _before_request(self) -> None:
        """Stop where as much was spent as may be."""
        for spent in self._account.news():
            self._recorder.keep(event_of(spent))
        if self._meter is not None:
            try:
                self._meter.check(self._account.so_far())
            except LimitReached as reached:
                self._reached = reached
                raise

    def _whole(self, answer: Answer) -> Made:
        """Return what is committed where the answer itself is."""
        read(self._adapter.codec, answer.body)
        return Made("turn" if self._base is None else "replace", self._adapter.codec, answer.body, prompts=1)

    def begin(self) -> None:
        """Store the run before its agent is asked; one that was suspended goes on.

        Raises
        ------
        InvalidInput
            Somebody else goes on with it.
        RunCancelled
        """
        try:
            if self._waits:
                self._go_on()
            else:
                self._session.backend.start_run(self._started)
        except KeyboardInterrupt as error:
            raise self._cancelled() from error

    def ask(self, caller: Caller) -> None:
        """Make the agent answer; end the run as cancelled or failed where it does not.

        What it calls meanwhile finds `caller`.
        """
        try:
            self._recorder.begin()
            if self._request.untold and self._request.progress is None:
                from ag_ui.core import CustomEvent

                untold = CustomEvent(name="nbsessions.untold", value=dict(self._request.untold))
                self._recorder.keep(untold)
            drive(self._adapter, self._request, self._recorder, self.answer, self._gate, caller)
            self._recorder.check()
            self._made = self._make(self.answer)
            self._wait()
        except Later:
            self.is_suspended = True
        except _DecidedElsewhere as error:
            raise RunCancelled(str(error), self._started.run_id) from error
        except (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit) as error:
            # A stop that comes when all was said takes nothing back: it was paid for.
            self._stopped = self._is_answered()
            if not self._stopped:
                raise self._cancelled() from error
            self._made = self._make(self.answer)
            self._wait()
        except (Exception, SystemExit) as error:
            if self._reached is not None:  # whatever the agent's framework made of it
                text = str(self._reached)
                raise LimitReached(text + self._give_up("failed", text), self._started.run_id) from error
            text = describe(error) + place(error)
            refused = self._give_up("failed", text)
            raise RunFailed(f"{self._adapter.name} failed: {text}{refused}", self._started.run_id) from error

    def _suspend(self, question: ToolQuestion) -> None:
        """Store that the run waits for a decision, with all that somebody else needs to go on with it."""
        for spent in self._account.news():
            self._recorder.keep(event_of(spent))
        self._recorder.flush()
        text = f"waits for a decision about {one_line(question.name, 80)}"
        # Where the store refuses it, the person here can decide all the same.
        with suppress(StoreError):
            self._recorder.store_progress()
            self._session.backend.finish_run(self._finish("suspended", self._recorder.unstored(), text))
            self._recorder.rest()
            self._waits = True

    def _go_on(self) -> None:
        """Store that the run goes on: of all who have decided, one does."""
        if not self._waits:
            return
        run_id, until = self._started.run_id, micros(now() + LEASE)
        if not self._session.backend.continue_run(run_id, worker_name(), until):
            raise _DecidedElsewhere("It was decided elsewhere meanwhile, and is not done here again.")
        self._waits = False
        self._recorder.wake()

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
            self._tell_unwatched()
            finish, made = self._finish("completed", self._recorder.end()), self._made
            assert made is not None
            self._commit = self._session.prepare(
                made.action,
                made.codec,
                made.body,
                prompts=made.prompts,
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

    def _tell_unwatched(self) -> None:
        """Tell in the log what a limit of the cost could not count."""
        text = None if self._meter is None else self._meter.unwatched(self._account.so_far())
        if text is not None:
            from ag_ui.core import CustomEvent

            self._recorder.keep(CustomEvent(name=NOTE, value=text))

    def _is_answered(self) -> bool:
        try:
            return bool(read(self._adapter.codec, self.answer.body))
        except InvalidInput:
            return False

    def _cancelled(self) -> RunCancelled:
        refused = self._give_up("cancelled", "stopped")
        said = self._recorder.characters
        kept = f"The prompt and {counted(said, 'character')} of the answer are" if said else "The prompt is"
        text = f"Stopped. {kept} kept."
        return RunCancelled(text if not refused else f"Stopped.{refused}", self._started.run_id)

    def _give_up(self, status: str, error: str) -> str:
        """End the run without a turn; return what there is to say where that is not to be."""
        recorder = self._recorder
        try:
            self._go_on()
        except _DecidedElsewhere as elsewhere:  # it is whoever decided who ends it
            recorder.show()
            return f" {elsewhere}"
        except (StoreError, RunNotFound):  # the end of the run tells
            pass
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
