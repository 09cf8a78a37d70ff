"""What the role of the programs needs in the database, and no more."""

from collections.abc import Mapping
from types import MappingProxyType

READ = ("SELECT",)
KEEP = ("SELECT", "INSERT", "UPDATE")
ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "backtest_jobs_schema_version": READ,
        "backtest_jobs_schema_compat": READ,
        "backtest_jobs": ALL,
        "backtest_job_stage_a_shortlist": KEEP,
        "backtest_job_top_variants": ("SELECT", "INSERT", "DELETE"),
        "backtest_job_validation": ("SELECT", "INSERT"),
        "backtest_job_surfaces": ("SELECT", "INSERT"),
        "backtest_job_plans": ("SELECT", "INSERT", "DELETE"),
        "backtest_job_shards": KEEP,
        "backtest_job_events": ("SELECT", "INSERT"),
        "backtest_strategies": ALL,
        "backtest_switches": KEEP,
    }
)
"""Privileges by table. Identity columns need none on their sequences, nor do foreign keys."""

FUNCTIONS = (
    "pg_catalog.pg_control_system()",
    "pg_catalog.pg_notify(text, text)",
    "pg_catalog.pg_advisory_xact_lock(integer, integer)",
    "pg_catalog.pg_try_advisory_xact_lock(bigint)",
)
"""Functions that statements call and an owner may have taken from PUBLIC."""
