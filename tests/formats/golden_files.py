"""Files that an export has to be, byte for byte; a person looks at what changed in them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from nbsessions.formats import find
from nbsessions.stores.arguments import Bundle

GOLDEN = Path(__file__).parent / "golden"


def written(bundle: Bundle, format: str) -> bytes:
    """Return a session in a format."""
    file = BytesIO()
    write = find(format).write
    assert write is not None
    write([bundle], file)
    return file.getvalue()


def assert_golden(bundle: Bundle, format: str, name: str) -> None:
    """Fail where an export is not the golden file."""
    path = GOLDEN / format / name
    made = written(bundle, format)
    if not path.exists():  # looked at, and committed, by who adds one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
        raise AssertionError(f"{path} was not there: look at it, and run the test again")
    assert made.decode() == path.read_bytes().decode()
