"""The curl lines of the runbook as they are typed, with a cookie jar of `backtest token`."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api.running import ROOT, Api, Caller
from tests.making_jobs import REQUEST, finish

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PORT = 8000
JOBS = "/backtests/jobs"

# As operators know them, word for word.
CANCEL = """\
curl -fsS -X POST -b cookies.txt \\
  http://127.0.0.1:8000/backtests/jobs/<job_id>/cancel
"""
STATUS = """\
curl -fsS -b cookies.txt http://127.0.0.1:8000/backtests/jobs/<job_id>
"""
TOP = """\
curl -fsS -b cookies.txt "http://127.0.0.1:8000/backtests/jobs/<job_id>/top?limit=10"
"""
PAGES = """\
curl -fsS -b cookies.txt "http://127.0.0.1:8000/backtests/jobs?limit=25"
curl -fsS -b cookies.txt "http://127.0.0.1:8000/backtests/jobs?limit=25&cursor=<next_cursor>"
"""

Typed = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed: `apt-get install curl`"
)


@pytest.fixture
def typed(api: Api, user: Caller, tmp_path: Path) -> Typed:
    """Type a command in a folder with a cookie jar; only the port is that of the test."""
    command = ["-m", "cli", "token", "--user", str(user.user_id), "--cookie-jar", "cookies.txt"]
    environ = api.environ() | {"PYTHONPATH": str(ROOT)}
    python = str(ROOT / ".venv" / "bin" / "python")
    subprocess.run([python, *command], cwd=tmp_path, env=environ, check=True, capture_output=True)

    def typed(line: str, **places: str) -> Any:
        for name, value in places.items():
            line = line.replace(f"<{name}>", value)
        line = line.replace(f":{PORT}/", f":{api.port}/")
        ended = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return typed


def submit(user: Caller) -> str:
    return str(user.post(JOBS, json=REQUEST).json()["job_id"])


@pytest.mark.parametrize("line", [CANCEL, STATUS, TOP, PAGES])
def test_the_lines_that_operators_know_are_kept_word_for_word(line: str) -> None:
    assert line in re.findall(r"^```bash\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)


def test_a_queued_job_is_cancelled_and_its_status_says_so(user: Caller, typed: Typed) -> None:
    job_id = submit(user)
    assert typed(CANCEL, job_id=job_id)["state"] == "cancelled"
    assert typed(STATUS, job_id=job_id)["state"] == "cancelled"


def test_a_job_that_has_not_succeeded_shows_no_reports_and_a_finished_one_does(
    user: Caller, typed: Typed, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user)
    stored.execute(
        "INSERT INTO backtest_job_top_variants (job_id, rank, variant_key, indicator_variant_key,"
        " variant_index, total_return_pct, metrics_json, payload_json)"
        " VALUES (%s, 1, 'k', 'i', 0, 5, '{}', '{}')",
        [job_id],
    )
    (row,) = typed(TOP, job_id=job_id)["items"]
    assert not {"report_table_md", "trades"} & set(row)
    finish(stored, job_id)
    rows = typed(TOP, job_id=job_id)["items"]
    assert all({"report_table_md", "trades"} <= set(row) for row in rows)


def test_two_pages_follow_each_other_in_order(
    user: Caller, typed: Typed, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user)
    stored.execute(
        "INSERT INTO backtest_jobs (user_id, mode, request_json, request_hash, engine_params_hash,"
        " backtest_runtime_config_hash, created_at) SELECT user_id, mode, request_json,"
        " request_hash, engine_params_hash, backtest_runtime_config_hash, created_at"
        " FROM backtest_jobs, generate_series(1, 39) WHERE job_id = %s",
        [job_id],
    )
    first, second = PAGES.splitlines()
    page = typed(first)
    following = typed(second, next_cursor=page["next_cursor"])
    assert (len(page["items"]), len(following["items"])) == (25, 15)
    order = [(item["created_at"], item["job_id"]) for item in page["items"] + following["items"]]
    assert order == sorted(set(order), reverse=True)
    assert following["next_cursor"] is None
