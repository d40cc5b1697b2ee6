"""Lines of a Claude Code transcript, put together to entries that follow each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from nbsessions.formats.anthropic import assistant_message, blocks_of, result_message, usage_of, user_content
from nbsessions.formats.branches import Entry
from nbsessions.formats.reading import count_of, dict_of, moment, text_of
from nbsessions.records import Spent

INTERRUPTED: Final = "[Request interrupted by user"
_TOLD: Final = re.compile(
    r"""\s*(?:
      <(command-name|local-command-(?:stdout|stderr|caveat)|bash-(?:input|stdout|stderr)|system-reminder
        |task-notification|user-memory-input)\b[^>]*> (?>.*?</\1>) \s*+
      (?:<command-(?:message|args)> (?>.*?</command-(?:message|args)>) \s*+)*+
    )++""",
    re.VERBOSE | re.DOTALL,
)
"""What Claude Code tells its model in the name of the user: commands that it ran itself, reminders."""
FACTS: Final = ("cwd", "gitBranch", "version", "slug")
_MARKS: Final = ("isMeta", "isCompactSummary")
_KEPT: Final = (*_MARKS, "isApiErrorMessage", "timestamp", "sessionId", "forkedFrom", "costUSD")
_NO_MODEL: Final = "<synthetic>"


@dataclass(eq=False)
class Node:
    """One message, of however many lines; its parent is the one that it follows."""

    parent: Node | None
    role: str
    line: dict[str, Any]
    blocks: list[dict[str, Any]]
    results: Node | None = None
    requests: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    """The last line of each request: its usage is the whole one."""

    @property
    def message_id(self) -> str | None:
        """The id that Anthropic's API gave it."""
        return message_id(self.line)

    def entry(self, foreign: Foreign) -> Entry:
        """Return it as messages; what others spent is not counted.

        Examples
        --------
        >>> line = {"type": "user", "message": {"role": "user", "content": "Hi"}}
        >>> Node(None, "user", line, blocks_of("Hi")).entry(Foreign()).messages
        [{'role': 'user', 'content': 'Hi'}]
        """
        at = moment(self.line.get("timestamp"))
        if self.role == "assistant":
            return self._answer(at, foreign)
        if self.role == "tool":
            return Entry([result_message(block) for block in self.blocks], at)
        message: dict[str, Any] = {"role": "user", "content": user_content(self.blocks)}
        if not is_context(self.line, self.blocks):
            return Entry([message], at, is_prompt=True)
        kept = {name: True for name in _MARKS if self.line.get(name) is True}
        told = [message | {"kind": "context", **kept}]
        if _is_interrupt(self.blocks):
            return Entry(told, at, is_end=True, ended=("cancelled", None))
        return Entry(told, at, is_aside=True)

    def _answer(self, at: datetime | None, foreign: Foreign) -> Entry:
        said = assistant_message(self.blocks)
        if self.line.get("isApiErrorMessage") is True:
            return Entry([], at, is_end=True, ended=("failed", said["content"] or "the API failed"))
        spent = [one for line in self.requests.values() if not foreign.has(line) and (one := _spent(line))]
        is_end = "tool_calls" not in said
        return Entry([said], at, is_end=is_end, spent=spent, ended=("completed", None) if spent else None)


@dataclass
class Foreign:
    """What was copied from elsewhere, and was spent there.

    Examples
    --------
    >>> Foreign("s1").has({"sessionId": "s0"}), Foreign("s1").has({"sessionId": "s1"})
    (True, False)
    """

    session_id: str | None = None
    message_ids: set[str] = field(default_factory=set)

    def has(self, line: dict[str, Any]) -> bool:
        """Tell whether a line was copied."""
        if isinstance(line.get("forkedFrom"), dict) or message_id(line) in self.message_ids:
            return True
        return self.session_id is not None and text_of(line.get("sessionId")) not in (None, self.session_id)


class Tree:
    """The lines of one agent, main or sub-agent, in the order in which they were written.

    Examples
    --------
    >>> tree = Tree()
    >>> tree.add({"type": "user", "uuid": "u1", "message": {"role": "user", "content": "Hi"}})
    >>> [node.role for node in tree.nodes]
    ['user']
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.session_ids: list[str] = []
        self.facts: dict[str, str] = {}
        """What each line says anew of where it was said; the last one counts."""
        self.began: datetime | None = None
        self.forked_from: str | None = None
        self._by_uuid: dict[str, Node | None] = {}
        self._answers: dict[str, Node] = {}
        self._calls: dict[str, Node] = {}
        self._tip: Node | None = None

    def has(self, uuid: object) -> bool:
        """Tell whether a line was added already."""
        return isinstance(uuid, str) and uuid in self._by_uuid

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; one that is there already is passed over, as a log that was resumed repeats some."""
        uuid = text_of(line.get("uuid"))
        if self.has(uuid):
            return
        self._note(line)
        blocks = blocks_of(dict_of(line.get("message")).get("content"))
        node = self._parent(line, blocks)
        if line.get("type") == "assistant" and blocks:
            node = self._answer(_kept(line), blocks, node)
        elif line.get("type") == "user" and blocks:
            node = self._user(_kept(line), blocks, node)
        elif queued := _queued(line):
            node = self._put(node, "user", *queued)
        self._tip = node
        if uuid is not None:
            self._by_uuid[uuid] = node

    def _note(self, line: dict[str, Any]) -> None:
        self.facts |= {name: told for name in FACTS if (told := text_of(line.get(name)))}
        self.began = self.began or moment(line.get("timestamp"))
        self.forked_from = self.forked_from or text_of(dict_of(line.get("forkedFrom")).get("sessionId"))
        session_id = text_of(line.get("sessionId"))
        if session_id is not None and self.session_ids[-1:] != [session_id]:
            self.session_ids.append(session_id)

    def _parent(self, line: dict[str, Any], blocks: list[dict[str, Any]]) -> Node | None:
        for name in ("parentUuid", "logicalParentUuid"):
            told = line.get(name)
            if isinstance(told, str) and told in self._by_uuid:
                return self._by_uuid[told]
        # A first prompt that was edited follows nothing; all else, such as a summary, goes on from here.
        is_first = "parentUuid" in line and line["parentUuid"] is None and line.get("type") == "user"
        return None if is_first and not is_context(line, blocks) else self._tip

    def _put(
        self, parent: Node | None, role: str, line: dict[str, Any], blocks: list[dict[str, Any]]
    ) -> Node:
        node = Node(parent, role, line, blocks)
        self.nodes.append(node)
        return node

    def _answer(self, line: dict[str, Any], blocks: list[dict[str, Any]], parent: Node | None) -> Node:
        name = message_id(line)
        node = None if name is None else self._answers.get(name)
        if node is None:
            node = self._put(parent, "assistant", line, blocks)
        else:
            node.blocks = node.blocks + blocks
        if name is not None:
            self._answers[name] = node
        for block in blocks:
            if block.get("type") == "tool_use" and isinstance(block.get("id"), str):
                self._calls.setdefault(block["id"], node)
        node.requests[text_of(line.get("requestId"))] = line
        return node

    def _user(self, line: dict[str, Any], blocks: list[dict[str, Any]], parent: Node | None) -> Node | None:
        node = parent
        for block in blocks:
            if block.get("type") == "tool_result":
                node = self._result(line, block, parent)
        said = [block for block in blocks if block.get("type") != "tool_result"]
        return self._put(node, "user", line, said) if said else node

    def _result(self, line: dict[str, Any], block: dict[str, Any], parent: Node | None) -> Node:
        """Put a result with the others of its answer: each names the line of its own call as its parent."""
        name = block.get("tool_use_id")
        answer = self._calls.get(name) if isinstance(name, str) else None
        if answer is None:
            return self._put(parent, "tool", line, [block])
        if answer.results is None:
            answer.results = self._put(answer, "tool", line, [block])
        elif all(one.get("tool_use_id") != name for one in answer.results.blocks):
            answer.results.blocks.append(block)
        return answer.results


def _kept(line: dict[str, Any]) -> dict[str, Any]:
    """Return what is looked at later of a line; there may be very many."""
    message = dict_of(line.get("message"))
    kept = {name: message[name] for name in ("id", "model", "usage") if name in message}
    return {name: line[name] for name in _KEPT if name in line} | {"message": kept}


def _queued(line: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return what was typed while the agent was at work: it came to it as an attachment."""
    attachment = dict_of(line.get("attachment"))
    blocks = blocks_of(attachment.get("prompt")) if attachment.get("type") == "queued_command" else []
    if not blocks:
        return None
    typed = attachment.get("commandMode") in (None, "prompt")
    typed = typed and dict_of(attachment.get("origin")).get("kind") in (None, "human")
    return _kept(line) | ({} if typed else {"isMeta": True}), blocks


def message_id(line: dict[str, Any]) -> str | None:
    """Return the id that Anthropic's API gave the message of a line.

    Examples
    --------
    >>> message_id({"message": {"id": "msg_1"}})
    'msg_1'
    """
    return text_of(dict_of(line.get("message")).get("id"))


def is_context(line: dict[str, Any], blocks: list[dict[str, Any]]) -> bool:
    """Tell whether nobody typed what a line of the user says.

    Examples
    --------
    >>> is_context({"isMeta": True}, []), is_context({}, blocks_of("Hi"))
    (True, False)
    """
    if line.get("isMeta") is True or line.get("isCompactSummary") is True or _is_interrupt(blocks):
        return True
    texts = [block.get("text") for block in blocks]
    return bool(texts) and all(isinstance(text, str) and _TOLD.fullmatch(text) for text in texts)


def _is_interrupt(blocks: list[dict[str, Any]]) -> bool:
    text = blocks[0].get("text") if len(blocks) == 1 else None
    return isinstance(text, str) and text.startswith(INTERRUPTED)


def _spent(line: dict[str, Any]) -> Spent | None:
    message = dict_of(line.get("message"))
    usage = usage_of(dict_of(message.get("usage")), cost=line.get("costUSD"))
    model = text_of(message.get("model"))
    if usage is None or model == _NO_MODEL:
        return None
    provider = "anthropic" if model is not None and model.startswith("claude") else None
    written = dict_of(dict_of(message.get("usage")).get("cache_creation"))
    hour = count_of(written.get("ephemeral_1h_input_tokens"))
    return Spent(usage, model, provider, moment(line.get("timestamp")), hour_cache_tokens=hour)
