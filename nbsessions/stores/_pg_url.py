"""The URL of a PostgreSQL store: what libpq gets, and what people see."""

from __future__ import annotations

import os
import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from nbsessions.exceptions import InvalidInput

SCHEMA: Final = "nbsessions"
_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME"
# What libpq would take for a part of the host is shown in errors: a piece of a password must not be there.
_AUTHORITY: Final = re.compile(r"([^@]*@)?(\[[^\]@]*\]|[^:@\[]*)(:\d*)?(,(\[[^\]@]*\]|[^:@\[]*)(:\d*)?)*")
_SECRET: Final = ("password", "sslpassword", "oauth_client_secret")
_DEFAULTS: Final = {
    "fallback_application_name": "nbsessions",
    # A server that is gone without a word is noticed in half a minute, not in two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}


class Target(NamedTuple):
    """What a URL says.

    Attributes
    ----------
    options : dict
        What libpq needs to connect, the password included: not to be shown.
    schema : str
        The PostgreSQL schema that holds the tables.
    shown : str
        The URL without its secrets.
    """

    options: dict[str, Any]
    schema: str
    shown: str

    def __repr__(self) -> str:
        return f"<Target {self.shown}>"

    def without_secrets(self, text: str) -> str:
        """Return a message without any password of this URL in it."""
        for name in _SECRET:
            secret = str(self.options.get(name) or "")
            for spelling in {secret, quote(secret, safe="")} - {""}:
                text = re.sub(rf"(?<!\w){re.escape(spelling)}(?!\w)", "***", text)
        return text


def parse(url: str) -> Target:
    """Return what a URL says.

    Raises
    ------
    InvalidInput
        It cannot be read. What it says is not repeated: it may hold a password.

    Examples
    --------
    >>> target = parse("postgres://ada:secret@db.example.org/agents?schema=team")
    >>> target.schema, target.shown
    ('team', 'postgresql://ada:***@db.example.org/agents?schema=team')
    """
    rest, mark, query = url.partition("?")
    rest = rest.partition(":")[2]
    authority, _, database = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or "\0" in url or "@" in database or not _AUTHORITY.fullmatch(authority):
        raise InvalidInput(
            f"This URL of a store cannot be read. Write {_FORM}; in a password, write %40 for @, %2F for /, "
            "%3A for : and %3F for ?."
        )
    parts = [part for part in query.split("&") if part]
    ours = [part for part in parts if part.partition("=")[0] == "schema"]
    others = "&".join(part for part in parts if part not in ours)
    schema = _checked([unquote(part.partition("=")[2]) for part in ours])
    try:
        found = conninfo_to_dict(f"postgresql:{rest}{mark and '?'}{others}")
    except (psycopg.Error, UnicodeError):
        raise InvalidInput(
            "This URL of a store cannot be read: it has an option that PostgreSQL does not know, or a % that "
            f"begins no escape. Write {_FORM}."
        ) from None
    waits = {"connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", "10")}
    options = {**_DEFAULTS, **waits, **{name: value for name, value in found.items() if value is not None}}
    return Target(options | {"client_encoding": "UTF8"}, schema, _shown(found, schema))


def _checked(schemas: list[str]) -> str:
    if not schemas:
        return SCHEMA
    (schema, *more) = schemas
    reserved = schema.startswith("pg_") or schema == "information_schema"
    if more or reserved or not schema.strip() or len(schema.encode()) > 63 or not schema.isprintable():
        raise InvalidInput(
            f"{schema[:70]!r} can be no schema of a store: give one name of 1 to 63 bytes that is not "
            "PostgreSQL's own, such as ?schema=nbsessions."
        )
    return schema


def _shown(found: dict[str, Any], schema: str) -> str:
    options = {name: str(value) for name, value in found.items() if value not in (None, "")}
    user, secret = options.pop("user", ""), options.pop("password", "")
    hosts, ports = options.get("host", "").split(","), options.get("port", "").split(",")
    where = ""
    if not options.get("host", "").startswith(("/", "@")) and len(ports) in (1, len(hosts)):
        ports = ports * len(hosts) if len(ports) == 1 else ports
        options.pop("host", None), options.pop("port", None)
        named = [f"[{host}]" if ":" in host else host for host in hosts]
        where = ",".join(f"{host}:{port}" if port else host for host, port in zip(named, ports, strict=True))
    who = quote(user, safe="") + (":***" if secret else "")
    database = quote(options.pop("dbname", ""), safe="")
    options |= {name: "***" for name in _SECRET if name in options}
    if schema != SCHEMA:
        options["schema"] = schema
    query = "&".join(f"{name}={quote(value, safe='/,:*')}" for name, value in options.items())
    return f"postgresql://{who}{'@' if who else ''}{where}/{database}{'?' if query else ''}{query}"
