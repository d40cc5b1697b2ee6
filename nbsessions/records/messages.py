"""Chat messages, in the shape that everybody understands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema

from nbsessions.exceptions import InvalidInput

Role = Literal["system", "user", "assistant", "tool"]


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class _InUTC:
    """Takes times of any timezone, naive ones as UTC, and gives them in UTC."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> core_schema.CoreSchema:
        # What is stored is in UTC already, and is read by the first of the two without a call to Python.
        other = core_schema.no_info_after_validator_function(_in_utc, core_schema.datetime_schema())
        return core_schema.union_schema(
            [core_schema.datetime_schema(tz_constraint=0), other], mode="left_to_right"
        )


Timestamp = Annotated[datetime, _InUTC]


class Call(NamedTuple):
    """A call of a tool, as a message tells it.

    Examples
    --------
    >>> Call("c1", "add", '{"a": 1}').name
    'add'
    """

    call_id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class Message(BaseModel):
    """One chat message, in the shape of the OpenAI chat format.

    Fields that are not listed here are kept as they came. ``message["role"]`` reads like
    ``message.role``.

    Attributes
    ----------
    role : {"system", "user", "assistant", "tool"}
    content : str or list of dict or None
        Text, or the content parts of a multi-modal message.
    timestamp : datetime or None
        Timezone-aware, UTC.
    name, tool_call_id : str or None
    tool_calls : list of dict or None

    Examples
    --------
    >>> message = Message(role="user", content="Hello")
    >>> message.role, message["content"]
    ('user', 'Hello')
    >>> message.to_dict()
    {'role': 'user', 'content': 'Hello'}
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    role: Role
    content: str | list[Any] | None = Field(default=None, union_mode="left_to_right")
    timestamp: Timestamp | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def __getitem__(self, key: str) -> Any:
        if key in type(self).model_fields:
            return getattr(self, key)
        return (self.__pydantic_extra__ or {})[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or `default` where the message has none of that name.

        Examples
        --------
        >>> Message(role="user", content="Hello").get("weight", 1)
        1
        """
        try:
            return self[key]
        except KeyError:
            return default

    @property
    def text(self) -> str:
        """The content as plain text: content parts that are not text are left out.

        Examples
        --------
        >>> Message(role="user", content=[{"type": "text", "text": "Hi"}]).text
        'Hi'
        """
        if isinstance(self.content, list):
            parts = [part.get("text") if isinstance(part, dict) else part for part in self.content]
            return "\n".join(part for part in parts if part and isinstance(part, str))
        return self.content or ""

    @property
    def calls(self) -> list[Call]:
        """The calls of tools: what is missing in one, or in another shape, is read as well as it can be.

        Examples
        --------
        >>> function = {"name": "add", "arguments": '{"a": 1}'}
        >>> Message(role="assistant", tool_calls=[{"id": "c1", "function": function}]).calls
        [Call(call_id='c1', name='add', arguments='{"a": 1}')]
        """
        found = []
        for call in self.tool_calls or []:
            function = call.get("function")
            told = function if isinstance(function, dict) else call
            arguments = told.get("arguments") or "{}"
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            found.append(Call(str(call.get("id") or ""), str(told.get("name") or "tool"), text))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the message as a dict for JSON, without the listed fields that are empty.

        `content` stays, also as None: providers ask for it beside `tool_calls`. Fields that are not
        listed stay as they came.

        Examples
        --------
        >>> Message(role="assistant").to_dict()
        {'role': 'assistant', 'content': None}
        """
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp.isoformat().replace("+00:00", "Z")
        listed = {"name": self.name, "tool_calls": self.tool_calls, "tool_call_id": self.tool_call_id}
        data |= {name: value for name, value in listed.items() if value is not None}
        return data | (self.__pydantic_extra__ or {})


MESSAGES = TypeAdapter(list[Message], config=ConfigDict(defer_build=True))


def parse_messages(messages: object) -> list[Message]:
    """Return `messages`, dicts or `Message` objects, as messages.

    Raises
    ------
    InvalidInput
        Where one has no role that is known, or a field of the wrong type.

    Examples
    --------
    >>> parse_messages([{"role": "user", "content": "Hi"}])[0].text
    'Hi'
    """
    try:
        return MESSAGES.validate_python(messages)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "message"
        raise InvalidInput(f"Not a chat message: {where}: {first['msg']}.") from None
    except RecursionError:
        raise InvalidInput("Not a chat message: it is nested too deeply.") from None
