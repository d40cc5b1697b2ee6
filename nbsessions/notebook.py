"""Which notebook this kernel belongs to, and which of its cells runs."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_SERVER_SECONDS = 1.0
"""All servers together are given so long to answer."""


def notebook_path(shell: InteractiveShell) -> str | None:
    """Return the absolute path of the notebook that this kernel runs, where it is certain.

    VS Code says it; a Jupyter server is asked which notebook has this kernel; what the server said
    when the kernel started (``JPY_SESSION_NAME``) counts while there is such a file, because it goes
    stale when the notebook is renamed.

    Examples
    --------
    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> notebook_path(InteractiveShell.instance()) is None
    True
    """
    told = shell.user_ns.get("__vsc_ipynb_file__")
    if isinstance(told, str):
        return os.path.abspath(told)
    if not hasattr(shell, "kernel"):
        return None
    return _from_server() or _from_environment()


def _from_environment() -> str | None:
    name = os.environ.get("JPY_SESSION_NAME", "")
    return os.path.abspath(name) if name.endswith(".ipynb") and os.path.isfile(name) else None


def _from_server() -> str | None:
    kernel_id = _kernel_id()
    if kernel_id is None:
        return None
    from http.client import HTTPException

    from jupyter_core.paths import jupyter_runtime_dir

    from nbsessions.workers import process_exists

    deadline = time.monotonic() + _SERVER_SECONDS
    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json"), reverse=True):
        try:
            server = json.loads(path.read_text())
            if not process_exists(int(server["pid"])):  # it died, and left its file behind
                continue
            for session in _sessions(server, deadline - time.monotonic()):
                kernel = session.get("kernel") or {}
                if session.get("type") == "notebook" and kernel.get("id") == kernel_id:
                    return os.path.abspath(os.path.join(str(server["root_dir"]), str(session["path"])))
        # Another program's server, one that hangs, one that asks for a password, or half a file.
        except (OSError, HTTPException, ArithmeticError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return None


def _kernel_id() -> str | None:
    from ipykernel.connect import get_connection_file

    try:
        found = re.search(r"kernel-(.+)\.json$", get_connection_file())
    except RuntimeError:  # no kernel application: an embedded kernel has no server either
        return None
    return str(found.group(1)) if found else None


def _sessions(server: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    from urllib.request import ProxyHandler, Request, build_opener

    headers = {"Authorization": f"token {server.get('token', '')}"}
    request = Request(f"{server['url']}api/sessions", headers=headers)
    deadline = time.monotonic() + seconds
    found = b""
    # No proxy: the server is on this machine, and its token goes nowhere else.
    with build_opener(ProxyHandler({})).open(request, timeout=max(0.01, seconds)) as response:
        while piece := response.read1(1 << 20):
            found += piece
            if time.monotonic() > deadline:
                raise TimeoutError
    sessions = json.loads(found)
    return sessions if isinstance(sessions, list) else []


def cell_id(shell: InteractiveShell) -> str | None:
    """Return the id of the notebook cell that runs, where the front end tells it.

    Examples
    --------
    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> cell_id(InteractiveShell.instance()) is None
    True
    """
    get_parent = getattr(shell, "get_parent", None)
    parent = get_parent() if get_parent is not None else {}
    found = parent.get("metadata", {}).get("cellId") if isinstance(parent, dict) else None
    return found if isinstance(found, str) and found else None
