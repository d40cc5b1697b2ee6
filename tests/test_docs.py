"""What is public is documented, and its examples run (by --doctest-modules)."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import nbsessions
from nbsessions.commands import COMMANDS
from nbsessions.formats import all_formats
from nbsessions.formats.base import Format
from nbsessions.options import CELL, LINE
from nbsessions.server.routes import Route, all_routes

README = (Path(__file__).parent.parent / "README.md").read_text()


def _public() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name in nbsessions.__all__:
        value = getattr(nbsessions, name)
        found.append((name, value))
        if inspect.isclass(value):
            # What a class has from a base of ours is as public as its own.
            ours = [base for base in value.__mro__ if base.__module__.startswith("nbsessions")]
            members = {n: m for base in reversed(ours) for n, m in vars(base).items()}
            found += [
                (f"{name}.{n}", m)
                for n, m in members.items()
                if not n.startswith("_") and inspect.isfunction(m)
            ]
    return found


@pytest.mark.parametrize(
    ("name", "value"), _public(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_public_names_have_a_docstring_with_an_example(name: str, value: object) -> None:
    doc = inspect.getdoc(value) or ""
    assert doc.strip(), f"{name} has no docstring"
    assert ">>> " in doc, f"{name} has no example"


def test_all_public_names_are_exported() -> None:
    assert sorted(nbsessions.__all__) == nbsessions.__all__
    assert set(nbsessions.__all__) <= set(dir(nbsessions))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nbsessions.nonsense  # noqa: B018


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_in_the_readme(name: str) -> None:
    faces = COMMANDS[name].faces
    spelled = "%session " if "magic" in faces else "nbsessions " if "cli" in faces else "/"
    assert re.search(rf"`{spelled}{name}\b", README), f"the README does not name {spelled}{name}"


def _row(format: Format) -> str:
    """Return the row of a format in the README's table."""
    ways = ", ".join(way for way, does in (("in", format.read), ("out", format.write)) if does is not None)
    suffixes = " ".join(f"`{suffix}`" for suffix in format.suffixes)
    loses = f" Loses {format.loses.rstrip('.')}." if format.write is not None and format.loses else ""
    return f"| `{format.name}` | {ways} | {suffixes} | {format.help}{loses} |"


@pytest.mark.parametrize("format", all_formats(), ids=lambda format: format.name)
def test_formats_have_their_row_in_the_readme(format: Format) -> None:
    assert _row(format) in README


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: f"{route.method} {route.path}")
def test_routes_are_in_the_readme(route: Route) -> None:
    path = re.sub(r"/command(/session)?/\w+$", r"/command\1/{command}", route.path)
    method = "POST" if path.endswith("{command}") else route.method
    assert f"`{method} {path}`" in README


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_and_their_arguments_have_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help.endswith(".")
    assert command.faces
    assert all(argument.help for argument in command.arguments)


@pytest.mark.parametrize("argument", {a.name: a for a in (*LINE, *CELL)}.values(), ids=lambda a: a.name)
def test_options_of_the_agent_magic_are_in_the_readme(argument: object) -> None:
    name = getattr(argument, "name", "")
    assert not name.startswith("--") or name in README


def test_errors_have_a_place_in_the_tree() -> None:
    from nbsessions import exceptions

    tree = exceptions.__doc__ or ""
    classes = [
        n for n, v in vars(exceptions).items() if inspect.isclass(v) and v.__module__ == exceptions.__name__
    ]
    assert [name for name in classes if not re.search(rf"\b{name}\b", tree)] == []
    assert [name for name in classes if name not in nbsessions.__all__] == []
