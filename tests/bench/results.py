"""What was measured last, with the machine and the day: the page of the benchmarks is made of it alone."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbsessions
from tests.peers import PEERS

FILE = Path(__file__).parent / "results.json"

Results = dict[str, Any]
"""A table by its name."""


def read() -> Results:
    """Return what is kept."""
    kept: Results = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return kept


def write(results: Results) -> None:
    """Keep it in place of what was kept."""
    FILE.write_text(f"{json.dumps(results, indent=1)}\n", encoding="utf-8")


def circumstances() -> dict[str, Any]:
    """Return where and when something is measured."""
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "versions": versions()}


def machine() -> dict[str, str]:
    """Return what a figure depends on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "system": f"{_system()}, Linux {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }


def told_of(machine: dict[str, str]) -> str:
    """Return it for people."""
    return ", ".join(f"{what} {value}" for what, value in machine.items())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _system() -> str:
    return str(platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()))


def versions() -> dict[str, str]:
    """Return the version of ours, and of each peer as it is pinned."""
    peers = {name: peer.package for name, peer in PEERS.items() if peer.package}
    return {"nbsessions": nbsessions.__version__, **peers}


def keep_rows(rows: dict[str, dict[str, Any]]) -> None:
    """Keep rows of the peers' table, beside those that were not measured now."""
    results = read()
    now = circumstances()
    before = results.get("peers", {})
    if before.get("machine", now["machine"]) != now["machine"]:
        before = {}  # No two machines in one table.
    kept = before.get("rows", {})
    for name, cells in rows.items():
        kept[name] = {"date": now["date"], "cells": {**kept.get(name, {}).get("cells", {}), **cells}}
    results["peers"] = {**now, "rows": kept}
    write(results)


def keep_limits(subject: str, lines: list[dict[str, Any]]) -> None:
    """Keep the figures of a subject beside those of others."""
    results = read()
    now = circumstances()
    before = results.get("limits", {})
    if before.get("machine", now["machine"]) != now["machine"]:
        before = {}
    results["limits"] = {**now, "subjects": {**before.get("subjects", {}), subject: lines}}
    write(results)
