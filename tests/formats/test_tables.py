"""Tables of other tools' databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from nbsessions.formats.tables import Tables


@pytest.fixture
def tables() -> Iterator[Tables]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(
            """
            CREATE TABLE plain(id TEXT, "order" INTEGER);
            INSERT INTO plain VALUES ('b', 1), ('a', 2), ('b', 0), (NULL, 3);
            CREATE TABLE keyed(id TEXT PRIMARY KEY, text) WITHOUT ROWID;
            INSERT INTO keyed VALUES ('b', 'B'), ('a', 'A');
            CREATE VIEW endless AS
                WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n;
            CREATE VIRTUAL TABLE words USING fts5(id);
            """
        )
        yield Tables(db, "logs.db")


def test_rows_are_in_the_order_that_is_asked_for(tables: Tables) -> None:
    assert [row["order"] for row in tables.rows("plain", "order")] == [1, 2, 0, 3]
    assert [row["order"] for row in tables.rows("plain", "order", order="id, order")] == [3, 2, 0, 1]
    assert [row["order"] for row in tables.rows("plain", "order", order="gone, order")] == [0, 1, 2, 3]
    assert [row["text"] for row in tables.rows("keyed", "text", order="id")] == ["A", "B"]


def test_rows_are_those_where_a_column_has_a_value(tables: Tables) -> None:
    assert [row["order"] for row in tables.rows("plain", "order", where="id", is_="b")] == [1, 0]
    assert [row["order"] for row in tables.rows("plain", "order", where="id", is_=None)] == [3]


@pytest.mark.parametrize("value", [10**30, [], {}, object(), "c"])
def test_there_are_none_of_what_cannot_be(tables: Tables, value: object) -> None:
    assert list(tables.rows("plain", "order", where="id", is_=value)) == []


def test_what_is_not_there_is_none(tables: Tables) -> None:
    assert list(tables.rows("gone", "id")) == []
    assert list(tables.rows("plain", "id", where="gone", is_=1)) == []
    assert next(tables.rows("plain", "id", "gone")) == {"id": "b", "gone": None}


@pytest.mark.parametrize("name", ["endless", "words"])
def test_what_is_no_plain_table_is_none(tables: Tables, name: str) -> None:
    assert name not in tables
    assert list(tables.rows(name, "id")) == []


def test_rows_are_grouped_by_a_column(tables: Tables) -> None:
    found = tables.grouped("plain", "id", "order", order="order")
    assert found == {"b": [{"order": 0}, {"order": 1}], "a": [{"order": 2}], None: [{"order": 3}]}
