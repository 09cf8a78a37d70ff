"""`dramatiq tasks.backtest` as a command: how it starts, refuses to start, waits and ends."""

import re
import signal
import socket
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.faults.harness import Program, Stack, wait_for
from tests.ports import free_port

# Name: what is wrong with the environment, and what the one line must say. An empty value counts
# as a variable that is not set.
REFUSALS = {
    "no DSN": ({"STRATEGY_PG_DSN": ""}, "STRATEGY_PG_DSN is not set"),
    "bad DSN": ({"STRATEGY_PG_DSN": "127.0.0.1"}, "STRATEGY_PG_DSN is not a Postgres DSN"),
    "unknown environment": ({"ROEHUB_ENV": "staging"}, "ROEHUB_ENV is 'staging'"),
    "bad candle server": (
        {"ROEHUB_CANDLES_DIR": "", "CH_HOST": "h", "CH_SECURE": "yes"},
        "CH_SECURE must be 0 or 1",
    ),
    "bad Redis": ({"REDIS_URL": "redis://h:port"}, "REDIS_URL cannot be used"),
    "bad port": ({"ROEHUB_METRICS_PORT": "99999"}, "ROEHUB_METRICS_PORT must be a port number"),
    "bad value": ({"ROEHUB_BACKTEST_CONFIG": "bad.yaml"}, "backtest.jobs.lease_seconds"),
    "bad axis": ({"ROEHUB_BACKTEST_CONFIG": "axes/backtest.yaml"}, "ma.smaa"),
    "no file": ({"ROEHUB_BACKTEST_CONFIG": "absent.yaml"}, "absent.yaml"),
    "no schema": ({"STRATEGY_PG_DSN": "unmigrated"}, "run `backtest migrate`"),
    "no database": ({"STRATEGY_PG_DSN": "absent"}, "there is no such database: create it"),
}


TWO_SAY_IT_ONCE = "no DSN"
"""The refusal that two processes meet at the same time."""


def bare_command(stack: Stack, *, processes: int = 2, **environ: str) -> Program:
    return stack.start("dramatiq", "tasks.backtest", "--processes", str(processes), **environ)


def our_lines(program: Program) -> list[str]:
    """What the product said; dramatiq may stop one process while another one is ending."""
    lines = [line for line in program.text().splitlines() if "component=" in line]
    return [line for line in lines if "Stopping worker process" not in line]


@pytest.fixture(scope="module")
def refused(stack: Stack, postgres_server: str) -> dict[str, Program]:
    """All of them, started at once: each takes seconds in which it mostly waits for dramatiq."""
    (stack.folder / "axes").mkdir()
    overrides = (
        "version: 1\nindicators: {ma.smaa: {params: {window: {mode: explicit, values: [5]}}}}"
    )
    (stack.folder / "axes" / "indicators.yaml").write_text(overrides)
    here = {
        "axes/backtest.yaml": str(stack.configure("axes/backtest.yaml")),
        "bad.yaml": str(stack.configure("bad.yaml", lease_seconds=-1)),
        "unmigrated": postgres_server,
        "absent": make_conninfo(postgres_server, dbname="absent"),
    }
    return {
        name: bare_command(
            stack,
            processes=2 if name == TWO_SAY_IT_ONCE else 1,
            **{key: here.get(value, value) for key, value in environ.items()},
        )
        for name, (environ, _) in REFUSALS.items()
    }


@pytest.mark.parametrize("name", REFUSALS)
def test_a_bad_start_is_one_line_and_exit_code_2(refused: dict[str, Program], name: str) -> None:
    program = refused[name]

    assert program.exit_code(60) == 2  # eleven programs start at once

    (line,) = our_lines(program)
    assert "event=bad_start" in line
    assert REFUSALS[name][1] in line
    assert "Traceback" not in program.text()


def test_the_toggle_ends_it_with_code_0(stack: Stack) -> None:
    config = stack.configure("off.yaml", enabled=False)
    program = bare_command(stack, ROEHUB_BACKTEST_CONFIG=str(config))
    assert program.exit_code() == 0
    said = our_lines(program)
    assert said
    assert all("component=backtest-job-runner status=disabled" in line for line in said)


def test_addresses_that_are_not_set_are_assumed_and_said_once(stack: Stack) -> None:
    program = bare_command(stack, REDIS_URL="", ROEHUB_CANDLES_DIR="", ROEHUB_ENV="dev")
    program.logged("event=address_assumed variable=REDIS_URL value=redis://127.0.0.1:6379/0")
    program.logged("event=address_assumed variable=CH_HOST value=127.0.0.1")
    program.logged("event=ready")
    assert program.text().count("event=address_assumed") == 2
    program.kill()


def test_an_absent_postgres_is_waited_for_until_told_to_stop(stack: Stack) -> None:
    nowhere = f"postgresql://user:secret@127.0.0.1:{free_port()}/db"
    program = bare_command(stack, STRATEGY_PG_DSN=nowhere)
    program.logged("event=waiting_for_postgres")

    program.process.send_signal(signal.SIGTERM)

    assert program.exit_code() == 0
    assert "secret" not in program.text()


def test_a_taken_metrics_port_is_said_once_and_tried_again_until_it_is_free(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        program = stack.worker(ROEHUB_METRICS_PORT=str(taken.getsockname()[1]))
        program.logged("event=metrics_not_served")
        program.logged("event=ready")
    program.logged("event=metrics_served")
    assert program.metric("backtest_job_runner_claim_total") == 0
    assert program.text().count("event=metrics_not_served") == 1
    program.kill()


@pytest.mark.parametrize("folder", ["/dev/null", "/nowhere/at/all"])
def test_a_folder_for_metrics_that_is_none_is_replaced_by_ours(stack: Stack, folder: str) -> None:
    program = stack.worker(PROMETHEUS_MULTIPROC_DIR=folder, prometheus_multiproc_dir=folder)
    program.logged("event=ready")
    assert program.metric("backtest_job_runner_claim_total") == 0
    assert "Traceback" not in program.text()
    program.kill()


def test_every_metric_is_served_from_the_start_and_its_folder_goes_with_the_master(
    stack: Stack,
) -> None:
    program = bare_command(stack)
    program.logged("event=ready kernels=")
    assert re.search(r"kernels=(compiled|from_cache) kernel_seconds=\d+\.\d+", program.text())
    counters = ("claim", "succeeded", "failed", "cancelled", "lease_lost", "stale_message")
    for name in (*(f"{counter}_total" for counter in counters), "active_claimed_jobs"):
        assert program.metric(f"backtest_job_runner_{name}") == 0
    for name in ("variants_total", "stage_duration_seconds_count"):
        assert program.metric(f"backtest_job_runner_{name}") == 0
    assert program.metric("backtest_job_runner_job_duration_seconds_count") == 0

    def folders() -> list[Path]:
        return list(Path("/tmp").glob(f"backtest-*-metrics-*-{program.pid}-*"))

    assert len(folders()) == 1
    program.process.terminate()
    assert program.exit_code() == 0
    wait_for(lambda: not folders(), "the folder of the metrics to be removed")
