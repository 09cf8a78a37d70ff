"""Environment variables: what is missing or bad is named, secrets are not shown."""

from pathlib import Path

import pytest

from configs.environment import (
    CandlesFolder,
    ClickHouseServer,
    SettingsError,
    assumed_addresses,
    candle_source,
    metrics_port,
    migrations_dsn,
    postgres_dsn,
    redis_namespace,
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


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ROEHUB_ENV": "prod"},
        {"REDIS_URL": "localhost:6379"},
        {"ROEHUB_ENV": "dev", "REDIS_URL": "http://"},
    ],
)
def test_a_missing_or_bad_redis_url_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*redis://"):
        redis_url(environ)


@pytest.mark.parametrize("env", ["dev", "test"])
def test_the_addresses_of_dev_and_test_are_local_where_none_is_set(env: str) -> None:
    environ = {"ROEHUB_ENV": env, "STRATEGY_PG_DSN": DSN}
    assert redis_url(environ) == "redis://127.0.0.1:6379/0"
    source = candle_source(environ)
    assert isinstance(source, ClickHouseServer)
    assert (source.host, source.port) == ("127.0.0.1", 8123)
    assert assumed_addresses(environ) == {
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "CH_HOST": "127.0.0.1",
    }


@pytest.mark.parametrize(
    ("environ", "assumed"),
    [
        ({"REDIS_URL": "redis://h", "CH_HOST": "ch"}, set()),
        ({"REDIS_URL": " ", "CH_HOST": ""}, {"REDIS_URL", "CH_HOST"}),
        ({"REDIS_URL": "redis://h"}, {"CH_HOST"}),
        ({"ROEHUB_CANDLES_DIR": "/data"}, {"REDIS_URL"}),
        ({"ROEHUB_ENV": "prod"}, set()),
        ({"ROEHUB_ENV": ""}, set()),
    ],
)
def test_a_program_can_say_which_addresses_were_assumed(
    environ: dict[str, str], assumed: set[str]
) -> None:
    assert set(assumed_addresses({"ROEHUB_ENV": "dev"} | environ)) == assumed


def test_what_is_set_beats_what_is_assumed() -> None:
    environ = {"ROEHUB_ENV": "dev", "REDIS_URL": "redis://h:1/2", "CH_HOST": "ch"}
    assert redis_url(environ) == "redis://h:1/2"
    source = candle_source(environ)
    assert isinstance(source, ClickHouseServer)
    assert source.host == "ch"
    assert candle_source({"ROEHUB_ENV": "dev", "ROEHUB_CANDLES_DIR": "/d"}) == CandlesFolder(
        Path("/d")
    )


@pytest.mark.parametrize("text", ["blue", "A.b_c:d-9", "x" * 64])
def test_a_redis_namespace_is_taken_as_it_is(text: str) -> None:
    assert redis_namespace({"REDIS_NAMESPACE": text}) == text


@pytest.mark.parametrize("environ", [{}, {"REDIS_NAMESPACE": ""}])
def test_without_a_redis_namespace_the_database_names_it(environ: dict[str, str]) -> None:
    assert redis_namespace(environ) is None


@pytest.mark.parametrize("text", ["a b", "x" * 65, "a*", "blue\n", "синий", "\x00"])
def test_a_bad_redis_namespace_is_refused_with_what_it_may_be(text: str) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_NAMESPACE must be 1 to 64 .*got") as caught:
        redis_namespace({"REDIS_NAMESPACE": text})
    assert "\n" not in str(caught.value)


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
        ({"ROEHUB_ENV": "prod"}, "CH_HOST is not set.*ROEHUB_CANDLES_DIR"),
        ({"CH_HOST": "ch", "ROEHUB_CANDLES_DIR": "/data"}, "both set"),
        ({"CH_HOST": "ch", "CH_PORT": "http"}, "CH_PORT.*'http'"),
        ({"CH_HOST": "ch", "CH_SECURE": "yes"}, "CH_SECURE must be 0 or 1, got 'yes'"),
        ({"CH_HOST": "ch", "CH_VERIFY": "true"}, "CH_VERIFY must be 0 or 1"),
    ],
)
def test_a_bad_candle_source_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        candle_source(environ)
