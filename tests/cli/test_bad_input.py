"""Every mistake a user can make: one clear message, the right code, nothing left behind."""

import gzip
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.api.running import Api
from tests.cli.conftest import REQUEST, Backtest, become, changed, submitted, written

SHIPPED = Path(__file__).parents[2] / "configs" / "test" / "backtest.yaml"

GRID = "template__indicator_grids__0"


def no_jobs(service: Backtest) -> bool:
    """Whether the user of this test has none."""
    return bool(service("jobs", "--json").json == [])


def axis(**values: Any) -> dict[str, Any]:
    return values


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param('{"time_range": ', ["line 1"], id="not JSON"),
        pytest.param("[1, 2]", ["request"], id="not an object"),
        pytest.param({}, ["time_range", "template"], id="empty"),
        pytest.param(changed(tmplate={}), ["tmplate"], id="unknown key"),
        pytest.param(
            changed(**{f"{GRID}__indicator_id": "ma.crss"}),
            ["template.indicator_grids[0].indicator_id", "ma.cross"],
            id="unknown indicator",
        ),
        pytest.param(
            changed(**{f"{GRID}__params__windw": axis(mode="explicit", values=[5])}),
            ["template.indicator_grids[0].params.windw"],
            id="unknown parameter",
        ),
        pytest.param(
            changed(
                **{
                    GRID.replace("__0", ""): [
                        {
                            "indicator_id": "volatility.bbands",
                            "output": "middle",
                            "params": {
                                "window": axis(mode="explicit", values=[20]),
                                "mult": axis(mode="explicit", values=[2.0]),
                            },
                        }
                    ]
                }
            ),
            ["template.indicator_grids[0].params.mult"],
            id="unused parameter",
        ),
        pytest.param(
            changed(**{f"{GRID}__params__fast": axis(mode="range", start=5, stop_incl=9, step=0)}),
            ["template.indicator_grids[0].params.fast.step"],
            id="zero step",
        ),
        pytest.param(
            changed(template__risk_grid__sl=axis(mode="range", start=1, stop_incl=10**9, step=1)),
            ["template.risk_grid.sl"],
            id="a billion values",
        ),
        pytest.param(
            changed(time_range__end="2023-01-01T00:00:00Z"), ["time_range"], id="end before start"
        ),
        pytest.param(
            changed(template__timeframe="7m"), ["template.timeframe", "15m"], id="timeframe"
        ),
        pytest.param(
            changed(
                **{
                    f"{GRID}__params__fast": axis(mode="range", start=2, stop_incl=9999, step=1),
                    f"{GRID}__params__slow": axis(
                        mode="range", start=10**4, stop_incl=130_000, step=1
                    ),
                }
            ),
            ["1000000000 variants"],
            id="guard exceeded",
        ),
        pytest.param(
            changed(template__timeframe="7m", top_k=0), ["template.timeframe", "top_k"], id="two"
        ),
    ],
)
def test_a_refused_request_names_its_fields_and_stores_nothing(
    service: Backtest,
    tmp_path: Path,
    document: Any,
    said: list[str],
) -> None:
    ended = service("submit", written(tmp_path, document))
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("backtest: the request is refused")
    assert "Traceback" not in ended.err
    for text in said:
        assert any(part in ended.err for part in text.split("|")), ended.err
    assert no_jobs(service)


def test_a_missing_request_file_is_named(service: Backtest) -> None:
    ended = service("submit", "nowhere.json")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "nowhere.json" in ended.err


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lease_seconds": -1}, "backtest.jobs.lease_seconds"),
        ({"lease_second": 60}, "backtest.jobs.lease_second"),
        ({"heartbeat_seconds": 50}, "backtest.jobs.heartbeat_seconds"),
    ],
)
def test_a_bad_configuration_names_the_key(
    service: Backtest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    key: str,
) -> None:
    document = yaml.safe_load(SHIPPED.read_text())
    document["backtest"]["jobs"] |= change
    config = tmp_path / "bad.yaml"
    config.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("ROEHUB_BACKTEST_CONFIG", str(config))
    ended = service("api", "--port", 0)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert key in ended.err


def test_yaml_that_cannot_be_read_names_the_line(
    service: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("version: 1\nbacktest: {jobs: [\n")
    monkeypatch.setenv("ROEHUB_BACKTEST_CONFIG", str(config))
    ended = service("api", "--port", 0)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "broken.yaml" in ended.err
    assert "line" in ended.err


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("indicators.yaml", "indicators: {ma.demaa: {}}", ["indicators.ma.demaa", "ma.dema"]),
        (
            "indicators.yaml",
            "indicators: {ma.sma: {params: {window: {mode: range, start: .nan, stop_incl: 9, "
            "step: 0}}}}",
            ["indicators.ma.sma.params.window.start", "indicators.ma.sma.params.window.step"],
        ),
        (
            "backtest.yaml",
            "backtest: {ranking: {primary_metric_default: sharpee}}",
            ["backtest.ranking.primary_metric_default", "did you mean sharpe"],
        ),
    ],
)
def test_defaults_that_the_engine_refuses_are_named_by_file_and_key(
    service: Backtest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    text: str,
    said: list[str],
) -> None:
    (tmp_path / "backtest.yaml").write_text(SHIPPED.read_text())
    (tmp_path / file).write_text(text)
    monkeypatch.setenv("ROEHUB_BACKTEST_CONFIG", str(tmp_path / "backtest.yaml"))
    monkeypatch.setenv("ROEHUB_JWT_SECRET", "s" * 32)
    for command in (("api", "--port", 0), ("indicators",)):
        ended = service(*command)
        assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
        assert str(tmp_path / file) in ended.err
        assert all(part in ended.err for part in said), ended.err


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("k" * 7000, "has 7000 characters, it must have 1 to 255"),
        ("k\udcff", "must be printable text"),
        ("", "is empty"),
    ],
)
def test_an_idempotency_key_that_cannot_be_stored_is_refused(
    service: Backtest, tmp_path: Path, key: str, said: str
) -> None:
    ended = service("submit", written(tmp_path, REQUEST), "--idempotency-key", key)
    assert (ended.code, ended.out) == (2, "")
    assert f"idempotency_key: {said}" in ended.err
    assert no_jobs(service)


def test_without_a_stack_or_an_address_the_user_learns_what_to_do(backtest: Backtest) -> None:
    ended = backtest("jobs")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "backtest up" in ended.err
    assert "ROEHUB_API_URL" in ended.err


@pytest.mark.parametrize("command", ["show", "top", "watch", "cancel", "report"])
def test_an_unknown_job_is_code_2(service: Backtest, command: str) -> None:
    job_id = uuid4()
    ended = service(command, job_id)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert str(job_id) in ended.err


@pytest.mark.parametrize("command", ["show", "top", "watch", "cancel", "report"])
def test_another_users_job_is_not_shown(
    service: Backtest,
    served: Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    job_id = submitted(service, tmp_path)
    become(monkeypatch, served)
    ended = service(command, job_id)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "belongs to another user" in ended.err


@pytest.mark.parametrize("text", ["123", "not-an-id", "", "3f0c" * 9, "3f0c%"])
def test_an_id_that_is_none_is_a_usage_error(service: Backtest, text: str) -> None:
    ended = service("show", text)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{text!r} is no job id" in ended.err
    assert "4 hexadecimal digits" in ended.err


def test_an_unknown_state_is_a_usage_error(service: Backtest) -> None:
    ended = service("jobs", "--state", "done")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "succeeded" in ended.err


def test_a_full_quota_is_said_and_nothing_is_stored(service: Backtest, tmp_path: Path) -> None:
    for _ in range(3):
        submitted(service, tmp_path)
    ended = service("submit", written(tmp_path, REQUEST))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "3" in ended.err
    assert len(service("jobs", "--json").json) == 3


def test_a_key_used_for_another_request_is_a_conflict(service: Backtest, tmp_path: Path) -> None:
    service("submit", written(tmp_path, REQUEST), "--idempotency-key", "k")
    ended = service("submit", written(tmp_path, changed(top_k=3)), "--idempotency-key", "k")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "key" in ended.err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.csv", b"this,is,not\na,candle,file\n"),
        ("binary.csv", bytes(range(256))),
        ("empty.csv", b""),
        (
            "broken.csv.gz",
            gzip.compress(b"ts_open,open,high,low,close,volume\n" * 99, mtime=0)[:-9],
        ),
        ("not.parquet", b"PAR1 but no more"),
    ],
)
def test_an_unreadable_candle_file_is_one_message(
    service: Backtest, tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    ended = service("candles", "import", file, "--market-id", 1, "--symbol", "X")
    assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
    assert name in ended.err
    assert [one["symbol"] for one in service("candles", "list", "--json").json] == ["TESTUSDT"]


def test_candles_without_a_source_say_what_to_set(backtest: Backtest, tmp_path: Path) -> None:
    ended = backtest("candles", "list")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_CANDLES_DIR" in ended.err


def test_a_candle_server_that_is_away_is_code_3(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROEHUB_CANDLES_DIR")
    monkeypatch.setenv("CH_HOST", "127.0.0.1")
    monkeypatch.setenv("CH_PORT", "1")
    monkeypatch.setenv("CH_PASSWORD", "s3cret")
    ended = service("candles", "list")
    assert (ended.code, ended.err.count("\n")) == (3, 1)
    assert "s3cret" not in ended.err


def test_a_bad_metrics_port_stops_the_worker_before_it_starts(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("ROEHUB_METRICS_PORT", "http")
    ended = service("worker")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_METRICS_PORT" in ended.err


def test_errors_of_a_request_are_sorted_by_path(service: Backtest, tmp_path: Path) -> None:
    document = changed(template__timeframe="7m", top_k=0, preselect=0)
    ended = service("submit", written(tmp_path, document))
    paths = [line.strip().partition(":")[0] for line in ended.err.splitlines()[1:]]
    assert paths == sorted(paths)
    assert len(paths) >= 3


def test_a_fault_of_ours_is_one_line_too(
    service: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.client import Client

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("something\nodd")

    monkeypatch.setattr(Client, "jobs", broken)
    ended = service("jobs")
    assert (ended.code, ended.err.count("\n")) == (70, 1)
    assert "ZeroDivisionError" in ended.err
