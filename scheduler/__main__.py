"""`python -m scheduler`: wakes workers up and keeps the table healthy, until it is told to stop."""

import argparse
import logging
import os
import sys

import structlog

from configs import logs, settings
from configs.environment import (
    assumed_addresses,
    metrics_port,
    postgres_dsn,
    redis_namespace,
    redis_url,
)
from configs.errors import SettingsError
from scheduler.program import Program
from scheduler.stopping import Stop
from storage import readiness, schema
from storage.connection import Connection, InvalidDsn
from storage.readiness import DatabaseRefuses
from storage.schema import SchemaUnusable
from storage.session import Session
from tasks import wake_up

COMPONENT = "backtest-scheduler"
DEFAULT_METRICS_PORT = 9205
BAD_CONFIGURATION = 2

log = structlog.get_logger()


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    options = _options(arguments)
    stop = Stop()
    stop.listen()
    try:
        loaded = settings.load(options.config)
        logs.configure(COMPONENT, loaded.env)
        # Its own warnings about late and overlapping runs are the normal case while we back off.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        if not loaded.backtest.jobs.enabled:
            # The operators' runbook knows this line under the name of the job runner.
            log.info("disabled", component="backtest-job-runner", status="disabled")
            return 0
        dsn, url = postgres_dsn(os.environ), redis_url(os.environ)
        port = options.metrics_port
        if port is None:
            port = metrics_port(os.environ, DEFAULT_METRICS_PORT)
        namespace = redis_namespace(os.environ)
        _check_usable(url)
        assumed = assumed_addresses(os.environ).get("REDIS_URL")
        if assumed is not None:
            log.info("address_assumed", variable="REDIS_URL", value=assumed)
        found = readiness.wait_until_ready(dsn, _say_waiting, stop=stop)
        if found is None:
            return 0
        broker = wake_up.make_broker(url, namespace or found)
    except (SettingsError, InvalidDsn, DatabaseRefuses, SchemaUnusable) as error:
        sys.stderr.write(f"{COMPONENT}: {error}\n")
        return BAD_CONFIGURATION
    began_with = found

    def check_unchanged(conn: Connection) -> None:
        # A namespace that was given stays the same, whatever the database says.
        if namespace is None:
            schema.check_unchanged(conn, began_with)

    def new_session(statement_seconds: float) -> Session:
        return Session(
            dsn,
            application_name=COMPONENT,
            lock_seconds=loaded.backtest.jobs.heartbeat_seconds,
            statement_seconds=statement_seconds,
            on_connect=check_unchanged,
        )

    program = Program(loaded.backtest.jobs, dsn, new_session, broker, stop)
    return program.once() if options.once else program.run(port)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scheduler",
        description="Wakes workers up for due jobs and keeps the job table healthy. "
        "Any number of schedulers may run.",
        epilog="Environment: STRATEGY_PG_DSN, REDIS_URL, ROEHUB_ENV, ROEHUB_BACKTEST_CONFIG, "
        "ROEHUB_METRICS_PORT, REDIS_NAMESPACE. Exit codes: 0 stopped, 1 the database was replaced, "
        "2 bad configuration or unmigrated schema, "
        "3 --once could not do its work.",
    )
    parser.add_argument("--config", metavar="FILE", help="beats ROEHUB_BACKTEST_CONFIG")
    parser.add_argument(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help=f"beats ROEHUB_METRICS_PORT; default {DEFAULT_METRICS_PORT}, 0 lets the system choose",
    )
    parser.add_argument("--once", action="store_true", help="one dispatch and one sweep, then exit")
    return parser.parse_args(arguments)


def _check_usable(redis_url: str) -> None:
    try:
        wake_up.connect(redis_url)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL cannot be used: {error}") from None


def _say_waiting(text: str) -> None:
    log.warning("postgres_unavailable", error=text)


if __name__ == "__main__":
    sys.exit(main())
