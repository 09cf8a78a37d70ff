"""The dashboard of the machines that compute."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from panels import Limit, Query, board, figure, graph, instances

CHOSEN = '{job="backtest-worker", instance=~"$instance"}'


def _increase(metric: str) -> str:
    chosen = f"backtest_job_runner_{metric}{CHOSEN}"
    return f"sum by (instance) (increase({chosen}[$__rate_interval]))"


def workers() -> Dashboard:
    """Return the dashboard *Workers*."""
    now = [
        figure(
            "Workers that answer",
            "short",
            "Commands whose metrics can be read. Red: nothing is computed; start workers.",
            Query('sum(up{job="backtest-worker"}) or vector(0)', "workers"),
            section="backtestnoworker",
            limit=Limit(1, below=True),
            width=8,
        ),
        figure(
            "Busy",
            "short",
            "Workers that own a job. All of them while the queue grows: add workers.",
            Query("sum(backtest_job_runner_active_claimed_jobs)", "busy"),
            section="worker-port-9204",
            width=8,
        ),
        figure(
            "Variants computed",
            "cps",
            "Per second, in both stages. 0 with busy workers: they read candles, write "
            "reports, or hang; after 600 s without a word a job fails with stalled.",
            Query("sum(rate(backtest_job_runner_variants_total[$__rate_interval]))", "variants"),
            section="worker-port-9204",
            width=8,
        ),
    ]
    work = [
        graph(
            "Jobs owned now",
            "short",
            "0 or 1 for each process. A worker that stays at 0 while others are busy and jobs "
            "wait is cut off from Redis, or from the right one.",
            Query(f"backtest_job_runner_active_claimed_jobs{CHOSEN}", "{{instance}}"),
            section="backtestqueuenotdraining",
        ),
        graph(
            "Variants by stage",
            "cps",
            "The speed of the sweep. It depends on the requests: compare like with like.",
            Query(
                "sum by (stage) "
                f"(rate(backtest_job_runner_variants_total{CHOSEN}[$__rate_interval]))",
                "{{stage}}",
            ),
            section="worker-port-9204",
        ),
        graph(
            "Workers that help",
            "short",
            "How many compute for jobs that others own. None while shards are open and workers "
            "idle: they decline, see Trouble.",
            Query(
                f"sum by (instance) (rate(backtest_job_runner_help_seconds_total{CHOSEN}"
                "[$__rate_interval]))",
                "{{instance}}",
            ),
            section="shared-jobs",
        ),
        graph(
            "Claims",
            "short",
            "Jobs taken within each interval of the graph. Flat while jobs are queued and the "
            "worker is free: look at its log.",
            Query(_increase("claim_total"), "{{instance}}"),
            section="backtestqueuenotdraining",
        ),
        graph(
            "Time from claim to end, 95 %",
            "s",
            "One worker above the others with the same jobs: its machine is shared, or swaps.",
            Query(
                "histogram_quantile(0.95, sum by (le, instance) "
                f"(rate(backtest_job_runner_job_duration_seconds_bucket{CHOSEN}[$__rate_interval])))",
                "{{instance}}",
            ),
            section="worker-port-9204",
        ),
    ]
    trouble = [
        graph(
            "Leases lost",
            "short",
            "Any: the machine was paused, or Postgres was away for longer than the lease.",
            Query(_increase("lease_lost_total"), "{{instance}}"),
            section="8-lease-lost",
            limit=Limit(1),
        ),
        graph(
            "Messages dropped",
            "short",
            "A few after restarts are normal. A steady flow: somebody else writes to this "
            "Redis; the log says what, event=garbage_dropped.",
            Query(_increase("stale_message_total"), "{{instance}}"),
            section="worker-port-9204",
        ),
        graph(
            "Help declined",
            "short",
            "Plans of others that a worker could not help with. Steadily: it reads other "
            "candles than the rest, or its computation fails; event=help_declined says which.",
            Query(_increase("help_declined_total"), "{{instance}}"),
            section="shared-jobs",
            limit=Limit(1),
        ),
        graph(
            "Starts within 15 minutes",
            "short",
            "Once for each deployment. More: the worker is in a crash loop; its log and the "
            "exit code say why.",
            Query(f"changes(process_start_time_seconds{CHOSEN}[15m])", "{{instance}}"),
            section="backtestcrashloop",
            limit=Limit(4),
        ),
        graph(
            "Memory of the worker process",
            "bytes",
            "Without that of the process that computes, which job_memory_limit_bytes holds. It "
            "should stay flat over days.",
            Query(f"process_resident_memory_bytes{CHOSEN}", "{{instance}}"),
            section="14-memory-limit",
        ),
    ]
    return board(
        "backtest-workers",
        "Backtests: Workers",
        "Who computes, how fast, and what goes wrong there.",
        {"Now": now, "Work": work, "Trouble": trouble},
        instances("backtest_job_runner_claim_total"),
    )
