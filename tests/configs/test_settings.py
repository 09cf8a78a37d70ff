"""The configuration file: strict, and every refusal one line with the key path."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.settings import (
    ENVIRONMENTS,
    REQUEST_DEFAULTS,
    BacktestSettings,
    Settings,
    SettingsError,
    load,
)
from engine.request import Defaults, Limits

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ENVIRON = {"ROEHUB_ENV": "test"}


def changed(folder: Path, old: str, new: str) -> Path:
    """A copy of the shipped file with one text replaced."""
    text = (CONFIGS / "test" / "backtest.yaml").read_text()
    assert old in text
    path = folder / "backtest.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def keys_of(document: Mapping[Any, Any], path: str = "") -> Iterator[str]:
    """Every key path of a document; fees by market are one value."""
    for key, value in document.items():
        if isinstance(value, Mapping) and key != "fee_pct_default_by_market_id":
            yield from keys_of(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def refusal(path: Path, environ: dict[str, str] = ENVIRON) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_shipped_files_load_from_any_directory(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environ={"ROEHUB_ENV": env})
    assert settings.env == env
    assert settings.backtest.warmup_bars_default is None
    assert settings.backtest.jobs.lease_seconds == 60
    assert settings.backtest.jobs.retention_days is None
    assert settings.backtest.execution.fee_pct_default_by_market_id[2] == 0.1
    assert settings.indicator_grids == {}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_shipped_files_name_every_key_there_is(env: str) -> None:
    shipped = yaml.safe_load((CONFIGS / env / "backtest.yaml").read_text())
    known = keys_of(BacktestSettings().model_dump())
    assert sorted(keys_of(shipped["backtest"])) == sorted(known)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_shipped_files_write_the_defaults_down(env: str) -> None:
    assert load(environ={"ROEHUB_ENV": env}).backtest == BacktestSettings()


@pytest.mark.parametrize("key", sorted(keys_of(BacktestSettings().model_dump())))
def test_a_key_that_is_left_out_has_its_default(key: str, tmp_path: Path) -> None:
    document = yaml.safe_load((CONFIGS / "test" / "backtest.yaml").read_text())
    section = document["backtest"]
    *parents, name = key.split(".")
    for parent in parents:
        section = section[parent]
    del section[name]
    (tmp_path / "backtest.yaml").write_text(yaml.safe_dump(document))
    assert load(tmp_path / "backtest.yaml", ENVIRON).backtest == BacktestSettings()


@pytest.mark.parametrize("text", ["version: 1", "backtest: {}", "backtest: {jobs: {}}"])
def test_a_section_that_is_left_out_has_its_defaults(text: str, tmp_path: Path) -> None:
    (tmp_path / "backtest.yaml").write_text(text)
    assert load(tmp_path / "backtest.yaml", ENVIRON).backtest == BacktestSettings()


def test_the_defaults_are_those_of_the_contract() -> None:
    backtest = BacktestSettings()
    assert backtest.jobs.model_dump() == {
        "enabled": True,
        "top_k_persisted_default": 300,
        "max_active_jobs_per_user": 3,
        "max_crashes": 3,
        "claim_poll_seconds": 1.0,
        "lease_seconds": 60,
        "heartbeat_seconds": 15,
        "snapshot_seconds": 30,
        "snapshot_variants_step": 1000,
        "parallel_workers": 1,
        "job_memory_limit_bytes": 8589934592,
        "result_bytes_max": 33554432,
        "stall_seconds": 600,
        "shard_seconds": 5,
        "dispatch_batch": 100,
        "dispatch_window": 32,
        "redispatch_seconds": 30,
        "gauges_seconds": 15,
        "retention_days": None,
    }
    assert backtest.execution.model_dump() == {
        "init_cash_quote_default": 10000,
        "fixed_quote_default": 100,
        "safe_profit_percent_default": 30.0,
        "slippage_pct_default": 0.01,
        "fee_pct_default_by_market_id": {1: 0.075, 2: 0.1, 3: 0.075, 4: 0.1},
    }
    assert backtest.guards.model_dump() == {
        "max_variants_per_compute": 1_000_000_000,
        "max_stage_b_variants": 20_000_000,
        "max_axis_values": 1_000_000,
        "max_compute_bytes_total": 5368709120,
    }
    assert backtest.ranking.model_dump() == {
        "primary_metric_default": "total_return_pct",
        "secondary_metric_default": None,
        "min_trades_default": 30,
        "distinct_default": True,
    }
    assert backtest.warmup_bars_default is None


def test_the_settings_fill_what_the_engine_asks_for() -> None:
    settings = load(environ=ENVIRON)
    values, origins = settings.request_defaults()
    assert sorted(values) == sorted(origins) == sorted(field.name for field in fields(Defaults))
    assert (values["top_k"], values["result_bytes_max"]) == (300, 33_554_432)
    limits = Limits(**settings.request_limits())
    assert (limits.max_variants_per_compute, limits.max_stage_b_variants) == (10**9, 2 * 10**7)


@pytest.mark.parametrize("key", REQUEST_DEFAULTS.values())
def test_the_origin_of_a_default_is_its_file_and_key(key: str) -> None:
    settings = load(environ=ENVIRON)
    values, origins = settings.request_defaults()
    (name,) = (name for name, its_key in REQUEST_DEFAULTS.items() if its_key == key)
    assert origins[name] == f"{settings.path}: backtest.{key}"
    section: Any = yaml.safe_load(settings.path.read_text())["backtest"]
    for part in key.split("."):
        section = section[part]
    assert values[name] == section


def test_the_argument_beats_the_variable_beats_the_environment(tmp_path: Path) -> None:
    for name in ("argument", "variable"):
        (tmp_path / name).mkdir()
    argument = changed(tmp_path / "argument", "top_k_default: 300", "top_k_default: 10")
    variable = changed(tmp_path / "variable", "top_k_default: 300", "top_k_default: 20")
    environ = {**ENVIRON, "ROEHUB_BACKTEST_CONFIG": str(variable)}
    assert load(argument, environ).backtest.top_k_default == 10
    assert load(str(argument), environ).path == argument
    assert load(None, environ).backtest.top_k_default == 20
    assert load(None, ENVIRON).backtest.top_k_default == 300


def test_axes_that_override_the_declared_ones_stand_beside_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path, "version: 1", "version: 1")
    assert load(path, ENVIRON).indicator_grids == {}
    (tmp_path / "indicators.yaml").write_text("indicators: {ma.sma: {params: {window: 5}}}")
    loaded = load(path, ENVIRON)
    assert loaded.indicator_grids == {"ma.sma": {"params": {"window": 5}}}
    _, origins = loaded.request_defaults()
    assert origins["indicator_grids"] == f"{tmp_path / 'indicators.yaml'}: indicators"


@pytest.mark.parametrize("environ", [{}, {"ROEHUB_ENV": ""}, {"ROEHUB_ENV": "staging"}])
def test_a_missing_or_unknown_environment_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"ROEHUB_ENV.*dev, test, prod"):
        load(environ=environ)


REFUSED = {
    "unknown key": (
        "max_crashes: 3",
        "max_crashs: 3",
        ["backtest.jobs.max_crashs: unknown key"],
    ),
    "unknown section": ("  reporting:", "  report:", ["backtest.report: unknown key"]),
    "unknown section at the top": ("backtest:", "backtests:", ["backtests: unknown key"]),
    "no result budget": (
        "result_bytes_max: 33554432",
        "result_bytes_max: 0",
        ["backtest.jobs.result_bytes_max", "greater than 0", "0"],
    ),
    "negative": (
        "lease_seconds: 60",
        "lease_seconds: -60",
        ["backtest.jobs.lease_seconds", "greater than 0", "-60"],
    ),
    "zero": ("dispatch_batch: 100", "dispatch_batch: 0", ["backtest.jobs.dispatch_batch"]),
    "infinite": (
        "stall_seconds: 600",
        "stall_seconds: .inf",
        ["backtest.jobs.stall_seconds", "inf"],
    ),
    "not a number": (
        "slippage_pct_default: 0.01",
        "slippage_pct_default: .nan",
        ["backtest.execution.slippage_pct_default", "nan"],
    ),
    "text for a number": (
        "top_k_default: 300",
        'top_k_default: "300"',
        ["backtest.top_k_default", "integer", "'300'"],
    ),
    "fraction for a count": (
        "preselect_default: 20000",
        "preselect_default: 2.5",
        ["backtest.preselect_default", "integer", "2.5"],
    ),
    "bool for a count": (
        "parallel_workers: 1 ",
        "parallel_workers: true ",
        ["backtest.jobs.parallel_workers", "True"],
    ),
    "number for a bool": ("enabled: true", "enabled: 1", ["backtest.jobs.enabled", "boolean"]),
    "null for a section": (
        "reporting: {top_trades_n_default: 3}",
        "reporting:",
        ["backtest.reporting", "None"],
    ),
    "metric not a string": (
        "primary_metric_default: total_return_pct",
        "primary_metric_default: 7",
        ["backtest.ranking.primary_metric_default", "string", "7"],
    ),
    "default lease too short for the default heartbeat": (
        "    lease_seconds: 60\n    heartbeat_seconds: 15\n",
        "    lease_seconds: 30\n",
        ["backtest.jobs.heartbeat_seconds", "third of lease_seconds", "30", "15"],
    ),
    "heartbeat too slow": (
        "heartbeat_seconds: 15",
        "heartbeat_seconds: 20.5",
        ["backtest.jobs.heartbeat_seconds", "third of lease_seconds", "60", "20.5"],
    ),
    "more kept than stored": (
        "top_k_persisted_default: 300",
        "top_k_persisted_default: 299",
        ["backtest.top_k_default", "300", "299"],
    ),
    "more trades than kept": (
        "top_trades_n_default: 3",
        "top_trades_n_default: 301",
        ["backtest.reporting.top_trades_n_default", "300", "301"],
    ),
    "fee of 50 percent": (
        "1: 0.075,",
        "1: 50,",
        ["backtest.execution.fee_pct_default_by_market_id.1", "less than 50"],
    ),
    "market by name": (
        "1: 0.075,",
        "binance: 0.075,",
        ["backtest.execution.fee_pct_default_by_market_id.binance"],
    ),
    "another version": ("version: 1", "version: 2", ["version", "2"]),
    "key twice": (
        "  warmup_bars_default: null",
        "  warmup_bars_default: null\n  warmup_bars_default: 100",
        ["line 5", "warmup_bars_default", "twice"],
    ),
    "bad yaml": ("reporting: {", "reporting: [", ["line 47", "invalid YAML"]),
    "tab": ("  guards:", "\tguards:", ["line 12", "invalid YAML"]),
    "negative number of trades": (
        "min_trades_default: 30",
        "min_trades_default: -1",
        ["backtest.ranking.min_trades_default", "greater than or equal to 0", "-1"],
    ),
    "a word for true": (
        "distinct_default: true",
        "distinct_default: 'on'",
        ["backtest.ranking.distinct_default", "boolean", "'on'"],
    ),
    "no second stage": (
        "max_stage_b_variants: 20000000",
        "max_stage_b_variants: 0",
        ["backtest.guards.max_stage_b_variants", "greater than 0"],
    ),
    "no warm-up": (
        "warmup_bars_default: null",
        "warmup_bars_default: 0",
        ["backtest.warmup_bars_default", "greater than 0"],
    ),
    "another document": ("version: 1", "version: 1\n---", ["invalid YAML"]),
    "python object": ("version: 1", "version: !!python/name:os.system", ["invalid YAML"]),
}


@pytest.mark.parametrize(("old", "new", "parts"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_file_is_refused_in_one_line_that_names_the_key(
    old: str, new: str, parts: list[str], tmp_path: Path
) -> None:
    path = changed(tmp_path, old, new)
    message = refusal(path)
    assert message.startswith(f"{path}:")
    assert all(part in message for part in parts), message


def test_all_problems_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "lease_seconds: 60", "lease_seconds: 0")
    path.write_text(path.read_text().replace("dispatch_batch: 100", "dispatch_batch: x"))
    message = refusal(path)
    assert "backtest.jobs.lease_seconds" in message
    assert "backtest.jobs.dispatch_batch" in message


def test_a_heartbeat_of_exactly_a_third_is_accepted(tmp_path: Path) -> None:
    path = changed(tmp_path, "heartbeat_seconds: 15", "heartbeat_seconds: 20")
    assert load(path, ENVIRON).backtest.jobs.heartbeat_seconds == 20


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("version: 2", "version"),
        ("indicator: {}", "indicator: unknown key"),
        ("indicators: [ma.sma]", "indicators: "),
        ("indicators: {1: {}}", "indicators.1: "),
        ("indicators: {ma.sma: {}, ma.sma: {}}", "'ma.sma' is given twice"),
    ],
)
def test_a_bad_file_of_axes_is_named_with_its_key(text: str, part: str, tmp_path: Path) -> None:
    path = changed(tmp_path, "version: 1", "version: 1")
    (tmp_path / "indicators.yaml").write_text(text)
    message = refusal(path)
    assert message.startswith(f"{tmp_path / 'indicators.yaml'}:")
    assert part in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such configuration file" in refusal(tmp_path / "absent.yaml")


def test_a_folder_or_binary_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refusal(tmp_path / "binary.yaml")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert "the document" in refusal(tmp_path / "empty.yaml")


def hash_with(folder: Path, old: str, new: str) -> str:
    return load(changed(folder, old, new), ENVIRON).runtime_config_hash


def test_the_hash_is_the_same_in_every_environment_with_the_same_values() -> None:
    hashes = {load(environ={"ROEHUB_ENV": env}).runtime_config_hash for env in ENVIRONMENTS}
    assert len(hashes) == 1
    assert re.fullmatch("[0-9a-f]{64}", hashes.pop())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("warmup_bars_default: null", "warmup_bars_default: 201"),
        ("min_trades_default: 30", "min_trades_default: 0"),
        ("distinct_default: true", "distinct_default: false"),
        ("top_k_default: 300", "top_k_default: 299"),
        ("preselect_default: 20000", "preselect_default: 20001"),
        ("secondary_metric_default: null", "secondary_metric_default: sqn"),
        ("top_trades_n_default: 3", "top_trades_n_default: 4"),
        ("slippage_pct_default: 0.01", "slippage_pct_default: 0.02"),
        ("1: 0.075,", "1: 0.08,"),
        ("top_k_persisted_default: 300", "top_k_persisted_default: 301"),
        ("result_bytes_max: 33554432", "result_bytes_max: 33554431"),
    ],
)
def test_what_can_change_a_result_changes_the_hash(tmp_path: Path, old: str, new: str) -> None:
    assert hash_with(tmp_path, old, new) != load(environ=ENVIRON).runtime_config_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_variants_per_compute: 1000000000", "max_variants_per_compute: 700000"),
        ("max_stage_b_variants: 20000000", "max_stage_b_variants: 1000"),
        ("lease_seconds: 60", "lease_seconds: 90"),
        ("parallel_workers: 1 ", "parallel_workers: 2 "),
        ("retention_days: null", "retention_days: 7"),
        ("max_active_jobs_per_user: 3", "max_active_jobs_per_user: 4"),
        ("slippage_pct_default: 0.01", "slippage_pct_default: 0.010"),
    ],
)
def test_what_only_operates_does_not_change_the_hash(tmp_path: Path, old: str, new: str) -> None:
    assert hash_with(tmp_path, old, new) == load(environ=ENVIRON).runtime_config_hash


def test_settings_cannot_be_changed_by_accident() -> None:
    settings: Settings = load(environ=ENVIRON)
    with pytest.raises(ValueError, match="frozen"):
        settings.backtest.jobs.lease_seconds = 1.0
