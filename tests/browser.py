"""A real JupyterLab in a real browser, for scripts that the tests start as processes of their own.

Playwright's loop and those of other tests do not get on in one process.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.installing import installed

SECONDS = 120
_ROOT = Path(__file__).parent.parent
_SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic"]


def chromium() -> str:
    """Return the path of Debian's Chromium, which is installed where it is missing."""
    return installed("chromium", "chromium")


def looked(script: str, folder: Path, *, seconds: int = 600) -> Any:
    """Run a script that looks at something in a browser, and return what it saw."""
    chromium()
    command = [sys.executable, "-m", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=_ROOT, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@contextmanager
def browser(home: Path) -> Iterator[BrowserContext]:
    """Start a browser."""
    with sync_playwright() as play:
        size: Any = {"width": 1150, "height": 1400}
        context = play.chromium.launch_persistent_context(
            str(home), executable_path=chromium(), headless=True, args=_FLAGS, viewport=size
        )
        yield context
        context.close()


@dataclass
class Lab:
    """A JupyterLab of its own: where it is, and what a browser in it asked others for."""

    url: str
    token: str
    folder: Path
    strangers: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note what is asked of other servers."""
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, f"ws{self.url[4:]}", "data:", "blob:", "about:")):
            self.strangers.append(url)

    def open(self, page: Page, name: str, front_end: str = "doc/tree") -> None:
        """Open a notebook, and wait for its kernel; ``notebooks`` is Notebook 7."""
        page.goto(f"{self.url}/{front_end}/{name}?token={self.token}&reset")
        # The page says that it is idle before there is a kernel: the app knows.
        page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell?.currentWidget, session = panel?.context?.sessionContext;
                return panel?.content?.widgets?.length && panel.context.isReady && session?.isReady
                    && session.session?.kernel?.status === 'idle' && !document.querySelector('.jp-Dialog');
            }""",
            timeout=SECONDS * 1000,
        )

    def command(self, page: Page, name: str, **options: Any) -> None:
        """Run a command of JupyterLab to its end."""
        page.evaluate(
            "([name, options]) => window.jupyterapp.commands.execute(name, options).then(() => null)",
            [name, options],
        )


@contextmanager
def jupyterlab(folder: Path, home: Path, **env: str) -> Iterator[Lab]:
    """Serve a folder, with settings of its own, on this machine alone."""
    for plugin, value in _SETTINGS.items():
        path = home / "settings" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), folder)
    places = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    places |= {"LAB_SETTINGS_DIR": "settings", "LAB_WORKSPACES_DIR": "workspaces"}
    own = {
        f"JUPYTER{name}" if name.startswith("LAB") else f"JUPYTER_{name}": str(home / place)
        for name, place in places.items()
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    with open(home / "lab.log", "w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, **own, "IPYTHONDIR": str(home / "ipython"), **env},
            start_new_session=True,
        )
    try:
        _wait(lab, process, home / "lab.log")
        yield lab
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"JupyterLab does not start: {log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
