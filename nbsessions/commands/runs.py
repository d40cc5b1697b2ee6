"""Commands about what was asked and said: runs, replay, search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbsessions import listings
from nbsessions.arguments import Argument
from nbsessions.commands.base import LOCAL, SESSION, Command, meant
from nbsessions.exceptions import InvalidInput
from nbsessions.listings import Listing

if TYPE_CHECKING:
    from nbsessions.workspace import Workspace


def _runs(workspace: Workspace, ref: str | None) -> Listing:
    session = meant(workspace, ref)
    return Listing("runs", session.runs, lambda: session.to_df("runs"))


def _replay(workspace: Workspace, run: str, speed: str) -> None:
    from nbsessions.replaying import replay
    from nbsessions.runs import prompted
    from nbsessions.stores.base import Key

    session = workspace.session
    found = workspace.store.run(run, within=session)
    label = workspace.store.backend.get(Key.of(found))
    replay(
        prompted(workspace.store.backend, found),
        lambda after, limit: workspace.store.events(found.run_id, after=after, limit=limit),
        speed=_speed(speed),
        label="" if label is None else label.label,
    )


def _speed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"The speed must be a number, not {text!r}: 2 is twice as fast.") from None


def _search(
    workspace: Workspace, text: list[str], limit: int, agent: str | None, tag: str | None, role: str | None
) -> Listing:
    # What was in quotes came without them, and is a phrase.
    query = " ".join(f'"{word}"' if " " in word else word for word in text)
    search = workspace.store.search
    return listings.items("hits", lambda: search(query, limit, agent_name=agent, tag=tag, role=role))


COMMANDS = (
    Command("runs", "List a session's runs, failed ones included.", _runs, (SESSION,)),
    Command(
        "replay",
        "Show a run again, event by event.",
        _replay,
        (
            Argument(name="run", help="its id, or the end of it", required=True, completes="run"),
            Argument(
                name="--speed", help="how much faster than it was (1); 0: at once", default="1", value="X"
            ),
        ),
        faces=LOCAL,
        is_live=True,
    ),
    Command(
        "search",
        "Find messages by their words, best first.",
        _search,
        (
            Argument(name="text", help='words, "a phrase", begin*', kind="words", required=True),
            Argument(name="--limit", help="how many (20)", kind="number", default=20),
            Argument(name="--agent", help="only in sessions with this agent", completes="agent_name"),
            Argument(name="--tag", help="only in sessions with this tag", completes="tag"),
            Argument(
                name="--role",
                help="only what this role said",
                choices=("user", "assistant", "tool", "system"),
            ),
        ),
    ),
)
