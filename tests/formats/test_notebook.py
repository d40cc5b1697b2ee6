"""A session as a notebook: nothing is lost, edits are told, and others' notebooks are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbsessions as nbs
from nbsessions import FormatError, InvalidInput, Store
from nbsessions.formats import find, guess
from nbsessions.formats.base import Reading, listening
from nbsessions.stores.arguments import Bundle
from tests.formats.golden_files import GOLDEN, assert_golden, written
from tests.formats.weather import weather
from tests.lived import assert_same, lived

ODD = [
    "%%time\nprint(1)",
    "%session clear --all --confirm",
    "!touch pwned",
    "?help",
    "what?",
    "    indented\n\tby a tab",
    "{{ 1 / 0 }} and {single} and $x",
    '"""quoted"""\\',
    ">>> prompt\n... goes on\nand ends",
    "Like this:\n\n    >>> a\n    1\n\nIn [1]: x",
    "line\u2028separator\x0band\x0cmore",
    "\U0001f600 ä \u202e rtl",
    "trailing spaces  ",
    "-- --help",
]


@pytest.fixture
def store() -> Iterator[Store]:
    with nbs.open_store("memory:") as store:
        yield store


def read(path: Path) -> tuple[list[Bundle], list[str]]:
    reader = find("notebook").read
    assert reader is not None
    with listening(Reading()) as told:
        return list(reader(path)), told.notes


def edited(path: Path, change: Callable[[Any], object]) -> Path:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")
    return path


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "weather.ipynb"
    path.write_bytes(written(weather(), "notebook"))
    return path


def test_it_is_the_golden_file_and_valid() -> None:
    assert_golden(weather(), "notebook", "weather.ipynb")
    notebook: Any = nbformat.reads(written(weather(), "notebook").decode(), as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "markdown", "code", "code"]
    assert notebook.cells[1].source.splitlines()[0] == "%load_ext nbsessions"
    assert all(cell.source.startswith("%%agent --raw --rerun replay\n") for cell in notebook.cells[3:])


def test_what_is_exported_and_imported_is_the_same(store: Store, tmp_path: Path) -> None:
    session = lived(store)
    path = store.export("plan", tmp_path / "plan.ipynb")
    assert guess(path).name == "notebook"
    with nbs.open_store(tmp_path / "other.db") as other:
        report = other.import_(path)
        assert report.files[0].notes == []
        again = other.resume(report[0].session_id)
        assert_same(again, session)
        assert len(other.import_(path)) == 0
        assert other.verify().ok


def test_what_other_programs_do_to_its_numbers_changes_nothing(exported: Path) -> None:
    before = read(exported)[0]

    def as_javascript(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: as_javascript(item) for key, item in reversed(value.items())}
        if isinstance(value, list):
            return [as_javascript(item) for item in value]
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    data = as_javascript(json.loads(exported.read_text()))
    data["nbformat"], data["nbformat_minor"] = 4, 5
    exported.write_text(json.dumps(data))
    after, notes = read(exported)
    assert after == before
    assert notes == []
    assert before[0].record.state == {"step": 3, "ratio": 1.0, "large": 2**60}


def _clear(data: Any) -> None:
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None


def _renumber(data: Any) -> None:
    for number, cell in enumerate(data["cells"]):
        cell["id"] = str(number)


def _edit_answer(data: Any) -> None:
    data["cells"][4]["outputs"][0]["data"]["text/plain"] = ["Something else."]


def _edit_prompt(data: Any) -> None:
    data["cells"][3]["source"] = ["%%agent --raw --rerun replay\n", "Another question"]


def _replay(data: Any) -> None:
    footer = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "replayed"}}
    cell = data["cells"][4]
    cell["outputs"] = [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/html": "<p>", "text/plain": out["data"]["text/plain"]},
        }
        for out in cell["outputs"][:1]
    ] + [footer]
    cell["execution_count"] = 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_clear, ["2 answers were cleared in it: what was exported is taken"]),
        (_renumber, []),
        (_replay, []),
        (_edit_answer, ["1 answer was edited in it: what was exported is taken"]),
        (_edit_prompt, ["1 cell was edited in it: what was exported is taken"]),
        (lambda data: data["cells"].pop(), ["1 cell is gone in it: what was exported is taken"]),
        (lambda data: data.update(cells=None), ["3 cells are gone in it: what was exported is taken"]),
        (lambda data: data["cells"].insert(0, {"cell_type": "raw"}), []),
    ],
)
def test_an_edited_notebook_is_imported_as_it_was_and_the_edits_are_told(
    exported: Path, change: Callable[[Any], object], told: list[str]
) -> None:
    before = read(exported)[0]
    assert read(edited(exported, change)) == (before, told)


def test_a_damaged_payload_is_told_and_the_cells_are_read(exported: Path) -> None:
    def damage(data: Any) -> None:
        own = data["metadata"]["nbsessions"]
        own["payload"] = own["payload"].replace("Bergen", "Bremen")

    (bundle,), notes = read(edited(exported, damage))
    assert (
        notes[0]
        == "what it carries is damaged: its messages are read from its cells, as far as they show them"
    )
    assert bundle.record.session_id != weather().record.session_id
    with nbs.open_store("memory:") as store:
        (record,) = store.import_(exported)
        said = [(message.role, message.text) for message in store.resume(record.session_id).messages]
    assert [role for role, _ in said] == ["user", "assistant"] * 2
    assert said[0][1] == "Which is warmer today, Oslo or Bergen?"
    assert "`List<City>` would be *C#*, and <b>not</b> Python" in said[3][1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda own: own.update(version=9), "a newer nbsessions wrote it (version 9)"),
        (lambda own: own.update(payload="{}", sha256=_SHA_OF_EMPTY), "it is no export of nbsessions"),
    ],
)
def test_a_payload_that_cannot_be_read_is_refused(
    exported: Path, change: Callable[[Any], object], reason: str
) -> None:
    edited(exported, lambda data: change(data["metadata"]["nbsessions"]))
    with pytest.raises(FormatError) as error:
        read(exported)
    assert reason in str(error.value)


_SHA_OF_EMPTY = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_notebook_holds_one_session(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        store.create(name)
    with pytest.raises(InvalidInput, match="holds one session"):
        store.export(["one", "two"], tmp_path / "both.ipynb")
    store.export(["one", "two"], tmp_path, format="notebook")
    assert len(list(tmp_path.glob("*.ipynb"))) == 2


@pytest.mark.parametrize("prompt", ODD)
def test_a_prompt_comes_back_as_it_was(store: Store, tmp_path: Path, prompt: str) -> None:
    session = store.create("odd")
    session.send(prompt, agent=lambda prompt: f"You said: {prompt}")
    path = store.export("odd", tmp_path / "odd.ipynb")
    notebook: Any = nbformat.read(path, as_version=4)
    asked = [cell for cell in notebook.cells if cell.source.startswith("%%agent")]
    assert [cell.source.split("\n", 1)[1] for cell in asked] == [prompt]
    with nbs.open_store("memory:") as other:
        other.import_(path)
        assert other.resume("odd").messages == session.messages
    # Also where it carries nothing.
    edited(path, lambda data: data["metadata"].clear())
    (bundle,), _ = read(path)
    assert json.loads(bundle.turns[0].body)[0]["content"] == prompt


def test_a_prompt_that_says_nothing_is_shown_without_being_asked(store: Store, tmp_path: Path) -> None:
    session = store.create("image")
    session.add_message({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]})
    session.add_message({"role": "assistant", "content": "A cat."})
    notebook: Any = nbformat.read(store.export("image", tmp_path / "i.ipynb"), as_version=4)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "markdown"]
    assert notebook.cells[2].source == "> user: \\[image\\_url\\]\n\nA cat."


def test_messages_that_were_added_one_by_one_stand_together(store: Store, tmp_path: Path) -> None:
    session = store.create("added")
    for role, content in (("user", "Hi"), ("assistant", "Hello"), ("system", "Be brief."), ("user", "Bye")):
        session.add_message({"role": role, "content": content})
    notebook: Any = nbformat.read(store.export("added", tmp_path / "a.ipynb"), as_version=4)
    shown = [(cell.cell_type, cell.source.split("\n")[-1]) for cell in notebook.cells[2:]]
    assert shown == [("code", "Hi"), ("markdown", "</details>"), ("code", "Bye")]
    assert notebook.cells[2].outputs[0].data["text/markdown"] == "Hello"


def foreign(tmp_path: Path, *cells: dict[str, Any], **more: Any) -> Path:
    path = tmp_path / "foreign.ipynb"
    data = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}
    path.write_text(json.dumps(data))
    return path


def code(source: str, *outputs: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": metadata}


def test_cells_of_jupyter_ai_are_read() -> None:
    path = GOLDEN / "notebook" / "jupyter_ai.ipynb"
    (bundle,), notes = read(path)
    with nbs.open_store("memory:") as store:
        (record,) = store.import_(path)
        session = store.resume(record.session_id)
    said = [(message.role, message.text) for message in session.messages]
    assert said == [
        ("user", "What is 1 + 1?"),
        ("assistant", "It is\n**2**."),
        ("user", "And {Out[3]} + 2?"),
        ("assistant", "4"),
        ("user", "Hello?"),
    ]
    assert notes == []
    assert [(run.model, run.provider, run.status) for run in bundle.runs] == [
        ("gpt-4o", "openai-chat", "completed"),
        ("gpt-4o", "openai-chat", "completed"),
        ("bedrock:claude", None, "failed"),
    ]
    assert bundle.runs[2].error == "ValidationError: no credentials"
    assert (session.name, session.agent_name) == ("jupyter_ai", "jupyter-ai")
    assert session.messages[0].timestamp is not None
    assert session.messages[0].timestamp.isoformat() == "2026-01-02T03:04:05.678000+00:00"
    assert read(path)[0] == [bundle]


def test_cells_of_our_own_are_read_with_what_our_display_shows() -> None:
    (bundle,), notes = read(GOLDEN / "notebook" / "agent_cells.ipynb")
    answers = [json.loads(turn.body)[1]["content"] for turn in bundle.turns]
    assert answers == ["It is **snowing**.\n\n```python\nprint('<snow>')\n```", "No."]
    assert (bundle.record.agent_name, bundle.runs[0].model) == ("forecaster", "openai:gpt-5.2")
    assert notes == ["4 outputs beside the answers, such as tool calls, are left out"]


def test_an_old_notebook_is_read(tmp_path: Path) -> None:
    cell = {
        "cell_type": "code",
        "input": "%%ai gpt\nHi",
        "language": "python",
        "collapsed": False,
        "metadata": {},
        "outputs": [{"output_type": "stream", "stream": "stdout", "text": "Hello"}],
    }
    path = tmp_path / "old.ipynb"
    sheets = [{"cells": [cell], "metadata": {}}]
    path.write_text(json.dumps({"worksheets": sheets, "metadata": {}, "nbformat": 3, "nbformat_minor": 0}))
    assert json.loads(read(path)[0][0].turns[0].body)[1]["content"] == "Hello"


def test_a_notebook_without_agents_brings_nothing(tmp_path: Path) -> None:
    path = foreign(tmp_path, code("print(1)"))
    assert read(path) == ([], ["no cell of it asks an agent (%%agent, %%ai)"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"nbformat": true, "cells": []}',
        '{"nbformat": "4"}',
        '{"nbformat": 3, "worksheets": 7}',
        '{"nbformat": 2}',
        '{"nbformat": -1, "cells": [',
        '{"cells": ' + "[" * 100_000,
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.ipynb"
    path.write_text(text)
    with suppress(FormatError):
        assert read(path)[0] == []
