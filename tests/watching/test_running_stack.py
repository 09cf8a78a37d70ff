"""A real Prometheus watches a real stack: its metrics move, panels have data."""

import logging
import math
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import pytest

from storage import jobs, schema
from storage.records import Client, Job, Stage, State
from tasks import wake_up
from tests.faults.conftest import small_sweep, sweep, sweep_through
from tests.faults.harness import computing_child, gone, owner_pid, wait_for
from tests.own_postgres import NEWEST, POSTGRES_VERSIONS
from tests.ports import free_port
from tests.watching.dashboards import every_query
from tests.watching.prometheus import Prometheus, needs_prometheus, shipped_rules
from tests.watching.watched import Watched, watched_stack, without_candles

pytestmark = [needs_prometheus, pytest.mark.faults]

RUNNER, SCHEDULER = "backtest_job_runner", "backtest_scheduler"
ACTIVE = f"sum({RUNNER}_active_claimed_jobs) or vector(0)"

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PSQL = POSTGRES_VERSIONS[NEWEST]

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_stack(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture
def prometheus(watched: Watched) -> Prometheus:
    return watched.prometheus


def count(prometheus: Prometheus, counter: str) -> float:
    value = prometheus.value(f"sum({RUNNER}_{counter})")
    assert value is not None, counter
    return value


def as_asked(query: str) -> str:
    """With the values of Grafana's variables, and without what stands in for data."""
    query = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
    return query.removesuffix(" or vector(0)")


def held(job: Job) -> None:
    """Have what computes a job stand still, so that Prometheus sees the job, however short."""
    computing_child(owner_pid(job)).suspend()


def test_every_counter_is_scraped_with_0_from_the_start(prometheus: Prometheus) -> None:
    found = prometheus.samples(f'{{__name__=~"({RUNNER}|{SCHEDULER})_.*_total"}}')
    assert {value for _, value in found} == {0}
    assert {labels["__name__"].removesuffix("_total") for labels, _ in found} == {
        *(f"{RUNNER}_{name}" for name in ("claim", "succeeded", "failed", "cancelled")),
        *(f"{RUNNER}_{name}" for name in ("lease_lost", "stale_message", "variants")),
        *(f"{RUNNER}_{name}" for name in ("help_seconds", "help_declined", "merge_seconds")),
        *(f"{SCHEDULER}_{name}" for name in ("dispatched", "dispatch_errors", "swept")),
    }
    gauges = ("jobs", "oldest_queued_age_seconds", "expired_leases", "finalizing_overdue", "shards")
    for gauge in gauges:
        assert {value for _, value in prometheus.samples(f"{SCHEDULER}_{gauge}")} == {0}, gauge


def test_a_job_that_succeeds_is_counted_with_its_variants(
    watched: Watched, prometheus: Prometheus
) -> None:
    document = small_sweep() | {"validation": {"train_pct": 80, "draws": 1}}
    submitted = watched.api.post("/backtests/jobs", json=document)
    assert submitted.status_code == 201, submitted.text
    job_id = submitted.json()["job_id"]
    assert watched.stack.ends(job_id).state is State.SUCCEEDED
    row = watched.stack.connection.execute(
        "SELECT stage_a_variants_total, preselect_used * risk_total"
        " FROM backtest_job_stage_a_shortlist WHERE job_id = %s",
        (job_id,),
    ).fetchone()
    assert row is not None
    prometheus.becomes(f"sum({RUNNER}_succeeded_total)", 1)
    assert count(prometheus, "claim_total") == 1
    assert count(prometheus, 'variants_total{stage="stage_a"}') == row[0]
    assert count(prometheus, 'variants_total{stage="stage_b"}') == row[1]
    assert count(prometheus, "job_duration_seconds_count") == 1
    for stage in Stage:
        assert count(prometheus, f'stage_duration_seconds_count{{stage="{stage}"}}') == 1
    assert count(prometheus, "failed_total") == 0
    calls = 'backtest_api_request_duration_seconds_count{route="/backtests/jobs",status="201"}'
    prometheus.becomes(f"sum({calls})", 1)


def test_jobs_that_do_not_succeed_and_messages_for_nobody_are_counted(
    watched: Watched, prometheus: Prometheus
) -> None:
    stack = watched.stack
    queue = wake_up.make_broker(watched.redis.url, schema.namespace(stack.connection))
    wake_up.enqueue(queue, uuid4())
    queue.close()
    stack.ends(stack.submit(without_candles()))
    cancelled = stack.submit(sweep())
    held(stack.claimed(cancelled))
    prometheus.becomes(ACTIVE, 1)
    prometheus.becomes(f'{SCHEDULER}_jobs{{state="running"}}', 1)
    jobs.cancel(stack.connection, cancelled, client=Client.CLI)
    assert stack.ends(cancelled).state is State.CANCELLED
    prometheus.becomes(f"sum({RUNNER}_cancelled_total)", 1)
    prometheus.becomes(f'sum({RUNNER}_failed_total{{code="no_market_data"}})', 1)
    assert count(prometheus, "failed_total") == 1
    assert count(prometheus, "stale_message_total") >= 1
    prometheus.becomes(ACTIVE, 0)
    prometheus.becomes(f'{SCHEDULER}_jobs{{state="running"}}', 0)


def test_counters_survive_the_death_of_a_computing_child(
    watched: Watched, prometheus: Prometheus
) -> None:
    claims = count(prometheus, "claim_total")
    started = prometheus.value('process_start_time_seconds{job="backtest-worker"}')
    job_id = watched.stack.submit(sweep_through(Stage.STAGE_A))
    child = computing_child(owner_pid(watched.stack.reaches(job_id, Stage.STAGE_A)))
    child.kill()
    gone([child])
    assert watched.stack.ends(job_id).state is State.SUCCEEDED
    prometheus.becomes(f"sum({RUNNER}_claim_total)", claims + 1)
    prometheus.becomes(f"sum({RUNNER}_succeeded_total)", 2)
    assert prometheus.value('process_start_time_seconds{job="backtest-worker"}') == started


def test_gauges_return_to_zero_after_a_sigkill(watched: Watched, prometheus: Prometheus) -> None:
    stack = watched.stack
    job_id = stack.submit(sweep())
    held(stack.reaches(job_id, Stage.STAGE_B))
    prometheus.becomes(ACTIVE, 1)
    watched.kill_owner(job_id, Stage.STAGE_B)
    prometheus.becomes(ACTIVE, 0)
    prometheus.becomes(f"{SCHEDULER}_expired_leases", 1)
    watched.start_worker()
    held(stack.claimed(job_id, attempt=2))
    prometheus.becomes(f"{SCHEDULER}_expired_leases", 0)
    prometheus.becomes(ACTIVE, 1)
    jobs.cancel(stack.connection, job_id, client=Client.CLI)
    stack.ends(job_id)
    prometheus.becomes(ACTIVE, 0)
    for state in ("queued", "running"):
        prometheus.becomes(f'{SCHEDULER}_jobs{{state="{state}"}}', 0)


def test_every_panel_of_the_dashboards_has_data(watched: Watched, prometheus: Prometheus) -> None:
    watched.stack.ends(watched.stack.submit(small_sweep()))
    lines = ["| panel | query | sample |", "|---|---|---|"]
    for panel, query in every_query():
        # Of a series that began a moment ago there is no rate yet.
        (value,) = wait_for(partial(sampled, prometheus, query), f"{panel}: {query}", every=0.2)
        lines.append(f"| {panel} | `{query}` | {value:.6g} |")
    log.info("\n%s", "\n".join(lines))


def sampled(prometheus: Prometheus, query: str) -> tuple[float] | None:
    """Return the largest sample of a query of a panel, None where it has none."""
    found = prometheus.samples(query.replace("$__rate_interval", "5m").replace("$instance", ".*"))
    values = [value for _, value in found if not math.isnan(value)]
    return (max(values),) if values else None


STARTING, *TYPED = re.findall(r"^```bash\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)
ELSEWHERE = {
    "tests/api/test_runbook_lines.py": "cookies.txt",
    "tests/watching/test_rules.py": "promtool",
}


def commands() -> list[str]:
    """What the runbook says to type while everything runs, each line once."""
    marks = ELSEWHERE.values()
    ours = [block for block in TYPED if not any(mark in block for mark in marks)]
    return list(dict.fromkeys("".join(ours).replace("\\\n", "").splitlines()))


@contextmanager
def typed(watched: Watched, command: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """Type it; `dramatiq` and `backtest` are those that `make` has installed here."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(PSQL), os.environ["PATH"]])
    own = {"ROEHUB_API_URL": watched.api.url, "ROEHUB_API_TOKEN": watched.api.token()}
    shell = subprocess.Popen(
        ["bash", "-o", "pipefail", "-e", "-c", command],
        cwd=watched.stack.folder,
        env=watched.stack.environ(PATH=path, **own | changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.communicate(timeout=60)


def replaced(text: str, values: dict[str, str]) -> str:
    for there, here in values.items():
        assert there in text, there
        text = text.replace(there, here)
    return text


@pytest.mark.parametrize(("file", "mark"), ELSEWHERE.items())
def test_what_is_not_typed_here_is_typed_elsewhere(file: str, mark: str) -> None:
    assert mark in (ROOT / file).read_text(encoding="utf-8")


def test_what_starts_everything_starts_everything(watched: Watched) -> None:
    """Once more beside what runs: addresses alone are those of this test."""
    stack, ports = watched.stack, [free_port() for _ in range(3)]
    started = replaced(
        STARTING,
        {
            "postgresql://user:password@127.0.0.1:5432/roehub": stack.dsn,
            "postgresql://owner:password@127.0.0.1:5432/roehub": stack.dsn,
            "redis://127.0.0.1:6379/0": stack.redis_url,
            "CH_HOST=127.0.0.1 CH_PORT=8123": f"ROEHUB_CANDLES_DIR='{stack.candles}'",
            "--metrics-port 9205": f"--metrics-port {ports[0]} &",
            "--processes 1": "--processes 1 &",
            "--port 8000": f"--port {ports[1]} & wait",
        },
    )
    with typed(watched, started, ROEHUB_METRICS_PORT=str(ports[2])) as shell:
        urls = [
            f"http://127.0.0.1:{ports[0]}/metrics",
            f"http://127.0.0.1:{ports[1]}/readyz",
            f"http://127.0.0.1:{ports[2]}/metrics",
        ]
        for url in urls:
            wait_for(partial(answers, url, shell), url, 60)


def answers(url: str, shell: subprocess.Popen[str]) -> bool:
    if shell.poll() is not None:
        pytest.fail(shell.communicate()[0])
    with suppress(OSError), urllib.request.urlopen(url) as response:
        return bool(response.status == HTTPStatus.OK)
    return False


def test_the_runbook_has_three_commands_for_each_alert() -> None:
    for rule in shipped_rules():
        section = RUNBOOK.partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0]
        (block,) = re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert len(block.splitlines()) == 3, rule["alert"]


@pytest.mark.parametrize("command", commands())
def test_a_command_tells_something(watched: Watched, command: str) -> None:
    ports = {9204: watched.worker_port, 9205: watched.scheduler_port, 8000: watched.api.port}
    for port, ours in ports.items():
        command = command.replace(f":{port}/", f":{ours}/")
    with typed(watched, command) as shell:
        output, _ = shell.communicate(timeout=60)
    assert shell.returncode == 0, output
    assert output
