"""
What the files and folders of sessions and conversations are called: their ids, where these are safe names.

What is not safe in a name is written as the bytes of its UTF-8, ``%2F``; ``%`` itself always is. So no
two ids have one name, and no id leads out of its folder.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final
from urllib.parse import unquote

_UNSAFE: Final = re.compile(r'[^ -~]|[/\\%~<>:"|?*]|^[. ]|[. ]$')
_UNSAFE_OR_OTHER: Final = re.compile(rf"{_UNSAFE.pattern}|[A-Z]|^.")
_DEVICE: Final = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)")
_LONGEST: Final = 200
_PREFIX: Final = 120


def name_of(text: str, *, other: bool = False) -> str:
    """Return the name that an id gives to its file or folder.

    Parameters
    ----------
    text : str
    other : bool
        Write the first character and capitals as bytes, too: for an id that differs from another one in
        capitals alone, which the file system may not tell apart.

    Examples
    --------
    >>> name_of("a/b"), name_of("a_b"), name_of(".."), name_of("3f2b8c1e-0d4a")
    ('a%2Fb', 'a_b', '%2E%2E', '3f2b8c1e-0d4a')
    >>> name_of("CHat", other=True)
    '%43%48at'
    """
    name = (_UNSAFE_OR_OTHER if other else _UNSAFE).sub(_escaped, text)
    if _DEVICE.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > _LONGEST:
        # It cannot be read back from this; the id is in the file.
        name = f"{name[:_PREFIX]}~{sha256(text.encode()).hexdigest()}"
    return name


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def id_of(name: str) -> str:
    """Return the id that has a name; of a name that somebody else gave, the name itself.

    Examples
    --------
    >>> id_of("a%2Fb"), id_of("my chat"), id_of("100%")
    ('a/b', 'my chat', '100%')
    """
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name


def is_name_of(name: str, text: str) -> bool:
    """Tell whether a file or folder of this name can be that of an id.

    Examples
    --------
    >>> is_name_of("a%2Fb", "a/b"), is_name_of("a_b", "a/b")
    (True, False)
    """
    return text in (name, id_of(name)) or name == name_of(text)


def is_plain(text: str) -> bool:
    """Tell whether another program may have used an id as a name, as it is.

    Examples
    --------
    >>> is_plain("my:chat"), is_plain("a/b"), is_plain("..")
    (True, False, False)
    """
    return "/" not in text and "\0" not in text and not text.startswith(".") and len(text.encode()) < 250
