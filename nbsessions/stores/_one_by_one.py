"""Several sessions changed one after the other, for stores that cannot do it in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbsessions.exceptions import SessionExists
from nbsessions.records import SessionRecord
from nbsessions.stores.arguments import Change, Key
from nbsessions.stores.base import Backend
from nbsessions.stores.queries import Query


def update_all(backend: Backend, changes: Sequence[Change], at: int) -> dict[Key, SessionRecord]:
    """Change sessions that are as expected, and return them; nothing is changed where a name is taken."""
    found = backend.get_all([change.key for change in changes])
    meant = [one for one in changes if one.key in found and one.is_expected(found[one.key])]
    after = {one.key: found[one.key].model_copy(update=one.fields(at)) for one in meant}
    renamed = [key for key, record in after.items() if record.name != found[key].name]
    _check_names(backend, after)
    for key in renamed if len(renamed) > 1 else ():  # a name may go from one to another of them
        backend.update(key, {"name": None}, at)
    done = {}
    for one in meant:
        done[one.key] = backend.update(one.key, one.changes, at if one.at is None else one.at)
    return done


def _check_names(backend: Backend, after: Mapping[Key, SessionRecord]) -> None:
    """Refuse sessions to be stored of which one would have a name that another has then."""
    taken = set()
    for key, record in after.items():
        if record.name is None:
            continue
        place = (key.conversation_id, record.name, record.agent_name, record.owner)
        query = Query(place[0], name=place[1], agent_name=place[2], owner=place[3])
        if place in taken or any(Key.of(other) not in after for other in backend.find(query)):
            raise SessionExists(record.name)
        taken.add(place)
