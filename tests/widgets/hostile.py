"""More than two hundred texts that try to do something to who looks at them, and a store that is full of them."""

from __future__ import annotations

from ag_ui.core import BaseEvent

import nbsessions as nbs
from nbsessions import Message
from nbsessions.adapters.base import announce
from nbsessions.stores.base import Key
from nbsessions.testing.samples import a_finish, a_record, a_run
from tests.formats.hostile import FRAGMENTS

_PWN = "window.pwned=(window.pwned||0)+1"
_REMOTE = "http://pwned.invalid"
_TAGS = (
    *("img src=x", "svg", "body", "input autofocus", "video src=x", "audio src=x", "marquee", "details open"),
    *(
        "select autofocus",
        "textarea autofocus",
        "iframe src=x",
        "object data=x",
        "embed src=x",
        "math",
        "style",
    ),
    *("button autofocus", "link rel=stylesheet href=x", "script src=x", "x-y tabindex=0 autofocus"),
)
_HANDLERS = ("onload", "onerror", "onfocus", "onpointerover")
_URLS = (
    f"javascript:{_PWN}",
    f"JaVaScRiPt:{_PWN}",
    f"java\tscript:{_PWN}",
    f" javascript:{_PWN}",
    f"&#106;avascript:{_PWN}",
    f"data:text/html,<script>parent.{_PWN}</script>",
    f"vbscript:{_PWN}",
    f"{_REMOTE}/x.png",
)
_FORMS = (
    *("[x]({0})", "![x]({0})", "<{0}>", "[x][r]\n\n[r]: {0}", "<a href='{0}'>x</a>", "<img src='{0}'>"),
    *(
        "<iframe src='{0}'></iframe>",
        "<svg><image href='{0}'/></svg>",
        "<form action='{0}'><input type=submit>",
    ),
)
_LAB = (
    "<button data-commandlinker-command='terminal:create-new' data-commandlinker-args='{}'>x</button>",
    "<a data-commandlinker-command='filebrowser:delete'>x</a>",
    "<div class='jp-mod-active lm-Menu' style='position:fixed;inset:0;z-index:9999'>x</div>",
    "<style>* { display: none !important }</style>",
    f"<link rel=preload as=image href={_REMOTE}/p.png>",
    f"<p style='background:url({_REMOTE}/b.png)'>x</p>",
    f"<img srcset='{_REMOTE}/a.png 1x, {_REMOTE}/b.png 2x'>",
    f"<a href=# ping={_REMOTE}/ping>x</a>",
    f"<style>@import '{_REMOTE}/i.css'; @font-face {{ font-family: x; src: url({_REMOTE}/f) }}</style>",
    f"<template><script>{_PWN}</script></template><noscript><img src=x onerror={_PWN}></noscript>",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} <%= 7*7 %>",
    f"$\\href{{javascript:{_PWN}}}{{x}}$ \\(\\unicode{{x41}}\\) $$\\def\\x{{\\x\\x}}\\x$$",
)
_CHARACTERS = (
    "\x1b[2J\x1b[H\x1b[31mred\x1b[0m",
    "\x1b]8;;http://pwned.invalid\x07link\x1b]8;;\x07",
    "\x1b]52;c;cHduZWQ=\x07 clipboard",
    "\x9b31mC1\x9d0;title\x9c",
    "\u202egnp.evil\u202c",
    "\u2066\u2067\u2068 isolates that never end",
    "\u200b\u200d\ufeff zero width",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 right to left",
    "Z" + "\u0300\u0316\u0340" * 300 + "algo",
    "W" * 4_000,
    "line\n" * 300,
    "\t" * 200 + "far",
    "| a " * 200,
    "> " * 100 + "deep",
    "- " * 100 + "deeper",
    "#" * 7 + " no heading\n" + "=" * 200,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
    "a\x00b NUL",
    "</style></script></textarea></title></svg></div></div></table>",
)
_HANDLED = [f"<{tag} {handler}='{_PWN}'>x</{tag.split()[0]}>" for tag in _TAGS for handler in _HANDLERS]
_LINKED = [form.format(url) for form in _FORMS for url in _URLS]
_ALL = (*FRAGMENTS, *_LAB, *_CHARACTERS, *_HANDLED, *_LINKED)
CORPUS = tuple(text.encode("utf-8", "replace").decode() for text in dict.fromkeys(_ALL))


def fill(store: nbs.Store) -> nbs.Session:
    """Add a session for each text, named and tagged so; return one in which all of them were said."""
    for number, text in enumerate(CORPUS):
        record = a_record(f"hostile-{number}", name=text, agent_name=text, tags=[text], model=text)
        store.backend.insert(record.model_copy(update={"notebook": f"/{text}.ipynb", "owner": text}))
    session = store.create("said")
    for number, text in enumerate(CORPUS):
        call = {"id": str(number), "function": {"name": text, "arguments": text}}
        session.add_message({"role": "user", "content": text})
        asked = {"content": text, "reasoning_content": text, "tool_calls": [call]}
        session.add_message({"role": "assistant", **asked})
        session.add_message({"role": "tool", "tool_call_id": str(number), "content": text})
    return session


def run_of(session: nbs.Session) -> nbs.Run:
    """Add a run whose events say all of it, and return it."""
    run = a_run(Key.of(session.record), prompt=" ".join(CORPUS)[:2_000])
    session.backend.start_run(run)
    events: list[BaseEvent] = []
    for number, text in enumerate(CORPUS):
        call = {"id": f"c{number}", "function": {"name": text, "arguments": text}}
        said = {"content": text, "reasoning_content": text, "tool_calls": [call]}
        for message in (
            {"role": "assistant", **said},
            {"role": "tool", "tool_call_id": f"c{number}", "content": text},
        ):
            announce(Message.model_validate(message), events.append)
    stored = [(event.type.value, event.model_dump_json(by_alias=True, exclude_none=True)) for event in events]
    session.backend.append_events(run.run_id, stored, first=0)
    return session.backend.finish_run(a_finish(run))
