"""The configuration file: loaded once, strictly, and passed on as frozen values.

Every key has its default here and nowhere else. Unknown keys, wrong types and impossible numbers
are errors that name the key path, so that a typo in a file never becomes a silent default.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from configs.documents import read_yaml, refusals
from configs.errors import SettingsError

__all__ = [
    "ApiSettings",
    "BacktestSettings",
    "Settings",
    "SettingsError",
    "environment_name",
    "load",
]

ENVIRONMENTS = ("dev", "test", "prod")

Count = Annotated[int, Field(gt=0, lt=2**63)]
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Amount = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
CostPercent = Annotated[float, Field(ge=0, lt=50, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
MarketId = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RankingSettings(_Section):
    """How variants are ranked when a request does not say; the engine knows the metrics."""

    primary_metric_default: str = "total_return_pct"
    secondary_metric_default: str | None = None
    min_trades_default: Annotated[int, Field(ge=0, lt=2**63)] = 30
    distinct_default: bool = True


class GuardSettings(_Section):
    """The largest request that is accepted: variants by stage, values of an axis, bytes."""

    max_variants_per_compute: Count = 1_000_000_000
    max_stage_b_variants: Count = 20_000_000
    max_axis_values: Count = 1_000_000
    max_compute_bytes_total: Count = 5 * 2**30


class JobSettings(_Section):
    """Storage, scheduler and worker; every duration is in seconds."""

    enabled: bool = True
    top_k_persisted_default: Count = 300
    max_active_jobs_per_user: Count = 3
    max_crashes: Count = 3
    claim_poll_seconds: Seconds = 1.0
    lease_seconds: Seconds = 60.0
    heartbeat_seconds: Seconds = 15.0
    snapshot_seconds: Seconds = 30.0
    snapshot_variants_step: Count = 1000
    parallel_workers: Count = 1
    job_memory_limit_bytes: Count = 8 * 2**30
    result_bytes_max: Count = 32 * 2**20
    stall_seconds: Seconds = 600.0
    shard_seconds: Seconds = 5.0
    dispatch_batch: Count = 100
    dispatch_window: Count = 32
    redispatch_seconds: Seconds = 30.0
    gauges_seconds: Seconds = 15.0
    retention_days: Count | None = None

    @model_validator(mode="after")
    def _heartbeats_fit_the_lease(self) -> Self:
        if self.heartbeat_seconds > self.lease_seconds / 3:
            raise ValueError(
                "heartbeat_seconds|must be at most a third of lease_seconds "
                f"({self.lease_seconds:g} / 3), got {self.heartbeat_seconds:g}"
            )
        return self


class ReportingSettings(_Section):
    """How much of a finished job is written out in detail."""

    top_trades_n_default: Count = 3


class ApiSettings(_Section):
    """The HTTP API: what a call may take, and what a process holds."""

    body_bytes_max: Annotated[int, Field(gt=0, le=2**30)] = 2**20
    json_depth_max: Annotated[int, Field(gt=0, le=500)] = 64
    body_seconds: Seconds = 10.0
    request_seconds: Seconds = 60.0
    streams_per_user: Count = 20
    coverage_cache_seconds: Seconds = 60.0
    pool_size: Annotated[int, Field(gt=0, le=1000)] = 8
    sign_ins_per_minute: Annotated[int, Field(gt=0, le=10_000)] = 10
    token_days: Annotated[int, Field(gt=0, le=3650)] = 30


class ExecutionSettings(_Section):
    """Costs and cash a request leaves out; percentages are human (0.075 = 0.075 %)."""

    init_cash_quote_default: Amount = 10_000.0
    fixed_quote_default: Amount = 100.0
    safe_profit_percent_default: Percent = 30.0
    slippage_pct_default: CostPercent = 0.01
    fee_pct_default_by_market_id: dict[MarketId, CostPercent] = {1: 0.075, 2: 0.1, 3: 0.075, 4: 0.1}


class BacktestSettings(_Section):
    """The whole `backtest` section."""

    warmup_bars_default: Annotated[int, Field(gt=0, le=100_000)] | None = None
    top_k_default: Count = 300
    preselect_default: Count = 20_000
    ranking: RankingSettings = RankingSettings()
    guards: GuardSettings = GuardSettings()
    jobs: JobSettings = JobSettings()
    api: ApiSettings = ApiSettings()
    reporting: ReportingSettings = ReportingSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @model_validator(mode="after")
    def _what_is_kept_is_persisted(self) -> Self:
        persisted = self.jobs.top_k_persisted_default
        if self.top_k_default > persisted:
            raise ValueError(
                "top_k_default|must be at most jobs.top_k_persisted_default "
                f"({persisted}), got {self.top_k_default}"
            )
        if self.reporting.top_trades_n_default > self.top_k_default:
            raise ValueError(
                "reporting.top_trades_n_default|must be at most top_k_default "
                f"({self.top_k_default}), got {self.reporting.top_trades_n_default}"
            )
        return self


class _BacktestFile(_Section):
    version: Literal[1] = 1
    backtest: BacktestSettings = BacktestSettings()


class _IndicatorsFile(_Section):
    """Axes that override those which indicators declare; the engine knows what they may be."""

    version: Literal[1] = 1
    indicators: dict[str, Any] = {}


_Model = TypeVar("_Model", bound=BaseModel)

REQUEST_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "warmup_bars": "warmup_bars_default",
        "top_k": "top_k_default",
        "preselect": "preselect_default",
        "top_k_persisted": "jobs.top_k_persisted_default",
        "result_bytes_max": "jobs.result_bytes_max",
        "top_trades_n": "reporting.top_trades_n_default",
        "primary_metric": "ranking.primary_metric_default",
        "secondary_metric": "ranking.secondary_metric_default",
        "min_trades": "ranking.min_trades_default",
        "distinct": "ranking.distinct_default",
        "init_cash_quote": "execution.init_cash_quote_default",
        "fixed_quote": "execution.fixed_quote_default",
        "safe_profit_percent": "execution.safe_profit_percent_default",
        "slippage_pct": "execution.slippage_pct_default",
        "fee_pct_by_market_id": "execution.fee_pct_default_by_market_id",
    }
)
"""What a request may leave out, and the key under `backtest` that fills it in."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the files say. `indicator_grids` is what `indicators.yaml` says, as it stands."""

    env: str
    path: Path
    backtest: BacktestSettings
    indicators_path: Path
    indicator_grids: Mapping[str, Any]

    @property
    def runtime_config_hash(self) -> str:
        """sha256 hex over the values that can change a result, never over operational ones."""
        backtest = self.backtest
        relevant = {
            "warmup_bars_default": backtest.warmup_bars_default,
            "top_k_default": backtest.top_k_default,
            "preselect_default": backtest.preselect_default,
            "ranking": backtest.ranking.model_dump(),
            "execution": backtest.execution.model_dump(),
            "reporting": backtest.reporting.model_dump(),
            "top_k_persisted_default": backtest.jobs.top_k_persisted_default,
            "result_bytes_max": backtest.jobs.result_bytes_max,
        }
        text = json.dumps(relevant, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def request_defaults(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what fills the gaps of a request, and in which file and key each value stands.

        These are the arguments of `engine.request.read_defaults`, which checks them.
        """
        values = {name: self._at(key) for name, key in REQUEST_DEFAULTS.items()}
        origins = {name: f"{self.path}: backtest.{key}" for name, key in REQUEST_DEFAULTS.items()}
        return (
            values | {"indicator_grids": self.indicator_grids},
            origins | {"indicator_grids": f"{self.indicators_path}: indicators"},
        )

    def _at(self, key: str) -> Any:
        value: Any = self.backtest
        for name in key.split("."):
            value = getattr(value, name)
        return value

    def request_limits(self) -> dict[str, int]:
        """Return the guards: the arguments of `engine.request.Limits`."""
        return {
            **self.backtest.guards.model_dump(),
            "threads": self.backtest.jobs.parallel_workers,
        }


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings: `path` beats `ROEHUB_BACKTEST_CONFIG` beats the file of `ROEHUB_ENV`.

    Axes that override the declared ones come from the `indicators.yaml` beside that file, which
    need not exist. Raises SettingsError with one line that names the key or the variable.
    """
    env = environment_name(environ)
    chosen = path or environ.get("ROEHUB_BACKTEST_CONFIG") or None
    file = Path(chosen) if chosen else Path(__file__).resolve().parent / env / "backtest.yaml"
    beside = file.parent / "indicators.yaml"
    return Settings(
        env=env,
        path=file,
        backtest=_validated(_BacktestFile, file).backtest,
        indicators_path=beside,
        indicator_grids=(_validated(_IndicatorsFile, beside).indicators if beside.exists() else {}),
    )


def environment_name(environ: Mapping[str, str] = os.environ) -> str:
    """`ROEHUB_ENV`, one of dev, test and prod; raises SettingsError."""
    env = environ.get("ROEHUB_ENV", "")
    if env not in ENVIRONMENTS:
        state = f"is {env!r}" if env else "is not set"
        raise SettingsError(f"ROEHUB_ENV {state}: set it to one of {', '.join(ENVIRONMENTS)}")
    return env


def _validated(model: type[_Model], file: Path) -> _Model:
    document = read_yaml(file)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SettingsError(f"{file}: {refusals(error)}") from None
