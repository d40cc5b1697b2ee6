"""What a store keeps of a session's documents."""

from __future__ import annotations

import pytest

from nbsessions.exceptions import SessionExists, SessionNotFound
from nbsessions.stores.base import Backend, Document, Documents, Inherited, Key
from nbsessions.testing.contract.base import Contract, Reopen
from nbsessions.testing.samples import a_move, a_record, a_turn, inserted

NAMES = ["a", "a/1", "a/10", "a/2", "b", "\u00e4", "\uffff", "\U0001f600"]
"""In the order of their characters, which is none of the dictionary's."""


def put(backend: Backend, key: Key, *names: str, collection: str = "c") -> list[Document]:
    """Store documents of these names, and return them."""
    made = [Document(collection, name, f'"{name}"') for name in names]
    backend.put_documents(key, made)
    return made


def named(backend: Backend, key: Key, asked: Documents) -> str:
    """Return the names of the documents that are found, joined."""
    return " ".join(found.name for found in backend.documents(key, asked))


class Papers(Contract):
    """What a store keeps of a session's documents."""

    def test_a_document_comes_back_as_it_was_put(self, backend: Backend) -> None:
        key = inserted(backend)
        made = [Document("st\u00c4dt", "", '{"a":[1,"\\u0000\U0001f600"]}'), Document("", "n", "x" * 100_000)]
        backend.put_documents(key, made)
        assert backend.documents(key) == sorted(made)

    def test_one_of_the_same_name_is_replaced_or_kept(self, backend: Backend) -> None:
        key = inserted(backend)
        put(backend, key, "a", "b")
        backend.put_documents(
            key, [Document("c", "a", "2"), Document("c", "d", "2"), Document("c", "d", "3")]
        )
        assert [found.body for found in backend.documents(key)] == ["2", '"b"', "3"]
        backend.put_documents(key, [Document("c", "a", "4"), Document("c", "e", "4")], keep=True)
        assert [found.body for found in backend.documents(key)] == ["2", '"b"', "3", "4"]

    def test_they_come_in_the_order_of_their_characters(self, backend: Backend) -> None:
        key = inserted(backend)
        first = put(backend, key, *NAMES[::2], *NAMES[1::2], collection="b")
        second = put(backend, key, *reversed(NAMES), collection="a")
        in_order = sorted(second) + sorted(first)
        assert [found.name for found in sorted(first)] == NAMES
        assert backend.documents(key) == in_order
        assert backend.documents(key, Documents(descending=True)) == in_order[::-1]

    def test_what_is_asked_for_is_found(self, backend: Backend) -> None:
        key = inserted(backend)
        put(backend, key, *NAMES)
        put(backend, key, "a", "z", collection="d")
        assert named(backend, key, Documents("c", prefix="a/")) == "a/1 a/10 a/2"
        assert named(backend, key, Documents("c", prefix="a/1")) == "a/1 a/10"
        assert named(backend, key, Documents("c", prefix="\U0001f600")) == "\U0001f600"
        assert named(backend, key, Documents("c", descending=True, before="b", limit=2)) == "a/2 a/10"
        assert named(backend, key, Documents("c", prefix="a/", before="a/10")) == "a/1"
        assert named(backend, key, Documents("c", names=["b", "a", "a", "nowhere"])) == "a b"
        assert named(backend, key, Documents(names=["z", "a"])) == "a a z"
        assert named(backend, key, Documents(names=["z", "a"], descending=True, limit=2)) == "z a"
        assert named(backend, key, Documents(names=[])) == ""
        assert named(backend, key, Documents("nowhere")) == named(backend, key, Documents(limit=0)) == ""

    def test_many_are_named_at_once(self, backend: Backend) -> None:
        key = inserted(backend)
        names = [f"{number:04}" for number in range(1_100)]
        put(backend, key, *names)
        put(backend, key, "0001", collection="b")
        found = backend.documents(key, Documents(names=names[:1_001], descending=True))
        assert [(one.collection, one.name) for one in found][-3:] == [
            ("c", "0001"),
            ("c", "0000"),
            ("b", "0001"),
        ]
        assert backend.drop_documents(key, Documents("c", names=names[1:])) == 1_099
        assert named(backend, key, Documents()) == "0001 0000"

    def test_documents_belong_to_one_session(self, backend: Backend) -> None:
        keys = inserted(backend), inserted(backend, conversation_id="c1")
        for key in keys:
            backend.put_documents(key, [Document("c", "a", key.conversation_id)])
        assert [[found.body for found in backend.documents(key)] for key in keys] == [[""], ["c1"]]

    def test_a_session_begins_with_what_it_inherits(self, backend: Backend) -> None:
        key = inserted(backend)
        made = put(backend, key, "a", "b")
        put(backend, key, "a", collection="other")
        made_at_once, moved = a_record("s2"), a_record("s3")
        backend.insert(made_at_once, inherits=Inherited(key, "c"))
        move = a_move(Key.of(moved), a_turn(), create=moved, inherits=Inherited(key, "c"))
        backend.move(move)
        backend.insert(a_record("s4"), inherits=Inherited(key, "nothing"))
        backend.insert(a_record("s5"), inherits=Inherited(Key("", "nowhere"), "c"))
        found = {name: backend.documents(Key("", name)) for name in ("s2", "s3", "s4", "s5")}
        assert found == {"s2": made, "s3": made, "s4": [], "s5": []}
        backend.drop_documents(Key("", "s2"), Documents("c", names=["a"]))
        assert backend.documents(key, Documents("c")) == made

    def test_a_session_that_is_refused_inherits_nothing(self, backend: Backend) -> None:
        key, other = inserted(backend), inserted(backend, "s2", name="plan")
        put(backend, key, "a")
        for taken in (a_record("s2"), a_record("s3", name="plan")):
            with pytest.raises(SessionExists):
                backend.insert(taken, inherits=Inherited(key, "c"))
        assert backend.documents(other) == []
        assert backend.get(Key("", "s3")) is None

    def test_documents_are_dropped(self, backend: Backend) -> None:
        key = inserted(backend)
        put(backend, key, *"abcd")
        put(backend, key, "a", collection="d")
        assert backend.drop_documents(key, Documents("c", names=["a", "nowhere"])) == 1
        assert backend.drop_documents(key, Documents("c", descending=True, limit=1)) == 1
        assert named(backend, key, Documents()) == "b c a"
        assert (backend.drop_documents(key, Documents("d")), backend.drop_documents(key)) == (1, 2)
        assert (backend.documents(key), backend.drop_documents(key)) == ([], 0)

    def test_what_is_refused_changes_nothing(self, backend: Backend) -> None:
        key = inserted(backend)
        put(backend, key, "a")
        with pytest.raises(SessionNotFound):
            backend.put_documents(Key("", "nowhere"), [Document("c", "a", "2")])
        assert [found.body for found in backend.documents(key)] == ['"a"']

    def test_documents_need_their_session_and_go_with_it(self, backend: Backend) -> None:
        key = inserted(backend)
        put(backend, key, "a")
        backend.delete([key])
        for call in (
            lambda: backend.documents(key),
            lambda: backend.put_documents(key, [Document("c", "a", "1")]),
            lambda: backend.drop_documents(key),
        ):
            with pytest.raises(SessionNotFound):
                call()
        inserted(backend)
        assert backend.documents(key) == []

    def test_documents_are_found_again(self, backend: Backend, reopen: Reopen) -> None:
        key = inserted(backend)
        made = put(backend, key, *NAMES)
        backend.drop_documents(key, Documents("c", names=["b"]))
        backend.insert(a_record("s3"), inherits=Inherited(key, "c"))
        fork = a_record("s4")
        backend.move(a_move(Key.of(fork), a_turn(), create=fork, inherits=Inherited(Key("", "s3"), "c")))
        for name in ("s1", "s3", "s4"):
            assert reopen().documents(Key("", name)) == [found for found in made if found.name != "b"]
        gone = inserted(after := reopen(), "s2")
        put(after, gone, "a")
        after.delete([gone])
        inserted(last := reopen(), "s2")
        assert last.documents(gone) == []
