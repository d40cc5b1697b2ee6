"""A session of which every field tries to do something to who looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nbsessions.formats.building import Building
from nbsessions.records import Usage
from nbsessions.stores.arguments import Bundle

_AT = datetime(2026, 1, 2, tzinfo=UTC)
_PWN = "window.pwned=(window.pwned||0)+1"
_REMOTE = "http://pwned.invalid"
FRAGMENTS = (
    f"<script>{_PWN}</script>",
    f"<img src=x onerror='{_PWN}'>",
    f'<svg onload="{_PWN}"><style>@import url({_REMOTE}/a.css)</style></svg>',
    f"<iframe srcdoc='<script>parent.{_PWN}</script>'></iframe><iframe src='{_REMOTE}'></iframe>",
    f"<details open ontoggle='{_PWN}'><summary>x</summary></details>",
    f"<form action='{_REMOTE}'><button autofocus onfocus='{_PWN}'>x</button></form>",
    f"<meta http-equiv=refresh content='0;url={_REMOTE}'><base href='{_REMOTE}'><link rel=stylesheet href='{_REMOTE}'>",
    f"<object data='{_REMOTE}'></object><video src='{_REMOTE}' onerror='{_PWN}'></video>",
    f"<a href='javascript:{_PWN}' id=link>x</a>",
    f"[x](javascript:{_PWN}) [y](<javascript:{_PWN}>) [z](java&#115;cript:{_PWN})",
    f"[r][bad]\n\n[bad]: javascript:{_PWN}\n\n<javascript:{_PWN}>",
    f"![i]({_REMOTE}/i.png) ![j][k]\n\n[k]: {_REMOTE}/k.png",
    f"```html\n<script>{_PWN}</script>\n``` <script>{_PWN}</script>",
    f"~~~\n```\n<img src=x onerror='{_PWN}'>\n",
    f"- ```\n  x\n        ```\n<img src=x onerror='{_PWN}'>",
    f"| ` | `<img src=x onerror='{_PWN}'>` |\n| - | - |",
    f"`` a ` <img src=x onerror='{_PWN}'> `",
    f"$\\href{{javascript:{_PWN}}}{{x}}$ $$\\unicode{{x}}\\url{{javascript:{_PWN}}}$$ $$ <img src=x onerror='{_PWN}'> $$",
    f"--> <!-- <img src=x onerror='{_PWN}'> --> <![CDATA[ <img src=x onerror='{_PWN}'> ]]>",
    f"</code></pre></details></td></table></div></textarea></title><script>{_PWN}</script>",
    f"\"'><img src=x onerror='{_PWN}'>",
    f"&lt;script&gt;{_PWN}&lt;/script&gt; &#60;script&#62;{_PWN}&#60;/script&#62; &#x202e;",
    "\x1b]0;title\x07\x1b[31mred\x1b[2J\x1b]8;;http://pwned.invalid\x1b\\link\x1b]8;;\x1b\\ \x9b31m \x07",
    "\u202eevil\u2066 \u2067x\u2069 \u202a",
    "=cmd|'/C calc'!A0",
    "@SUM(1+1)*cmd|'/C calc'!A0",
    "\t=1+1",
    "a\r=1+1",
    "\u2028```\u2028<script>" + _PWN + "</script>",
)


def hostile(fragments: Sequence[str] = FRAGMENTS) -> Bundle:
    """Return a session that has these texts in every field that can hold them."""
    first = fragments[0]
    line = " ".join(" ".join(fragments).split())[:150]
    made = Building(
        "hostile",
        "hostile-1",
        agent_name=line,
        name=line,
        tags=[fragment[:90] for fragment in fragments],
        model=line,
        metadata={fragment: fragment for fragment in fragments},
        state={fragment: [fragment] for fragment in fragments},
    )
    made.add({"role": "system", "content": "\n".join(fragments)}, at=_AT)
    for number, fragment in enumerate(fragments):
        call = {
            "id": f"{fragment}{number}",
            "type": "function",
            "function": {"name": fragment, "arguments": fragment},
        }
        made.add({"role": "user", "content": fragment, "name": fragment}, at=_AT)
        said = {"content": fragment, "reasoning_content": fragment, "tool_calls": [call], "name": fragment}
        made.add({"role": "assistant", **said}, at=_AT)
        made.add({"role": "tool", "content": fragment, "tool_call_id": call["id"], "name": fragment}, at=_AT)
        made.add({"role": "tool", "content": fragment, "tool_call_id": "none", "name": fragment}, at=_AT)
        parts = [{"type": fragment}, {"type": "text", "text": fragment}]
        made.add({"role": "assistant", "content": parts}, at=_AT)
        made.spend(Usage(input_tokens=1), model=fragment, provider=fragment, at=_AT)
        made.run(
            f"{number}", status="failed", prompt=fragment, error=fragment, model=fragment, started_at=_AT
        )
    made.checkpoint(first)
    return made.bundle()
