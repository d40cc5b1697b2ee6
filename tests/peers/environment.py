"""The environment of the peers: beside the project's own, which none of them is installed into."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from nbsessions.stores._lock import FileLock
from tests.peers import PEERS

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".peers"


def python() -> Path:
    """Return the interpreter of the environment, which is made first where it is missing or another version's."""
    packages = sorted({one for peer in PEERS.values() for one in peer.package.split()})
    wanted = [f"{ROOT}[postgres]", "ipykernel", "jupyter-client", "libfaketime==3.0.1", *packages]
    made = FOLDER / hashlib.sha256(f"{sys.version} {wanted}".encode()).hexdigest()[:12]
    FOLDER.mkdir(exist_ok=True)
    interpreter = made / "bin" / "python"
    # Two tests may want it at once.
    with FileLock(FOLDER / "lock"):
        if not (made / "complete").exists():
            _uv("venv", "--clear", "--python", sys.executable, str(made))
            editable, *others = wanted
            _uv("pip", "install", "--python", str(interpreter), "--editable", editable, *others)
            (made / "complete").touch()
    return interpreter


def run(*arguments: str, given: str | None = None, timeout: float | None = None) -> str:
    """Run a module of ours there, and return what it printed: its last words are told where it fails.

    What is `given` it reads from its standard input: an argument has no room for ten thousand names.
    """
    done = subprocess.run(
        [str(python()), "-m", *arguments],
        cwd=ROOT,
        env=environment(),
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise RuntimeError("\n".join([f"{' '.join(arguments)} ended with {done.returncode}:", *said]))
    return done.stdout


def environment() -> dict[str, str]:
    """Return the variables of a process there: no peer calls home, and none reads the user's own data."""
    quiet = {
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "AGNO_TELEMETRY": "false",
        "LANGSMITH_TRACING": "false",
        "NBSESSIONS_OWNER": "ada",
    }
    # What is imported is compiled, whatever is set where this runs.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, **quiet}


def _uv(*arguments: str) -> None:
    command = ["uv", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The peers cannot be installed: {done.stderr.strip()}")
