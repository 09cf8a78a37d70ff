"""Running the examination, and small disks for it."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import postgres, redis_server
from cli.doctor.findings import Finding
from tests.cli.conftest import Ended


def findings(ended: Ended) -> dict[str, dict[str, Any]]:
    """What `backtest doctor --json` found, by subject."""
    found = {finding["subject"]: finding for finding in ended.json}
    assert len(found) == len(ended.json)
    return found


def of_postgres(dsn: str, **variables: str) -> dict[str, Finding]:
    """What the part about Postgres finds."""
    return by_subject(postgres.programs({"STRATEGY_PG_DSN": dsn} | variables))


def of_redis(url: str, **variables: str) -> dict[str, Finding]:
    """What the part about Redis finds."""
    return by_subject(redis_server.examine({"REDIS_URL": url} | variables))


def by_subject(found: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own in `folder`; skips where none may be mounted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount a small disk: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def typed(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command that the examination printed."""
    environ: Mapping[str, str] = os.environ | variables
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
