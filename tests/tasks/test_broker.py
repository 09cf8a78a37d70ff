"""The broker behaves without options, and importing the actor needs nothing."""

import subprocess
import sys

import dramatiq

from tasks.broker import make_broker

NOWHERE = "redis://127.0.0.1:1/0"


def test_no_middleware_retries_or_ends_a_job() -> None:
    class Given(dramatiq.Middleware):
        pass

    assert [type(middleware) for middleware in make_broker(NOWHERE, [Given()]).middleware] == [
        Given
    ]


def test_importing_the_actor_needs_no_service_no_environment_and_no_compiler() -> None:
    script = (
        "import sys, tasks.backtest;"
        "heavy = {'numba', 'prometheus_client', 'chdb', 'clickhouse_connect', 'pyarrow'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": ""}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_broker_sets_nothing() -> None:
    script = (
        "import os; before = dict(os.environ); import tasks.wake_up, tasks.broker;"
        "assert os.environ == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
