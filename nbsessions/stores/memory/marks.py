"""What is set beside the turns: checkpoints, key-values, documents, visits of notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbsessions.records import Checkpoint
from nbsessions.stores.base import Document, Documents, Key, Value, Visit
from nbsessions.stores.memory.held import Held, plain


class Marks(Held):
    """The primitives that are about checkpoints, key-values, documents and visits."""

    def add_checkpoint(self, key: Key, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._session(key)
            self._check_turn(checkpoint.head)
            own = checkpoint.model_copy(
                update={"session_id": key.session_id, "state": plain(checkpoint.state)}
            )
            self._checkpoints.setdefault(checkpoint.checkpoint_id, (key, own))

    def checkpoints(self, key: Key, turn_id: str | None) -> list[Checkpoint]:
        with self._lock:
            self._session(key)
            up = self.ancestors([] if turn_id is None else [turn_id])
            found = [
                made.model_copy(update={"state": plain(made.state)})
                for whose, made in self._checkpoints.values()
                if whose == key or made.head.turn_id in up
            ]
        return found[::-1]

    def put_value(self, key: Key, value: Value, most: int) -> None:
        with self._lock:
            self._session(key)
            kept = {
                name: held for name, held in self._values.get(key, {}).items() if _is_alive(held, value.at)
            }
            if value.name not in kept:
                for name in _by_age(kept)[: max(0, len(kept) + 1 - most)]:
                    del kept[name]
            self._values[key] = {**kept, value.name: value}

    def values(self, key: Key, at: int) -> list[Value]:
        with self._lock:
            self._session(key)
            kept = self._values.get(key, {})
            return [kept[name] for name in _by_age(kept) if _is_alive(kept[name], at)]

    def drop_values(self, key: Key, names: Sequence[str] | None = None) -> int:
        with self._lock:
            self._session(key)
            kept = self._values.get(key, {})
            gone = list(kept) if names is None else [name for name in dict.fromkeys(names) if name in kept]
            for name in gone:
                del kept[name]
            return len(gone)

    def put_documents(self, key: Key, documents: Sequence[Document], *, keep: bool = False) -> None:
        with self._lock:
            self._session(key)
            held = self._documents.get(key, {})
            put = {(document.collection, document.name): document for document in documents}
            self._documents[key] = {**put, **held} if keep else {**held, **put}

    def documents(self, key: Key, asked: Documents = Documents()) -> list[Document]:
        with self._lock:
            self._session(key)
            found = [held for held in self._documents.get(key, {}).values() if _is_asked(held, asked)]
        return sorted(found, reverse=asked.descending)[: asked.limit]

    def drop_documents(self, key: Key, asked: Documents = Documents()) -> int:
        with self._lock:
            gone = {found[:2] for found in Marks.documents(self, key, asked)}
            held = self._documents.get(key, {})
            self._documents[key] = {place: kept for place, kept in held.items() if place not in gone}
            return len(gone)

    def visit(self, owner: str, notebook: str, visit: Visit, at: int) -> None:
        with self._lock:
            self._visit_count += 1
            made = visit._replace(visit_id=self._visit_count)
            self._visits.setdefault((owner, notebook), []).append(made)

    def last_visit(self, owner: str, notebook: str, *, up_to: int | None = None) -> Visit | None:
        with self._lock:
            visited = self._visits.get((owner, notebook), [])
            meant = (v for v in reversed(visited) if up_to is None or v.visit_id <= up_to)
            return next((visit for visit in meant if visit.key in self._sessions), None)


def _is_alive(value: Value, at: int) -> bool:
    return value.expires_at is None or value.expires_at > at


def _by_age(values: Mapping[str, Value]) -> list[str]:
    """Return the names, the longest unchanged first; of those of one moment, the first that came."""
    return sorted(values, key=lambda name: values[name].at)


def _is_asked(document: Document, asked: Documents) -> bool:
    return (
        asked.collection in (None, document.collection)
        and (asked.names is None or document.name in asked.names)
        and document.name.startswith(asked.prefix)
        and (asked.before is None or document.name < asked.before)
    )
