"""webagents itself, an older release in an environment of its own: its SessionManager, asked over a pipe."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSION = "0.3.6"
"""The last release that has `SessionManager`."""
# What `import webagents` itself needs; the rest of its dependencies is for other parts of it.
NEEDS = [
    "colorama",
    "croniter",
    "cryptography",
    "fastapi",
    "httpx",
    "jinja2",
    "prompt-toolkit",
    "pydantic",
    "pyjwt",
    "pyyaml",
    "typer",
    "uvicorn",
    "watchdog",
]

# Runs there. Each line asks for one thing, and is answered by one line.
DRIVER = """
import json, sys
from pathlib import Path
from webagents.agents.skills.local.session.skill import Session, SessionManager

managers, held = {}, {}

def manager(path, agent="my-agent"):
    return managers.setdefault((path, agent), SessionManager(Path(path), agent))

def ask(path, what, conversation=None, agent="my-agent", **more):
    own = manager(path, agent)
    if what == "hold":  # load a session, and keep it in memory as the skill does
        if more.get("id"):
            session = own.load(more["id"], conversation)
        else:
            session = own.load_latest(conversation, more.get("most", 100))
        held[more.get("handle", 0)] = session
        return None if session is None else session.to_dict()
    if what == "begin":
        session = Session(more["id"], agent, more["at"], more["at"], metadata=more.get("metadata", {}))
        held[more.get("handle", 0)] = session
        return session.to_dict()
    session = held.get(more.get("handle", 0))
    if what == "say":
        session.messages += more["messages"]
        session.input_tokens += more.get("spent", [0, 0])[0]
        session.output_tokens += more.get("spent", [0, 0])[1]
        return len(session.messages)
    if what == "replace":
        session.messages = more["messages"]
        return len(session.messages)
    if what == "name":
        session.metadata["name"] = more["name"]
        return session.metadata
    if what == "note":
        session.metadata.update(more["metadata"])
        return session.metadata
    if what == "save":
        return str(own.save(session, conversation))
    if what == "list":
        return own.list_sessions(conversation)
    if what == "delete":
        return own.delete(more["id"], conversation)
    if what == "clear":
        return own.clear_all(conversation)
    raise ValueError(what)

for line in sys.stdin:
    try:
        answer = {"answer": ask(**json.loads(line))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
"""


class WebAgents:
    """webagents, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.python = python = folder / "bin" / "python"
        uv = shutil.which("uv")
        if uv is None:
            _run(sys.executable, "-m", "venv", folder)
            install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        else:
            _run(uv, "venv", "-q", "--python", sys.executable, folder)
            install = [uv, "pip", "install", "-q", "--python", python]
        _run(*install, "--no-deps", f"webagents=={VERSION}")
        _run(*install, *NEEDS)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([python, "-c", DRIVER], stdin=pipe, stdout=pipe, text=True)

    def ask(self, path: Path, what: str, **more: Any) -> Any:
        """Have something done with the sessions of the agent in a folder, and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"path": str(path), "what": what, **more}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
