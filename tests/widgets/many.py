"""A store of a hundred thousand sessions, of which some say something."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import nbsessions as nbs
from nbsessions.testing.samples import a_record
from nbsessions.values import now

MANY = "many.db"
COUNT = 100_000
_TALKED = 1_000


def many(path: Path) -> None:
    """Make it, each session as `Store.create` would, but all in one transaction."""
    with nbs.open_store(path) as store:
        for number in range(_TALKED):
            session = store.create(f"talk {number}", agent_name="talker", tags=[f"team-{number % 7}"])
            session.add_message(
                {"role": "user", "content": f"Where do owls live? That is question {number}."}
            )
        backend: Any = store.backend
        begun, one = now(), a_record()
        with backend._writing() as db:
            for number in range(COUNT - _TALKED):
                at = begun - timedelta(seconds=number * 7919 % 99_991)
                fields = {
                    "session_id": f"01900000-0000-7000-8000-{number:012}",
                    "name": f"session {number} of {number * 7919 % 97}",
                    "agent_name": f"agent {number % 5}",
                    "tags": [f"tag-{number % 11}"] if number % 3 == 0 else [],
                    "created_at": at,
                    "updated_at": at,
                }
                backend._insert(db, one.model_copy(update=fields), None)
