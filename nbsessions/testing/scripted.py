"""An agent that answers from a script, and remembers what it was asked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbsessions.adapters.base import Adapter, Answer, Emit, Request, announce
from nbsessions.exceptions import AgentError
from nbsessions.records import Message, Spent, Usage, parse_messages
from nbsessions.values import encode_json, new_id, now

Piece = str | float | Usage | Spent | Message | Mapping[str, Any] | BaseException


class ScriptedAgent(Adapter):
    """Answers from a script, for tests of stores, of what shows answers, and of notebooks.

    Parameters
    ----------
    script : iterable
        One answer each: a piece, or a list of pieces that come one after the other. A piece is

        - text, which is streamed;
        - a number: so many seconds pass;
        - a chat message (a dict or a `Message`), such as one with tool calls, or a tool's result;
        - a `Usage`: what was spent up to here; a `Spent`: what one request to a model spent, so that what
          comes then is the answer to another one;
        - an exception, which is raised.
    name : str
        The agent's name.
    model : str or None
        The model that it says it is.

    Attributes
    ----------
    requests : list of Request
        What it was asked, oldest first: `prompt`, `messages`, `model`, `session_id`...

    Raises
    ------
    AgentError
        It was asked once more than the script has answers.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> agent = ScriptedAgent(["Hi", ["Let me see... ", 0.01, nbs.Usage(input_tokens=7), "42"]])
    >>> session = nbs.open_store("memory:").create("plan")
    >>> [session.send(prompt, agent=agent).output for prompt in ("Hello", "And?")]
    ['Hi', 'Let me see... 42']
    >>> [len(request.messages) for request in agent.requests], session.total_tokens
    ([0, 2], 7)

    An agent that fails half-way:

    >>> session.send("Hello", agent=ScriptedAgent([["I was about to ", ValueError("no idea")]]))
    Traceback (most recent call last):
    nbsessions.exceptions.RunFailed: scripted failed: ValueError: no idea
    """

    def __init__(
        self, script: Iterable[Piece | Sequence[Piece]], *, name: str = "scripted", model: str | None = None
    ) -> None:
        super().__init__(name, model)
        self.requests: list[Request] = []
        self._script = list(script)

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        """Give the next answer of the script."""
        self.requests.append(request)
        if len(self.requests) > len(self._script):
            raise AgentError(f"its script has no more answers: it had {len(self._script)}")
        answer.on_request()
        said = _Said(request.prompt, emit, answer)
        found = self._script[len(self.requests) - 1]
        is_one = isinstance(found, (str, Spent)) or not isinstance(found, Sequence)
        pieces: Any = [found] if is_one else found
        for piece in pieces:
            said.add(piece)
        said.close()


class _Said:
    """What was said so far, as events and as messages."""

    def __init__(self, prompt: str, emit: Emit, answer: Answer) -> None:
        self._emit, self._answer = emit, answer
        self._messages: list[dict[str, Any]] = []
        self._keep(Message(role="user", content=prompt))
        self._message_id: str | None = None
        self._text = ""
        self._was_answered = False

    def add(self, piece: Piece) -> None:
        if self._was_answered and not isinstance(piece, (Usage, Spent, float, int)):
            self._was_answered = False
            self._answer.on_request()
        if isinstance(piece, BaseException):
            raise piece
        if isinstance(piece, str):
            self._say(piece)
        elif isinstance(piece, Usage):
            self._answer.usage += piece
        elif isinstance(piece, Spent):
            self._spend(piece)
        elif isinstance(piece, (Message, Mapping)):
            self._end_text()
            (message,) = parse_messages([piece])
            announce(message, self._emit)
            self._keep(message)
        else:
            time.sleep(piece)

    def _spend(self, spent: Spent) -> None:
        answer, self._was_answered = self._answer, True
        answer.usage += spent.usage
        answer.requests.append(spent)
        answer.model, answer.provider = spent.model or answer.model, spent.provider or answer.provider

    def _say(self, text: str) -> None:
        from ag_ui.core import TextMessageContentEvent, TextMessageStartEvent

        if self._message_id is None:
            self._message_id = new_id()
            self._emit(TextMessageStartEvent(message_id=self._message_id, role="assistant"))
        self._text += text
        if text:
            self._emit(TextMessageContentEvent(message_id=self._message_id, delta=text))

    def _end_text(self) -> None:
        from ag_ui.core import TextMessageEndEvent

        if self._message_id is not None:
            self._emit(TextMessageEndEvent(message_id=self._message_id))
            self._keep(Message(role="assistant", content=self._text))
        self._message_id, self._text = None, ""

    def _keep(self, message: Message) -> None:
        self._messages.append(message.model_copy(update={"timestamp": message.timestamp or now()}).to_dict())

    def close(self) -> None:
        self._end_text()
        said = [m["content"] for m in self._messages[1:] if m["role"] == "assistant" and m["content"]]
        self._answer.output = said[-1] if said else ""
        self._answer.body = encode_json(self._messages, "answer")
