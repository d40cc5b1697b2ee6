"""Whose sessions these are, which process runs a run, and whether it still can."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from datetime import datetime, timedelta
from typing import Final

from nbsessions.records import Run
from nbsessions.values import mend, now

LEASE: Final = timedelta(seconds=10)
"""A run counts as alive for so long after its process last said so; the process says it more often."""
_HOST: Final = socket.gethostname()


def default_owner() -> str:
    """Return whose sessions these are: ``$NBSESSIONS_OWNER``, the JupyterHub user, or the system's.

    Examples
    --------
    >>> import os
    >>> os.environ["NBSESSIONS_OWNER"] = "ada"
    >>> default_owner()
    'ada'
    >>> del os.environ["NBSESSIONS_OWNER"]
    """
    named = os.environ.get("NBSESSIONS_OWNER") or os.environ.get("JUPYTERHUB_USER")
    if named:
        return mend(named)  # bytes that are no text come as halves of characters
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid-{os.getuid()}"


def worker_name() -> str:
    """Return ``host:pid`` of this process.

    Examples
    --------
    >>> worker_name().endswith(str(os.getpid()))
    True
    """
    return f"{_HOST}:{os.getpid()}"


def is_alive(run: Run) -> bool:
    """Tell whether the process of a running run may still be at it.

    It is dead when its lease has run out, or when it was on this machine and has no process.

    Examples
    --------
    >>> run = Run(run_id="1", session_id="2", agent_name="local", started_at=now())
    >>> is_alive(run)
    False
    """
    if run.lease_until is None or run.lease_until < now():
        return False
    host, _, pid = (run.worker or "").rpartition(":")
    if host != _HOST or not pid.isdigit():
        return True
    return process_exists(int(pid))


def process_exists(pid: int) -> bool:
    """Tell whether a process of this machine may still be there.

    Examples
    --------
    >>> process_exists(os.getpid())
    True
    """
    if pid == os.getpid() or sys.platform == "win32":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it exists, and is somebody else's
        return True
    return True


def last_seen(run: Run) -> datetime:
    """Return when the process of a run last said that it was alive.

    Examples
    --------
    >>> run = Run(run_id="1", session_id="2", agent_name="local", started_at=now())
    >>> last_seen(run) == run.started_at
    True
    """
    return run.started_at if run.lease_until is None else max(run.started_at, run.lease_until - LEASE)
