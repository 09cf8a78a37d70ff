"""Examining the candle store and the API."""

from collections.abc import Iterator, Mapping

from cli.doctor.findings import Finding, not_named

ANSWER_SECONDS = 5


def candles(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at what the candle store holds."""
    from configs.environment import CandlesFolder, assumed_addresses, candle_source
    from storage.candles import open_store

    if not variables.get("CH_HOST") and not variables.get("ROEHUB_CANDLES_DIR"):
        assumed = assumed_addresses(variables).get("CH_HOST")
        yield not_named("candles", "CH_HOST or ROEHUB_CANDLES_DIR", assumed)
        return
    source = candle_source(variables)
    with open_store(source, answer_seconds=ANSWER_SECONDS) as store:
        instruments = store.names()
        version = store.version()
    engine = "embedded chDB" if isinstance(source, CandlesFolder) else "ClickHouse"
    if not instruments:
        said = f"the store is empty, {engine} {version}"
        yield Finding("candles", "note", said, "import some", "", ("backtest candles import FILE",))
    else:
        yield Finding("candles", "ok", f"{len(instruments)} instruments, {engine} {version}")


def api(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at whether it answers, can work, and knows the user."""
    from cli.client import Client

    url = variables.get("ROEHUB_API_URL")
    if not url:
        advice = "backtest up starts one; elsewhere set it to the address of the product's API"
        yield Finding("API", "note", "ROEHUB_API_URL is not set", advice)
        return
    with Client(variables) as client:
        client.ready()
        client.jobs(limit=1)
    yield Finding("API", "ok", f"ready at {url}")
