"""Which notebook this kernel belongs to, and which of its cells runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_SERVER_SECONDS = 1.0


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
    for server in _servers():
        for session in _sessions(server):
            if session.get("kernel", {}).get("id") == kernel_id and session.get("type") == "notebook":
                return os.path.abspath(os.path.join(str(server["root_dir"]), str(session["path"])))
    return None


def _kernel_id() -> str | None:
    from ipykernel.connect import get_connection_file

    try:
        found = re.search(r"kernel-(.+)\.json$", get_connection_file())
    except RuntimeError:  # no kernel application: an embedded kernel has no server either
        return None
    return str(found.group(1)) if found else None


def _servers() -> Iterator[dict[str, Any]]:
    from jupyter_core.paths import jupyter_runtime_dir

    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json"), reverse=True):
        try:
            server = json.loads(path.read_text())
            os.kill(server["pid"], 0)
        except (OSError, ValueError, KeyError):  # a server that died left its file behind
            continue
        yield server


def _sessions(server: dict[str, Any]) -> list[dict[str, Any]]:
    from urllib.error import URLError
    from urllib.request import ProxyHandler, Request, build_opener

    headers = {"Authorization": f"token {server.get('token', '')}"}
    request = Request(f"{server['url']}api/sessions", headers=headers)
    try:
        # No proxy: the server is on this machine, and its token goes nowhere else.
        with build_opener(ProxyHandler({})).open(request, timeout=_SERVER_SECONDS) as response:
            found = json.load(response)
    except (URLError, OSError, ValueError):  # another server, one that hangs, or one that asks for a password
        return []
    return found if isinstance(found, list) else []


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
