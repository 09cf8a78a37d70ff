"""The dashboard of what users see: the queue, what ends how, and how long it takes."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from panels import Limit, Query, board, figure, graph

FAILED = "sum(increase(backtest_job_runner_failed_total[30m]))"
SUCCEEDED = "sum(increase(backtest_job_runner_succeeded_total[30m]))"


def _per_minute(outcome: str) -> Query:
    metric = f"backtest_job_runner_{outcome}_total"
    return Query(f"sum(rate({metric}[$__rate_interval])) * 60", outcome)


def _seconds(quantile: float, metric: str, legend: str, *, by: str = "le") -> Query:
    rate = f"rate(backtest_job_runner_{metric}_bucket[$__rate_interval])"
    return Query(f"histogram_quantile({quantile}, sum by ({by}) ({rate}))", legend)


def jobs() -> Dashboard:
    """Return the dashboard *Jobs*."""
    now = [
        figure(
            "Queued",
            "short",
            "Jobs that wait for a worker. It may be long; what matters is that it moves. No "
            "value: the scheduler cannot ask Postgres.",
            Query('max(backtest_scheduler_jobs{state="queued"})', "queued"),
            section="backtestqueuenotdraining",
        ),
        figure(
            "Running",
            "short",
            "Jobs that a worker owns or has owned. More than there are workers: owners are "
            "gone, see below, Jobs without an owner.",
            Query('max(backtest_scheduler_jobs{state="running"})', "running"),
            section="backtestexpiredleasesnotreclaimed",
        ),
        figure(
            "Oldest queued job",
            "s",
            "How long the job has waited that was queued first. Red: add workers, or look why "
            "those there are take none.",
            Query("max(backtest_scheduler_oldest_queued_age_seconds)", "age"),
            section="backtestoldestqueuedtooold",
            limit=Limit(1800),
        ),
        figure(
            "Failed, of those that ended in 30 minutes",
            "percentunit",
            "Red: look below for the codes, and act by them. No value: no job has ended.",
            Query(f"{FAILED} / ({FAILED} + {SUCCEEDED})", "failed"),
            section="backtestfailureratiohigh",
            limit=Limit(0.2),
        ),
    ]
    flow = [
        graph(
            "Queue",
            "short",
            "A queue that grows while all workers are busy needs more workers. One that grows "
            "while workers are free is a fault.",
            Query('max(backtest_scheduler_jobs{state="queued"})', "queued"),
            Query('max(backtest_scheduler_jobs{state="running"})', "running"),
            section="backtestqueuenotdraining",
        ),
        graph(
            "Jobs that ended",
            "cpm",
            "Per minute, by how they ended. None at all while jobs are running: sweeps are "
            "long, or nobody computes, see the dashboard Workers.",
            *(_per_minute(outcome) for outcome in ("succeeded", "failed", "cancelled")),
            section="6-a-job-does-not-move",
        ),
        graph(
            "Failures by code",
            "short",
            "Failures within each interval of the graph. The runbook has an action for each.",
            Query(
                "sum by (code) (increase(backtest_job_runner_failed_total[$__rate_interval]))",
                "{{code}}",
            ),
            section="15-failure-codes",
        ),
        graph(
            "Age of the oldest queued job",
            "s",
            "Grows second by second: nothing starts at all. Falls now and then: jobs start, "
            "but too few workers are there.",
            Query("max(backtest_scheduler_oldest_queued_age_seconds)", "age"),
            section="backtestoldestqueuedtooold",
            limit=Limit(1800),
        ),
    ]
    time = [
        graph(
            "Time from claim to end",
            "s",
            "Half of the jobs, and all but one of twenty, took no longer. Longer than usual "
            "with the same requests: the machines are shared, or swap.",
            _seconds(0.5, "job_duration_seconds", "half"),
            _seconds(0.95, "job_duration_seconds", "95 %"),
            section="worker-port-9204",
        ),
        graph(
            "Time in a stage, 95 %",
            "s",
            "Which stage became slower. stage_a reads candles and scores, stage_b adds risk "
            "levels, validation asks how far the winners can be believed (only where a request "
            "keeps bars aside), finalizing writes reports and waits for Postgres.",
            _seconds(0.95, "stage_duration_seconds", "{{stage}}", by="le, stage"),
            section="worker-port-9204",
        ),
        graph(
            "Shards of shared stages",
            "short",
            "Parts of stages that take long. Many open ones keep all workers busy; open ones "
            "while workers are idle: nobody can help.",
            Query("max by (state) (backtest_scheduler_shards)", "{{state}}"),
            section="shared-jobs",
        ),
        graph(
            "Merging results of shards",
            "percentunit",
            "How many workers are busy with it. More than a tenth: raise shard_seconds.",
            Query(
                "sum(rate(backtest_job_runner_merge_seconds_total[$__rate_interval]))", "merging"
            ),
            section="shared-jobs",
        ),
    ]
    trouble = [
        graph(
            "Jobs without an owner",
            "short",
            "Running jobs whose lease has run out. A worker takes them over within seconds; "
            "where they stay, no worker is free.",
            Query("max(backtest_scheduler_expired_leases)", "expired leases"),
            section="backtestexpiredleasesnotreclaimed",
            limit=Limit(1),
        ),
        graph(
            "Finalizing for more than a minute",
            "short",
            "These jobs are computed, and their results do not reach Postgres. Look at the log "
            "of their owner, then at Postgres.",
            Query("max(backtest_scheduler_finalizing_overdue)", "overdue"),
            section="backtestfinalizingtoolong",
            limit=Limit(1),
        ),
    ]
    return board(
        "backtest-jobs",
        "Backtests: Jobs",
        "The queue, how jobs end, and how long they take.",
        {"Now": now, "Flow": flow, "Time": time, "Trouble": trouble},
    )
