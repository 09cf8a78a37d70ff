"""Environment variables: what is missing or bad is named, secrets are not shown."""

from pathlib import Path

import pytest

from configs.environment import (
    CandlesFolder,
    ClickHouseServer,
    SettingsError,
    candle_source,
    metrics_port,
    migrations_dsn,
    postgres_dsn,
    redis_url,
)

DSN = "postgresql://user:secret@127.0.0.1:5432/roehub"


def test_the_two_dsns_come_from_their_own_variables() -> None:
    environ = {"STRATEGY_PG_DSN": DSN, "POSTGRES_DSN": "host=/tmp dbname=roehub"}
    assert postgres_dsn(environ) == DSN
    assert migrations_dsn(environ) == "host=/tmp dbname=roehub"


def test_a_missing_dsn_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError, match=r"STRATEGY_PG_DSN is not set.*postgresql://"):
        postgres_dsn({"POSTGRES_DSN": DSN})
    with pytest.raises(SettingsError, match="POSTGRES_DSN is not set"):
        migrations_dsn({"STRATEGY_PG_DSN": DSN, "POSTGRES_DSN": " "})


def test_a_bad_dsn_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError) as caught:
        postgres_dsn({"STRATEGY_PG_DSN": "secret"})
    assert "STRATEGY_PG_DSN" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://h", "unix:///tmp/redis.sock"])
def test_redis_urls_are_accepted(url: str) -> None:
    assert redis_url({"REDIS_URL": url}) == url


@pytest.mark.parametrize("environ", [{}, {"REDIS_URL": "localhost:6379"}, {"REDIS_URL": "http://"}])
def test_a_missing_or_bad_redis_url_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*redis://"):
        redis_url(environ)


def test_the_metrics_port_has_a_default() -> None:
    assert metrics_port({}, 9205) == 9205
    assert metrics_port({"ROEHUB_METRICS_PORT": "9300"}, 9205) == 9300


@pytest.mark.parametrize("text", ["0", "65536", "x", "9204.5", "-1", "٣"])
def test_a_bad_metrics_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ROEHUB_METRICS_PORT.*1 to 65535"):
        metrics_port({"ROEHUB_METRICS_PORT": text})


def test_candles_come_from_a_server_or_a_folder() -> None:
    assert candle_source({"ROEHUB_CANDLES_DIR": "/data"}) == CandlesFolder(Path("/data"))
    assert candle_source({"CH_HOST": "ch"}) == ClickHouseServer(
        host="ch",
        port=8123,
        database="market_data",
        user="default",
        password="",
        secure=False,
        verify=True,
    )


def test_every_clickhouse_variable_counts() -> None:
    environ = {
        "CH_HOST": "ch",
        "CH_PORT": "18443",
        "CH_DATABASE": "prices",
        "CH_USER": "reader",
        "CH_PASSWORD": "secret",
        "CH_SECURE": "1",
        "CH_VERIFY": "0",
    }
    source = candle_source(environ)
    assert source == ClickHouseServer("ch", 18443, "prices", "reader", "secret", True, False)
    assert "secret" not in repr(source)


def test_the_long_names_of_user_and_password_work_and_the_short_ones_win() -> None:
    environ = {"CH_HOST": "ch", "CLICKHOUSE_USER": "a", "CLICKHOUSE_PASSWORD": "b"}
    source = candle_source(environ)
    assert isinstance(source, ClickHouseServer)
    assert (source.user, source.password) == ("a", "b")
    source = candle_source(environ | {"CH_USER": "c", "CH_PASSWORD": "d"})
    assert isinstance(source, ClickHouseServer)
    assert (source.user, source.password) == ("c", "d")


def test_a_secure_server_has_its_own_default_port() -> None:
    source = candle_source({"CH_HOST": "ch", "CH_SECURE": "1"})
    assert isinstance(source, ClickHouseServer)
    assert source.port == 8443


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "CH_HOST is not set.*ROEHUB_CANDLES_DIR"),
        ({"CH_HOST": "ch", "ROEHUB_CANDLES_DIR": "/data"}, "both set"),
        ({"CH_HOST": "ch", "CH_PORT": "http"}, "CH_PORT.*'http'"),
        ({"CH_HOST": "ch", "CH_SECURE": "yes"}, "CH_SECURE must be 0 or 1, got 'yes'"),
        ({"CH_HOST": "ch", "CH_VERIFY": "true"}, "CH_VERIFY must be 0 or 1"),
    ],
)
def test_a_bad_candle_source_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        candle_source(environ)
