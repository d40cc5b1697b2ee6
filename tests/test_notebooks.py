"""The tutorial runs: every notebook, in a real kernel, on the real local model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

_BAR = re.compile(r"\w+: +\d+%\|")
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


class Executed(NamedTuple):
    """A notebook as it is when all of it was run, and where that was."""

    notebook: Any
    folder: Path


Execute = Callable[[Path], Executed]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Execute:
    """Run a notebook, each of them once."""
    done: dict[Path, Executed] = {}

    def run(path: Path) -> Executed:
        if path not in done:
            done[path] = _run(path, tmp_path_factory.mktemp(path.stem))
        return done[path]

    return run


def _run(path: Path, folder: Path) -> Executed:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBSESSIONS_STORE", str(folder / "sessions.db"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        # A slow machine prints the lines of a cell in several goes.
        options: Any = {"coalesce_streams": True, "resources": resources}
        NotebookClient(notebook, timeout=240, kernel_name="python3", **options).execute()
    return Executed(notebook, folder)


def shown(cell: Any) -> str:
    """Return all that a cell shows, as plain text."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
    # What takes longer than a second shows a bar, which says how fast the machine is and nothing of the notebook.
    return "\n".join(text for text in texts if not _BAR.match(text))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_without_a_mistake(path: Path, executed: Execute) -> None:
    notebook, _ = executed(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        streams = [out["name"] for out in cell.get("outputs", []) if out["output_type"] == "stream"]
        assert "stderr" not in streams, shown(cell)
        if cell["source"].startswith("%%agent"):
            assert "saved" in shown(cell), shown(cell)


def test_the_quickstart_shows_what_it_says(executed: Execute) -> None:
    notebook, folder = executed(NOTEBOOKS[0])
    by_start = {cell["source"].split("\n")[0]: shown(cell) for cell in reversed(notebook.cells)}
    assert "very small model" in by_start["%%agent"]
    assert re.search(
        r"first steps · turn 1 · \d+ → \d+ tokens · free · [\d.]+ s · saved", by_start["%%agent"]
    )
    assert "first steps · turn 2 ·" in by_start["%%agent --into answer"]
    assert "Cleared 6 messages" in by_start["%session clear"]
    assert "Kept the first 2 messages" in by_start["%session rewind 2"]
    assert "▸ weather(" in by_start["%%agent forecaster"]
    assert "snowing" in by_start["%%agent forecaster"]
    assert "<Session 'first steps': 5 turns, 12 messages>" in by_start["import subprocess"]
    assert not (folder / "sessions.db").exists()


def test_branching_shows_what_it_says(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[1])
    outputs = [(cell["source"], shown(cell)) for cell in notebook.cells if cell["cell_type"] == "code"]
    trees = [text for source, text in outputs if source == "%session tree"]
    drawn = [cell["outputs"] for cell in notebook.cells if cell["source"] == "%session tree"]
    assert [len(several) for several in drawn] == [1, 1]
    assert "4 ◆ the story · on a line that was left at 2" in trees[0]
    assert "talk · 4 messages · you are here" in trees[0]
    assert "4 ↳ story · 4 messages · you are here" in trees[1]
    by_start = {source.split("\n")[0]: text for source, text in outputs}
    assert "Now at 'the question': 2 messages." in by_start["%session rewind the question"]
    assert "Now at 'the story': 4 messages." in by_start["%session rewind the story"]
    assert "First idea: go on with a story." in by_start['found = %session search "first idea" --role user']
    undone = [text for source, text in outputs if source == "%session undo"]
    assert [text.split(".")[0] for text in undone] == ["Took back: rewind", "Took back: load talk"]
    replayed = next(text for source, text in outputs if source.startswith("get_ipython()"))
    assert "completed, replayed: no tokens spent" in replayed
    assert "are whole." in by_start["%session verify"]


def test_bringing_history_shows_what_it_says(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[2])
    outputs = [(cell["source"], shown(cell)) for cell in notebook.cells if cell["cell_type"] == "code"]
    imports = [text for source, text in outputs if source.startswith("%session import")]
    assert [text.split("\n")[0] for text in imports] == [
        "2 sessions came.",
        "1 session came.",
        "3 sessions came; 1 refused.",
        "No session came; 2 were there already.",
        "No session came; 1 went on; 1 was there already.",
    ]
    assert "in conversation " in imports[0]
    assert "broken.json (openai-chat): nothing came" in imports[2]
    by_start = {source.split("\n")[0]: text for source, text in reversed(outputs)}
    assert "1820" in by_start["%session runs"]  # three requests of 910 would be counted twice
    assert "✂" in by_start["%session tree"]
    assert "What does an owl eat?" in by_start["%session search owl"]
    assert "# another name" in by_start["%session export cats.ipynb"]
    assert "are whole." in by_start["import nbsessions as nbs"]


def test_usage_shows_what_it_says(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[3])
    outputs = {cell["source"]: cell for cell in notebook.cells if cell["cell_type"] == "code"}
    by_start = {source.split("\n")[0]: shown(cell) for source, cell in outputs.items()}
    usage = by_start["%session usage"]
    assert "33 runs, " in usage
    assert "of the tokens have no known price: my-model (19,200)." in usage
    assert (
        "6 runs have a new cost: $0.0047 more."
        in by_start['nbs.set_price("my-model", input_mtok=0.2, output_mtok=0.8)']
    )
    by_session = by_start["%session usage --by session --since 14d --chart cost"]
    assert "questions" in by_session
    assert "no known price" not in by_session
    drawn = [cell for source, cell in outputs.items() if re.match(r"charts\.|%session usage", source)]
    pictures = [out for cell in drawn for out in cell["outputs"] if "image/png" in out.get("data", {})]
    assert len(pictures) == 8
    assert all("application/vnd.vegalite.v5+json" in out["data"] for out in pictures)
    assert "search     ████████████████████████████████ 3" in by_start["charts.tool_calls(session)"]
    assert "tokens.png" in by_start['charts.tokens(store, by="agent").save("tokens.png")']


def test_cleaning_up_shows_what_it_says(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[3])
    outputs = {cell["id"]: shown(cell) for cell in notebook.cells if cell["cell_type"] == "code"}
    said = {name: text.strip() for name, text in outputs.items() if name.startswith("cleanup-")}
    assert said["cleanup-03"].startswith("Would delete 3 sessions with 0 messages: 'third idea', ")
    assert said["cleanup-04"].startswith("Deleted 3 sessions with 0 messages: 'third idea', ")
    assert said["cleanup-06"].startswith("Tagged 2 sessions with 'archived': ")
    assert said["cleanup-07"].startswith("Undone for 2 sessions: ")
    assert (
        "`store.import_('old-sessions')` brings them back; what was spent stays counted."
        in said["cleanup-08"]
    )
    assert said["cleanup-09"].startswith("2 sessions came.")
    assert said["cleanup-11"].startswith("Would delete 2 sessions: ")
    assert said["cleanup-14"].split("\n") == [
        "50 messages: Be brief. ... Line 119",
        "taken back: clear - 121 messages",
    ]
    assert said["cleanup-16"].startswith("Undone for 7 sessions: ")
    assert said["cleanup-17"].startswith("<Session '")
    assert "it is of messages" in said["cleanup-19"]


def test_widgets_show_what_they_say(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[4])
    cells = {cell["source"].split("\n")[0]: cell for cell in notebook.cells if cell["cell_type"] == "code"}
    by_start = {start: shown(cell) for start, cell in cells.items()}
    shown_as = [{kind for out in cell["outputs"] for kind in out.get("data", {})} for cell in cells.values()]
    forms = {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert sum(forms <= kinds for kinds in shown_as) == 4
    assert "owls · just now · ornithologist · 2 turns · nature" in by_start["%session pick"]
    assert by_start["picker = nbs.SessionPicker(store)"].endswith("1 session\n")
    outputs = [shown(cell) for cell in notebook.cells if cell["source"].startswith("%%agent")]
    assert ["owls · turn 3" in outputs[0], "owls (fork) · turn 2" in outputs[1]] == [True, True]
    assert "Deleted 3 sessions" in by_start['table.select("draft 1", "draft 2", "draft 3")']
    assert "10 sessions" in by_start["table.refresh()  # at once; by itself within a second"]
    assert by_start["replay.position = 6"].startswith("event 6 of 16 · TEXT_MESSAGE_CONTENT")
    fed, spared = by_start["from pydantic_ai import Agent"].splitlines()
    assert (fed, spared) == ("a ate 0 g", "The call was not allowed: It is not hungry.")


def test_any_agent_shows_what_it_says(executed: Execute) -> None:
    notebook, _ = executed(NOTEBOOKS[5])
    cells = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    by_start = {cell["source"].split("\n")[0]: shown(cell) for cell in cells}
    assert "owls · turn 1" in by_start["%%agent local"]
    assert "2 messages came before" in by_start["%%agent keeper"]
    assert "owls · turn 3 · ringer" in by_start["%%agent ringer"]
    assert "6 messages came before" in by_start["%%agent singer"]
    counted, redacted = (shown(cell) for cell in cells if cell["source"].startswith("%%agent counter"))
    assert "4 questions and 4 answers came before this one." in counted
    assert "Denied: remove (the rules for tools deny it)" in by_start["%%agent --new"]
    assert "('suspended', 'remove'" in by_start['session = store.create("cleaning", agent_name="cleaner")']
    approved = by_start["%session approve"]
    assert 'remove(path="nest/old.txt") → nest/old.txt is removed' in approved
    assert "nest has 1 old file; nest/old.txt is removed" in approved
    assert by_start["removed"] == "['nest/old.txt']"
    assert "is too short" in by_start["%%agent writer"]
    assert "critic" in by_start["asked = %session history --a2a"]
    assert "3 of 10 messages would be sent" in by_start["%session context --max-messages 3"]
    assert "undo` takes that back" in by_start["%session compact --model summary"]
    assert "at most 20 requests a day" in by_start["%agent keeper --max-requests 20/day"]
    assert "came before this one" in redacted
    told = "'My key is [secret: openai key]. Do not tell anybody.'"
    assert by_start['store.resume("owls").messages[-2].text'] == told
    assert by_start["from nbsessions.bridges.openai_agents import Session"] == "'In a barn.'"
