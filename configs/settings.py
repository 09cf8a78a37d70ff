"""The configuration file: loaded once, strictly, and passed on as frozen values.

Unknown keys, missing keys, wrong types and impossible numbers are errors that name the key path, so
that a typo in a file never becomes a silent default.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from configs.documents import SettingsError, read_yaml, refusals

__all__ = ["BacktestSettings", "Settings", "SettingsError", "environment_name", "load"]

ENVIRONMENTS = ("dev", "test", "prod")

Count = Annotated[int, Field(gt=0, lt=2**63)]
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Amount = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
CostPercent = Annotated[float, Field(ge=0, lt=50, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
MarketId = Annotated[int, Field(ge=0, le=65535)]
Metric = Literal[
    "total_return_pct",
    "num_trades",
    "max_drawdown_pct",
    "return_over_max_drawdown",
    "profit_factor",
    "win_rate_pct",
    "expectancy_pct",
    "sqn",
    "sharpe",
    "sortino",
    "calmar",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RankingSettings(_Section):
    """How variants are ranked when a request does not say."""

    primary_metric_default: Metric
    secondary_metric_default: Metric | None


class GuardSettings(_Section):
    """The largest request that is accepted."""

    max_variants_per_compute: Count
    max_compute_bytes_total: Count


class JobSettings(_Section):
    """Storage, scheduler and worker; every duration is in seconds."""

    enabled: bool
    top_k_persisted_default: Count
    max_active_jobs_per_user: Count
    max_crashes: Count
    claim_poll_seconds: Seconds
    lease_seconds: Seconds
    heartbeat_seconds: Seconds
    snapshot_seconds: Seconds
    snapshot_variants_step: Count
    parallel_workers: Count
    job_memory_limit_bytes: Count
    stall_seconds: Seconds
    dispatch_batch: Count
    dispatch_window: Count
    redispatch_seconds: Seconds
    retention_days: Count | None

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

    top_trades_n_default: Count


class ExecutionSettings(_Section):
    """Costs and cash a request leaves out; percentages are human (0.075 = 0.075 %)."""

    init_cash_quote_default: Amount
    fixed_quote_default: Amount
    safe_profit_percent_default: Percent
    slippage_pct_default: CostPercent
    fee_pct_default_by_market_id: dict[MarketId, CostPercent]


class BacktestSettings(_Section):
    """The whole `backtest` section."""

    warmup_bars_default: Annotated[int, Field(gt=0, le=100_000)]
    top_k_default: Count
    preselect_default: Count
    ranking: RankingSettings
    guards: GuardSettings
    jobs: JobSettings
    reporting: ReportingSettings
    execution: ExecutionSettings

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
    version: Literal[1]
    backtest: BacktestSettings


class _Explicit(_Section):
    mode: Literal["explicit"]
    values: Annotated[list[int | float | str], Field(min_length=1)]


class _Range(_Section):
    mode: Literal["range"]
    start: int | float
    stop_incl: int | float
    step: int | float


_Axis = Annotated[_Explicit | _Range, Field(discriminator="mode")]


class _DefaultGrid(_Section):
    params: dict[str, _Axis]
    signals: dict[str, _Axis]


class _IndicatorsFile(_Section):
    version: Literal[1]
    indicators: dict[str, _DefaultGrid]


_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the files say. `indicator_grids` maps an indicator id to its default axes."""

    env: str
    path: Path
    backtest: BacktestSettings
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
        }
        text = json.dumps(relevant, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def request_defaults(self) -> dict[str, Any]:
        """Return what fills the gaps of a request: the arguments of `engine.request.Defaults`."""
        backtest, execution = self.backtest, self.backtest.execution
        return {
            "warmup_bars": backtest.warmup_bars_default,
            "top_k": backtest.top_k_default,
            "preselect": backtest.preselect_default,
            "top_k_persisted": backtest.jobs.top_k_persisted_default,
            "top_trades_n": backtest.reporting.top_trades_n_default,
            "primary_metric": backtest.ranking.primary_metric_default,
            "secondary_metric": backtest.ranking.secondary_metric_default,
            "init_cash_quote": execution.init_cash_quote_default,
            "fixed_quote": execution.fixed_quote_default,
            "safe_profit_percent": execution.safe_profit_percent_default,
            "slippage_pct": execution.slippage_pct_default,
            "fee_pct_by_market_id": execution.fee_pct_default_by_market_id,
            "indicator_grids": self.indicator_grids,
        }

    def request_limits(self) -> dict[str, int]:
        """Return the guards: the arguments of `engine.request.Limits`."""
        return {
            **self.backtest.guards.model_dump(),
            "threads": self.backtest.jobs.parallel_workers,
        }


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings: `path` beats `ROEHUB_BACKTEST_CONFIG` beats the file of `ROEHUB_ENV`.

    The default grids come from the `indicators.yaml` beside that file when there is one, else from
    the environment's own. Raises SettingsError with one line that names the key or the variable.
    """
    env = environment_name(environ)
    shipped = Path(__file__).resolve().parent / env
    chosen = path or environ.get("ROEHUB_BACKTEST_CONFIG") or None
    file = Path(chosen) if chosen else shipped / "backtest.yaml"
    backtest = _validated(_BacktestFile, file).backtest
    beside = file.parent / "indicators.yaml"
    grids_file = beside if beside.is_file() else shipped / "indicators.yaml"
    grids = _validated(_IndicatorsFile, grids_file).indicators
    return Settings(
        env=env,
        path=file,
        backtest=backtest,
        indicator_grids={name: grid.model_dump() for name, grid in grids.items()},
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
