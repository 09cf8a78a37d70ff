"""The configuration file: strict, and every refusal one line with the key path."""

import re
from pathlib import Path
from typing import get_args

import pytest

from configs.settings import ENVIRONMENTS, Metric, Settings, SettingsError, load
from engine.metric_names import METRICS
from engine.request import Defaults, Limits

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ENVIRON = {"ROEHUB_ENV": "test"}


def changed(folder: Path, old: str, new: str, file: str = "backtest.yaml") -> Path:
    """A copy of the shipped files with one text replaced."""
    for name in ("backtest.yaml", "indicators.yaml"):
        text = (CONFIGS / "test" / name).read_text()
        if name == file:
            assert old in text
            text = text.replace(old, new, 1)
        (folder / name).write_text(text)
    return folder / "backtest.yaml"


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
    assert settings.backtest.warmup_bars_default == 200
    assert settings.backtest.jobs.lease_seconds == 60
    assert settings.backtest.jobs.retention_days is None
    assert settings.backtest.execution.fee_pct_default_by_market_id[2] == 0.1
    assert "ma.sma" in settings.indicator_grids


def test_the_settings_fill_what_the_engine_asks_for() -> None:
    settings = load(environ=ENVIRON)
    assert Defaults(**settings.request_defaults()).top_k == 300
    assert Limits(**settings.request_limits()).max_variants_per_compute == 600_000


def test_the_metrics_of_the_file_are_those_of_the_engine() -> None:
    assert get_args(Metric) == METRICS


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


def test_default_grids_beside_the_file_beat_the_shipped_ones(tmp_path: Path) -> None:
    path = changed(tmp_path, "stop_incl: 50", "stop_incl: 51", "indicators.yaml")
    window = load(path, ENVIRON).indicator_grids["ma.cross"]["params"]["fast"]
    assert window["stop_incl"] == 51
    (tmp_path / "indicators.yaml").unlink()
    window = load(path, ENVIRON).indicator_grids["ma.cross"]["params"]["fast"]
    assert window["stop_incl"] == 50


@pytest.mark.parametrize("environ", [{}, {"ROEHUB_ENV": ""}, {"ROEHUB_ENV": "staging"}])
def test_a_missing_or_unknown_environment_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"ROEHUB_ENV.*dev, test, prod"):
        load(environ=environ)


REFUSED = {
    "unknown key": (
        "max_crashes: 3",
        "max_crashs: 3",
        ["backtest.jobs.max_crashs: unknown key", "backtest.jobs.max_crashes", "missing"],
    ),
    "unknown section": ("  reporting:", "  report:", ["backtest.report: unknown key"]),
    "missing key": (
        "retention_days: null",
        "# retention_days: null",
        ["backtest.jobs.retention_days", "missing"],
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
    "unknown metric": (
        "primary_metric_default: total_return_pct",
        "primary_metric_default: total_return",
        ["backtest.ranking.primary_metric_default", "'total_return'"],
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
        "  warmup_bars_default: 200",
        "  warmup_bars_default: 200\n  warmup_bars_default: 100",
        ["line 5", "warmup_bars_default", "twice"],
    ),
    "bad yaml": ("guards: {", "guards: [", ["line 8", "invalid YAML"]),
    "tab": ("  guards:", "\tguards:", ["line 8", "invalid YAML"]),
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


def test_a_bad_default_grid_is_named_by_its_path(tmp_path: Path) -> None:
    path = changed(tmp_path, "stop_incl: 50", "stop: 50", "indicators.yaml")
    message = refusal(path)
    assert "indicators.yaml" in message
    assert "indicators.ma.cross.params.fast.stop: unknown key" in message


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
        ("warmup_bars_default: 200", "warmup_bars_default: 201"),
        ("top_k_default: 300", "top_k_default: 299"),
        ("preselect_default: 20000", "preselect_default: 20001"),
        ("secondary_metric_default: null", "secondary_metric_default: sqn"),
        ("top_trades_n_default: 3", "top_trades_n_default: 4"),
        ("slippage_pct_default: 0.01", "slippage_pct_default: 0.02"),
        ("1: 0.075,", "1: 0.08,"),
        ("top_k_persisted_default: 300", "top_k_persisted_default: 301"),
    ],
)
def test_what_can_change_a_result_changes_the_hash(tmp_path: Path, old: str, new: str) -> None:
    assert hash_with(tmp_path, old, new) != load(environ=ENVIRON).runtime_config_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_variants_per_compute: 600000", "max_variants_per_compute: 700000"),
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
