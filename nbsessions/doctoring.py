"""What a bug report needs to tell: what is installed, where the store is, and whether it is well."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from nbsessions.exceptions import NbsessionsError
from nbsessions.reprs import Card
from nbsessions.stores import default_url, file_of
from nbsessions.text import counted, masked

_NETWORK: Final = re.compile(r"nfs\d?|cifs|smb\w*|afs|9p|ceph|lustre|gpfs|fuse\.(sshfs|gluster\w*|ceph\w*)")
"""File systems of other machines, as Linux calls them."""
_WAL_RESET: Final = (3, 51, 3)
"""Before it, SQLite could damage a database, rarely, when its log was begun anew: https://www.sqlite.org/wal.html"""


class Checkup(Card):
    """What `nbsessions doctor` found.

    Attributes
    ----------
    ok : bool
        Whether nothing is in the way.

    Examples
    --------
    >>> examine("memory:").ok
    True
    """

    ok: bool

    def __init__(self, title: str, rows: Sequence[tuple[str, str]], facts: Mapping[str, Any]) -> None:
        shown = [(label, at_home(text)) for label, text in rows]
        super().__init__(at_home(title), shown, facts)
        self.ok = not facts["problems"]


def examine(url: str | None = None, *, verify: bool = False) -> Checkup:
    """Look at what is installed, and at a store; none is made where there is none.

    Parameters
    ----------
    url : str or None
        None: where sessions live when nobody says otherwise.
    verify : bool
        Check all that the store holds: see `Store.verify`.

    Examples
    --------
    >>> examine("memory:").title.startswith("nbsessions ")
    True
    """
    problems: list[str] = []
    store = _store(url, verify, problems)
    installed, extras = _installed(), _extras()
    environment = sorted(name for name in os.environ if name.startswith("NBSESSIONS_"))
    facts = {
        # An import of it would stand for one of all that it offers.
        "nbsessions": sys.modules["nbsessions"].__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "packages": installed,
        "extras": extras,
        "local_model": _local_model(),
        "jupyter_extension": _jupyter(),
        "environment": environment,
        "store": store,
        "problems": problems,
    }
    return Checkup(f"nbsessions {facts['nbsessions']}", list(_told(facts)), _at_home(facts))


def at_home(text: str) -> str:
    """Return a text without the name of who it is: the home folder is ``~``.

    Examples
    --------
    >>> at_home(f"{Path.home()}/sessions.db")
    '~/sessions.db'
    """
    home = str(Path.home())
    return text if home == "/" else re.sub(rf"{re.escape(home)}(?=$|[/?:'\"\s])", "~", text)


def _at_home(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _at_home(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_at_home(each) for each in value]
    return at_home(value) if isinstance(value, str) else value


def _told(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "python", f"{facts['python']}, SQLite {sqlite3.sqlite_version}"
    yield "platform", facts["platform"]
    yield "packages", ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    there = [name for name, missing in facts["extras"].items() if not missing]
    yield "extras", ", ".join(there) or "none"
    for name, missing in facts["extras"].items():
        if missing:
            yield "", f'without {name}: pip install "nbsessions[{name}]"'
    yield "local model", facts["local_model"]
    yield "jupyter server", facts["jupyter_extension"]
    yield "environment", ", ".join(facts["environment"]) or "nothing of ours is set"
    store = facts["store"]
    yield "store", store["url"]
    for label in ("kind", "size", "schema", "sessions", "runs", "verified"):
        if store.get(label) is not None:
            yield label, _size(store[label]) if label == "size" else str(store[label])
    for note in store["notes"]:
        yield "note", note
    for problem in facts["problems"]:
        yield "problem", problem
    if not facts["problems"]:
        yield "health", "nothing is in the way"


def _installed() -> dict[str, str]:
    """Return the versions of the packages that this one cannot be without."""
    needed = [one for one in metadata.requires("nbsessions") or [] if "extra ==" not in one]
    return {name: _version(name) or "missing" for name in sorted(map(_name, needed))}


def _extras() -> dict[str, list[str]]:
    """Return which packages of each extra are not there."""
    found: dict[str, list[str]] = {}
    for one in metadata.requires("nbsessions") or []:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", one)
        if extra is not None and extra[1] != "all":
            missing = found.setdefault(extra[1], [])
            missing += [] if _version(_name(one)) else [_name(one)]
    return found


def _name(requirement: str) -> str:
    named = re.match(r"[\w.-]+", requirement)
    return requirement if named is None else named[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _local_model() -> str:
    from nbsessions.adapters.local import find_model

    try:
        return str(find_model())
    except NbsessionsError as error:
        return str(error)


def _jupyter() -> str:
    version = _version("jupyter_server")
    if version is None:
        return "not installed"
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    enabled = manager.get_jpserver_extensions().get("nbsessions", False)
    return f"{version}, our extension is {'enabled' if enabled else 'not enabled'}"


# The store


def _store(url: str | None, verify: bool, problems: list[str]) -> dict[str, Any]:
    """Return what is known of a store; what is wrong with it is added to `problems`."""
    named = url is not None or bool(os.environ.get("NBSESSIONS_STORE"))
    url = default_url() if url is None else url
    notes: list[str] = []
    found: dict[str, Any] = {"url": masked(url), "notes": notes}
    try:
        path = file_of(url)
        if path is not None:
            found["size"] = _bytes(path)
            notes += _about(path)
            if not path.exists():
                missing = f"There is no store at {path}."
                (problems if named else notes).append(f"{missing} The first session that is begun makes it.")
                return found
            if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
                problems.append(f"The store {path} is read-only: nothing can be saved.")
        _look(url, verify, found, problems)
    except NbsessionsError as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 - whatever is in the way is what a bug report is about
        problems.append(f"The store cannot be read. {type(error).__name__}: {masked(str(error))}")
    return found


def _look(url: str, verify: bool, found: dict[str, Any], problems: list[str]) -> None:
    from nbsessions.store import open_store
    from nbsessions.stores.queries import Spending

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RuntimeWarning)
        with open_store(url) as store:
            backend = store.backend
            kind = type(backend).__name__.removesuffix("Backend")
            found["kind"] = kind if backend.persistent else f"{kind}: nothing outlives the process"
            migrations = getattr(sys.modules[type(backend).__module__], "MIGRATIONS", None)
            found["schema"] = None if migrations is None else len(migrations)
            found["notes"] += [] if backend.note is None else [backend.note]
            found["sessions"] = store.page(limit=1, conversation_id="*").total
            found["runs"] = sum(total.runs for total in backend.usage(Spending()))
            if verify:
                result = store.verify()
                looked = ", ".join(
                    counted(getattr(result, f"{noun}s"), noun) for noun in ("turn", "session", "run")
                )
                found["verified"] = looked
                problems += [damage.what for damage in result.damages]
    problems += dict.fromkeys(str(one.message) for one in told if issubclass(one.category, RuntimeWarning))


def _bytes(path: Path) -> int | None:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    files = [path, Path(f"{path}-wal")]
    return sum(one.stat().st_size for one in files if one.is_file()) if path.exists() else None


def _about(path: Path) -> Iterator[str]:
    """Yield what is to be known of where a store lies."""
    kind = _file_system(path)
    if kind is not None and _NETWORK.fullmatch(kind):
        yield (
            f"It is on a network file system ({kind}), where SQLite's locks may not hold: "
            "keep it on a disk of this machine, or use postgresql:."
        )
    if not path.is_dir() and sqlite3.sqlite_version_info < _WAL_RESET:
        yield (
            f"SQLite {sqlite3.sqlite_version} has a rare fault that is mended in 3.51.3; "
            "nbsessions holds a lock against it."
        )


def _file_system(path: Path) -> str | None:
    """Return what kind of file system a path is on, where this machine tells; the last mount counts."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:  # not Linux
        return None
    real, best, kind = str(path.resolve()), -1, None
    for _, point, each, *_ in mounts:
        place = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), point)
        if (real == place or real.startswith(place.rstrip("/") + "/")) and len(place) >= best:
            best, kind = len(place), each
    return kind


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
