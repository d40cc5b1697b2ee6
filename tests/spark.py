"""Spark, in an environment of its own: it is large, and nothing but one example of ours needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.installing import installed

SPARK = "pyspark>=4,<5"
_OPTIONS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
}


def run_with_spark(code: str, folder: Path) -> str:
    """Return what `code` prints, run by Spark on one core of this machine, in `folder`."""
    installed("java", "default-jre-headless")
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise AssertionError("This test needs uv: pip install uv && uv run pytest")
    options = [f"--conf {name}={value}" for name, value in _OPTIONS.items()]
    arguments = " ".join(["--master local[1]", *options, "pyspark-shell"])
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": arguments}
    alone = ["--no-project", "--isolated", "--python", sys.executable, "--with", SPARK]
    command = [uv, "run", "--quiet", *alone, "python", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
