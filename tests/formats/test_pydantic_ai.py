from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import ModelMessagesTypeAdapter

import nbsessions as nbs
from nbsessions.exceptions import FormatError, InvalidInput
from nbsessions.formats import guess
from nbsessions.formats.building import Building
from nbsessions.formats.pydantic_ai import FORMAT, read, usage_of, write
from nbsessions.stores.arguments import Bundle
from tests.formats.mutating import mutated_json
from tests.formats.told import GOLDEN, check_golden, ids_of, reads_or_refuses, texts_of

FOLDER = GOLDEN / "pydantic-ai"
HISTORY = FOLDER / "history.json"
FILES = [HISTORY, FOLDER / "version-0.json"]


def _written(*bundles: Bundle) -> bytes:
    file = BytesIO()
    write(bundles, file)
    return file.getvalue()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    assert guess(path) is FORMAT
    check_golden(f"pydantic-ai/{path.stem}.expected.json", read(path))


def test_the_bytes_are_the_same_back() -> None:
    assert _written(*read(HISTORY)) == HISTORY.read_bytes()


def test_the_bytes_are_the_same_back_out_of_a_store(tmp_path: Path) -> None:
    store = nbs.open_store("memory:")
    (record,) = store.import_(HISTORY)
    path = store.export(record.session_id, tmp_path / "back.json", format="pydantic-ai")
    assert path.read_bytes() == HISTORY.read_bytes()
    session = store.resume(record.session_id)
    session.rewind(4)
    store.export(session.session_id, path, format="pydantic-ai", overwrite=True)
    assert ModelMessagesTypeAdapter.validate_json(path.read_bytes())[-1].parts[-1].part_kind == "tool-return"


def test_what_was_said_elsewhere_is_written_as_pydantic_ai_has_it() -> None:
    building = Building("example", "s1", agent_name="helper")
    building.add({"role": "system", "content": "Be brief."})
    building.add({"role": "user", "content": "Hi"})
    building.add({"role": "assistant", "content": "Ho"})
    taken = ModelMessagesTypeAdapter.validate_json(_written(building.bundle()))
    assert [part.part_kind for message in taken for part in message.parts] == [
        "system-prompt",
        "user-prompt",
        "text",
    ]


def test_only_one_session_is_written() -> None:
    with pytest.raises(InvalidInput, match="holds one session, not several"):
        _written(*read(HISTORY), *read(HISTORY))


def test_a_history_that_grew_keeps_its_turns(tmp_path: Path) -> None:
    whole = json.loads(HISTORY.read_text())
    for with_id in (True, False):
        for message in whole:
            message["conversation_id"] = message["conversation_id"] if with_id else None
        part, path = tmp_path / "part.json", tmp_path / "whole.json"
        part.write_text(json.dumps(whole[:4]))
        path.write_text(json.dumps(whole))
        store = nbs.open_store("memory:")
        (first,) = store.import_(part, format="pydantic-ai")
        (then,) = store.import_(path, format="pydantic-ai")
        assert first.session_id == then.session_id
        assert (first.usage.requests, then.usage.requests) == (2, 3)
        assert len(store.import_(path, format="pydantic-ai")) == 0
        assert ids_of(read(part))[0][1] == ids_of(read(path))[0][1][:1]


def test_what_version_0_cached_is_among_its_details() -> None:
    details = {"cache_read_input_tokens": 15, "cache_creation_input_tokens": 2}
    usage = usage_of({"request_tokens": 20, "response_tokens": 4, "details": details})
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (20, 15, 2)


def test_usage_of_every_version() -> None:
    assert usage_of({}) is None
    assert usage_of({"request_tokens": 20, "response_tokens": 4, "details": None}) == nbs.Usage(
        input_tokens=20, output_tokens=4, requests=1
    )
    told = usage_of({"input_tokens": 20, "cost": "0.0001"})
    assert told is not None
    assert str(told.cost) == "0.0001"
    costs: list[Any] = ["NaN", "-1", "x", [], True, 1e300, None]
    for cost in costs:
        told = usage_of({"input_tokens": 20, "cost": cost})
        assert told is not None
        assert told.cost is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"[]", "it holds no messages"),
        (b"{}", "it holds no messages"),
        (b'[{"kind":"request","parts":[]},1]', "message 2 is none of pydantic-ai"),
        (b'[{"kind":"request"}]', "message 1 is none of pydantic-ai"),
        (b'[{"kind":"response","parts":[{"part_kind":"text"}]}]', "has no content"),
        (b'[{"kind":"request","parts":[{"part_kind":"user-prompt","content":1}]}]', "has no content"),
        (b'[{"kind":"response","parts":[3]}]', "no list of parts"),
    ],
)
def test_what_is_no_history_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        nbs.open_store("memory:").import_(path, format="pydantic-ai")


@pytest.mark.parametrize("first", [{"kind": "request"}, {"role": "user", "content": "Hi"}, 1, []])
def test_other_lists_are_none(tmp_path: Path, first: Any) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps([first]))
    try:
        assert guess(path) is not FORMAT
    except FormatError as error:
        assert "of no format that is known" in str(error)  # noqa: PT017


def test_a_history_that_is_larger_than_what_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    part = {"content": "x" * 100_000, "part_kind": "user-prompt"}
    path.write_text(
        json.dumps([{"parts": [{"content": "Hi", "part_kind": "system-prompt"}, part], "kind": "request"}])
    )
    assert guess(path) is FORMAT
    assert texts_of(next(read(path)))[0] == "Hi"


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_messages_of_any_shape_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(data.draw(mutated_json(data.draw(st.sampled_from(FILES)).read_bytes())))
    bundles = reads_or_refuses(read, path)
    if bundles is not None:
        back = tmp_path / "back.json"
        back.write_bytes(_written(*bundles))
        assert json.loads(back.read_bytes()) == json.loads(_written(*read(back)))
        store = nbs.open_store("memory:")
        store.import_(path, format="pydantic-ai")
        assert store.verify().ok
