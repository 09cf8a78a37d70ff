"""Standard output that nobody reads, or that has no room: one line, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import REQUEST, Backtest, finish, submitted, written

FULL = Path("/dev/full")
SECONDS = 60

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli", *map(str, arguments)]


def typed(text: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `backtest` is the product."""
    line = f'set -o pipefail; backtest() {{ "{sys.executable}" -m cli "$@"; }}; {text}'
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=SECONDS, check=False
    )


@needs_full
@pytest.mark.parametrize("arguments", ["--version", "--help", "indicators --json", "jobs"])
def test_a_full_disk_is_one_line(service: Backtest, tmp_path: Path, arguments: str) -> None:
    submitted(service, tmp_path)
    ended = typed(f"backtest {arguments} > /dev/full")
    assert ended.returncode == 2
    assert ended.stderr == (
        "backtest: standard output cannot be written: No space left on device\n"
    )


@needs_full
@pytest.mark.parametrize("arguments", ["show", "top", "watch"])
def test_a_full_disk_is_one_line_about_a_job(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any], arguments: str
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = typed(f"backtest {arguments} {job_id} > /dev/full")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "No space left" in ended.stderr


@needs_full
def test_errors_that_cannot_be_written_keep_their_code(service: Backtest) -> None:
    assert typed("backtest show zzzz 2> /dev/full").returncode == 2


@pytest.mark.parametrize("arguments", ["--help", "indicators", "indicators --json"])
def test_a_reader_who_has_seen_enough_is_no_error(bare: Path, arguments: str) -> None:
    ended = typed(f"backtest {arguments} | head -c 1")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_who_has_gone_does_not_change_how_a_watched_job_ended(
    service: Backtest, tmp_path: Path
) -> None:
    job_id = submitted(service, tmp_path)
    service("cancel", job_id)
    ended = typed(f"backtest watch {job_id} --json | true")
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("submitting", [True, False])
def test_ctrl_c_stops_watching_and_says_how_to_come_back(
    service: Backtest, tmp_path: Path, submitting: bool
) -> None:
    file = written(tmp_path, REQUEST)
    arguments: tuple[object, ...] = ("submit", file, "--watch")
    if not submitting:
        arguments = ("watch", submitted(service, tmp_path))
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # Whoever started the tests in the background had Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    while "queued" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    (job,) = service("jobs", "--json").json
    assert process.returncode == 130
    assert f"job {job['job_id']} goes on" in err
    assert f"backtest watch {job['job_id'][:8]} " in err
    assert "Traceback" not in err
    assert job["state"] == "queued"


def test_a_terminal_without_the_characters_gets_others(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = typed(f"PYTHONIOENCODING=ascii backtest top {job_id}")
    assert ended.returncode == 0, ended.stderr
    assert "ranked by total return ?" in ended.stdout


def test_a_command_starts_without_the_engine_and_without_what_the_api_is_made_of() -> None:
    heavy = ("engine", "numpy", "api", "fastapi", "uvicorn", "httpx", "jwt", "psycopg", "plotly")
    code = (
        "import sys; from cli.__main__ import main; code = main(['--help']);"
        f"print(code, [name for name in {heavy} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert ended.stdout.splitlines()[-1] == "0 []"


def test_the_program_is_imported_without_what_few_commands_need() -> None:
    # Help is left out: typer draws it with all of rich.
    rare = ("markdown_it", "pydantic", "structlog", "yaml", "asyncio", "storage.candles", "alembic")
    code = f"import sys, cli.__main__; print([name for name in {rare} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert ended.stdout == "[]\n"


def test_the_version_names_product_engine_and_python_without_a_compiler(bare: Path) -> None:
    import engine

    code = (
        "import sys; from cli.__main__ import main; code = main(['--version']);"
        "print(code, 'numba' in sys.modules, 'psycopg' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    version, rest = ended.stdout.splitlines()
    python = ".".join(map(str, sys.version_info[:3]))
    assert version.startswith("backtest-jobs 0.1.0 (")
    assert engine.identity() in version
    assert f"Python {python}" in version
    assert rest.split()[:2] == ["0", "False"]
