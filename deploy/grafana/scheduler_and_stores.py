"""The dashboard of what stands between users and workers: scheduler, Postgres, Redis, API."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from panels import Limit, Query, board, figure, graph

LAST_SUCCESS = "backtest_scheduler_duty_last_success_timestamp_seconds"
API = "backtest_api_request_duration_seconds"


def _quantile(metric: str, by: str) -> str:
    rate = f"sum by (le, {by}) (rate({metric}_bucket[$__rate_interval]))"
    return f"histogram_quantile(0.95, {rate})"


def scheduler_and_stores() -> Dashboard:
    """Return the dashboard *Scheduler and stores*."""
    now = [
        figure(
            "Schedulers that answer",
            "short",
            "One is enough, two survive the loss of one. Red: no job starts any more.",
            Query('sum(up{job="backtest-scheduler"}) or vector(0)', "schedulers"),
            section="backtestschedulersilent",
            limit=Limit(1, below=True),
        ),
        figure(
            "Dispatch was done before",
            "s",
            "A scheduler that answers and does nothing is silent, too. Red: look at its log, "
            "which says what holds the duty up.",
            Query(f'time() - max({LAST_SUCCESS}{{duty="dispatch"}})', "dispatch"),
            section="backtestschedulersilent",
            limit=Limit(60),
        ),
        figure(
            "APIs that answer",
            "short",
            "Red: nobody can submit jobs or see results; workers go on.",
            Query('sum(up{job="backtest-api"}) or vector(0)', "APIs"),
            section="backtestapiaway",
            limit=Limit(1, below=True),
        ),
        figure(
            "The queue is paused",
            "short",
            "1: an operator has paused it, and no job starts until `backtest resume`. No value: "
            "the scheduler cannot ask Postgres.",
            Query("max(backtest_scheduler_paused)", "paused"),
            section="pause-and-resume",
        ),
    ]
    scheduler = [
        graph(
            "Time since each duty was done",
            "s",
            "Of several schedulers the one that did it last. gauges run every gauges_seconds, 15.",
            Query(f'time() - max by (duty) ({LAST_SUCCESS}{{duty!="retention"}})', "{{duty}}"),
            section="backtestschedulersilent",
            limit=Limit(60),
        ),
        graph(
            "Time since retention was done",
            "s",
            "It runs every hour. Much longer: old jobs stay, and the tables grow.",
            Query(f'time() - max({LAST_SUCCESS}{{duty="retention"}})', "retention"),
            section="16-retention",
            limit=Limit(7200),
        ),
        graph(
            "Time one run of a duty takes, 95 %",
            "s",
            "Above a second: Postgres or Redis is slow, or dead rows of backtest_jobs are not "
            "vacuumed.",
            Query(_quantile("backtest_scheduler_tick_duration_seconds", "duty"), "{{duty}}"),
            section="scheduler-port-9205",
            limit=Limit(1),
        ),
        graph(
            "Wake-ups sent",
            "cps",
            "To Redis. None while jobs are queued: the window is full, so workers are busy or "
            "gone, or Redis is away.",
            Query("sum(rate(backtest_scheduler_dispatched_total[$__rate_interval]))", "sent"),
            section="backtestqueuenotdraining",
        ),
    ]
    stores = [
        graph(
            "Dispatch rounds that failed",
            "short",
            "By what was away: Postgres, Redis, or a fault of ours, whose traceback is in the "
            "log at event=duty_failed.",
            Query(
                "sum by (kind) "
                "(increase(backtest_scheduler_dispatch_errors_total[$__rate_interval]))",
                "{{kind}}",
            ),
            section="backtestredisaway",
            limit=Limit(1),
        ),
        graph(
            "Sessions of Postgres that wait for a lock",
            "short",
            "For one reading this is normal. For several: something holds a lock for long; ask "
            "pg_blocking_pids().",
            Query("max(backtest_scheduler_waiting_sessions)", "waiting"),
            section="backtestpostgresaway",
            limit=Limit(1),
        ),
        graph(
            "Messages in Redis that are no wake-up",
            "short",
            "Any: somebody else writes into our keys. Workers drop them. No value: Redis "
            "cannot be asked.",
            Query("max by (kind) (backtest_scheduler_foreign_messages)", "{{kind}}"),
            section="scheduler-port-9205",
            limit=Limit(1),
        ),
        graph(
            "Jobs ended by the sweep",
            "short",
            "failed: a job took its workers down once too often. cancelled: it was asked to "
            "stop when its owner was gone.",
            Query(
                "sum by (state) (increase(backtest_scheduler_swept_total[$__rate_interval]))",
                "{{state}}",
            ),
            section="backtestjobcrashesworkers",
        ),
    ]
    api = [
        graph(
            "Calls by status",
            "reqps",
            "500 is a fault of ours, event=request_failed has the traceback; 503 means that "
            "something behind the API is away.",
            Query(f"sum by (status) (rate({API}_count[$__rate_interval]))", "{{status}}"),
            section="api-port-8000",
        ),
        graph(
            "Time of a call, 95 %",
            "s",
            "By the template of the path. All of them longer than usual: Postgres is slow, or "
            "pool_size connections are too few.",
            Query(_quantile(API, "route"), "{{route}}"),
            section="api-port-8000",
            limit=Limit(1),
        ),
    ]
    return board(
        "backtest-scheduler-and-stores",
        "Backtests: Scheduler and stores",
        "Whether jobs are woken up, and whether Postgres, Redis and the API answer.",
        {"Now": now, "Scheduler": scheduler, "Stores": stores, "API": api},
    )
