"""Fake keys of all shapes, and every public way in which one could get into a store."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ag_ui.core import CustomEvent, RawEvent, StateSnapshotEvent

import nbsessions as nbs
from nbsessions import Session, Store
from nbsessions.adapters.base import Adapter, Answer, Emit, Request
from nbsessions.formats import all_formats
from nbsessions.stores.base import Document
from nbsessions.testing import ScriptedAgent
from tests.packed import PACKED

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


class Key(NamedTuple):
    """A fake key.

    Attributes
    ----------
    text : str
        As a person would paste it.
    core : str
        What must be found nowhere.
    """

    text: str
    core: str


def _drawn(rng: random.Random, length: int, letters: str = ALNUM) -> str:
    # A digit early on, as keys have it.
    return "7" * (letters in (ALNUM, HEX)) + "".join(
        rng.choices(letters, k=length - (letters in (ALNUM, HEX)))
    )


def _plain(before: str, length: int, letters: str = ALNUM, after: str = "") -> Callable[[random.Random], Key]:
    def make(rng: random.Random) -> Key:
        core = _drawn(rng, length, letters)
        return Key(before + core + after, core)

    return make


def _pem(rng: random.Random) -> Key:
    lines = [_drawn(rng, 64) for _ in range(4)]
    text = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *lines, "-----END RSA PRIVATE KEY-----"])
    return Key(text, lines[2])


def _jwt(rng: random.Random) -> Key:
    core = _drawn(rng, 40)
    return Key(f"eyJ{_drawn(rng, 20)}.eyJ{_drawn(rng, 40)}.{core}", core)


SHAPES: dict[str, Callable[[random.Random], Key]] = {
    "openai": _plain("sk-", 48),
    "openai project": _plain("sk-proj-", 60),
    "anthropic": _plain("sk-ant-api03-", 80),
    "openrouter": _plain("sk-or-v1-", 64, HEX),
    "google": _plain("AIza", 35),
    "aws id": _plain("AKIA", 16, string.ascii_uppercase + "234567"),
    "aws secret": _plain("AWS_SECRET_ACCESS_KEY = ", 40),
    "aws json": _plain("SecretAccessKey: ", 40),
    "github": _plain("ghp_", 36),
    "github fine": lambda rng: Key(f"github_pat_{(a := _drawn(rng, 22))}_{_drawn(rng, 59)}", a),
    "gitlab": _plain("glpat-", 20),
    "slack": _plain("xoxb-123456789012-", 24),
    "stripe": _plain("sk_live_", 24),
    "hugging face": _plain("hf_", 34),
    "npm": _plain("npm_", 36),
    "pypi": _plain("pypi-AgEIcHlwaS5vcmc", 70),
    "groq": _plain("gsk_", 52),
    "azure storage": _plain("DefaultEndpointsProtocol=https;AccountKey=", 86, ALNUM, "=="),
    "azure signature": _plain("https://x.blob.core.windows.net/a?sv=1&sig=", 43, ALNUM, "%3D"),
    "jwt": _jwt,
    "pem": _pem,
    "bearer": _plain("Authorization: Bearer ", 40),
    "basic": _plain("Authorization: Basic ", 40),
    "url": _plain("postgresql://ada:", 24, ALNUM, "@localhost/agents"),
}


def keys(count: int, seed: int = 7) -> list[Key]:
    rng, makers = random.Random(seed), list(SHAPES.values())
    return [makers[number % len(makers)](rng) for number in range(count)]


class Telling(Adapter):
    """An agent that tells keys in events of all kinds, asks a tool with them, and ends or fails."""

    def __init__(self, told: list[str]) -> None:
        super().__init__("telling")
        self._told = told

    def run(self, request: Request, emit: Emit, answer: Answer) -> None:
        text = " and ".join(self._told)
        emit(CustomEvent(name=text, value={"deep": [{text: text}]}))
        emit(RawEvent(event={"headers": text}, source=text))
        emit(StateSnapshotEvent(snapshot={"key": text}))
        said = json.dumps(
            [{"role": "user", "content": request.prompt}, {"role": "assistant", "content": text}]
        )
        answer.on_progress(said, answer.usage)
        answer.body, answer.output, answer.model = said, text, "a-model"


def _calls(text: str) -> list[dict[str, Any]]:
    arguments = json.dumps({"headers": {"key": text}, "nested": json.dumps({"again": text})})
    call = {"id": "c1", "type": "function", "function": {"name": "fetch", "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"body": text})},
        {"role": "assistant", "content": [{"type": "text", "text": text}], "reasoning_content": text},
    ]


def _failing(text: str) -> Any:
    def agent(prompt: str) -> Iterator[str]:
        yield f"I try {text} "
        raise ValueError(f"401 for {text}")

    return agent


def _in_pieces(text: str) -> Any:
    def agent(prompt: str) -> Iterator[str]:
        yield from text

    return agent


def plant(store: Store, told: list[Key], folder: Path) -> None:
    """Put keys into a store in every public way, each of them in one."""
    session = store.create("garden")
    ways = list(WAYS.values())
    share = -(-len(told) // len(ways))
    for number, way in enumerate(ways):
        own = [key.text for key in told[number * share : (number + 1) * share]]
        if own:
            way(store, session, own, folder)


def _failed(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        with suppress(nbs.RunFailed):
            session.send("Try", agent=_failing(text))


def _streamed(store: Store, session: Session, own: list[str], folder: Path) -> None:
    session.send("Stream", agent=_in_pieces(" and ".join(own)))


def _asked(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        session.send(f"Use {text}, please.", agent=lambda prompt: f"I used {prompt}")


def _tools(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        session.send("Call", agent=lambda prompt, text=text: _calls(text))
    session.send("Script", agent=ScriptedAgent([[*_calls(own[0])]]))


def _events(store: Store, session: Session, own: list[str], folder: Path) -> None:
    session.send("Tell", agent=Telling(own))


def _fields(store: Store, session: Session, own: list[str], folder: Path) -> None:
    fields: dict[str, Any] = {"metadata": {"deep": own, own[0]: 1}, "state": {"keys": own}}
    for number, text in enumerate(own):
        short = _line(text)[:90]
        made = store.create(f"{short} {number}"[:150], tags=[short], **fields)
        made.rename(f"{number} again {short}")
        made.tag(f"tag {short}")
        made.state = {"now": text}
        made.metadata = {"now": {"deep": text}}
        made.fork(f"{number} fork {short}")
        store.save(made.record.model_copy(update={"metadata": {"saved": text}}))
        store.create(f"agent {number}", agent_name=short, notebook=f"/home/ada/{short}.ipynb")


def _line(text: str) -> str:
    return text.replace("\n", " ")[:180]


def _places(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        session.checkpoint(_line(text))
        session.kv()[f"kv {_line(text)}"] = {"value": [text]}
    documents = [
        Document(text, f"d{number} {text}", json.dumps({"a": text})) for number, text in enumerate(own)
    ]
    store.backend.put_documents(session.key, documents)


def _messages(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        session.add_message({"role": "user", "content": text, "name": text, "more": {"deep": text}})
    other = store.create("assigned")
    other.messages = [{"role": "system", "content": own[0]}, *({"role": "user", "content": t} for t in own)]
    other.clear_history(keep_last=2)
    draft = store.resume("assigned", autosave=False)
    draft.add_message({"role": "user", "content": f"draft {own[-1]}"})


def _imports(store: Store, session: Session, own: list[str], folder: Path) -> None:
    with nbs.open_store("memory:", redact=False) as other:
        theirs = other.create("import", metadata={"keys": own}, state={"keys": own})
        for text in own:
            theirs.send(f"Use {text}", agent=lambda prompt, text=text: _calls(text))
        theirs.checkpoint("here")
        for format in all_formats():
            if format.read is None or format.write is None:
                continue
            path = folder / f"{format.name}{format.suffixes[0]}"
            other.export(theirs.session_id, path, format=format.name)
            data = path.read_bytes() if path.is_file() else b""
            assert format.name == "store" or own[0][-16:].encode() in data
            store.import_(path, format=format.name, rename=True)
            path.unlink()


def _delegated(store: Store, session: Session, own: list[str], folder: Path) -> None:
    for text in own:
        session.send("Ask", agent=lambda prompt, text=text: nbs.delegate(lambda asked: asked, f"Use {text}"))


WAYS: dict[str, Callable[[Store, Session, list[str], Path], None]] = {
    "prompts": _asked,
    "streamed": _streamed,
    "failed": _failed,
    "tools": _tools,
    "events": _events,
    "fields": _fields,
    "places": _places,
    "messages": _messages,
    "imports": _imports,
    "delegated": _delegated,
    **PACKED,
}
