"""Examining the services of the environment: Postgres, Redis, candles, the API."""

from collections.abc import Mapping
from typing import Any

from cli.findings import Finding

OLDEST_REDIS = (6, 2)
ANSWER_SECONDS = 5.0


def postgres(variables: Mapping[str, str]) -> Finding:
    """Look at the schema, the version, and whether a pooler is in between."""
    from configs.environment import postgres_dsn
    from storage import readiness
    from storage.connection import Connection, address, never
    from storage.session import Session

    if not variables.get("STRATEGY_PG_DSN"):
        return _not_named("Postgres", "STRATEGY_PG_DSN")
    dsn = postgres_dsn(variables)
    readiness.look(dsn, abandon=never)
    session = Session(
        dsn,
        application_name="backtest-doctor",
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=ANSWER_SECONDS,
    )

    def look(conn: Connection) -> tuple[str, bool]:
        version = conn.info.server_version // 10_000
        return f"version {version} at {address(dsn)}, migrated", conn.pooled()

    try:
        found, pooled = session.run(look)
    finally:
        session.close()
    if pooled:
        advice = (
            "everything works, but new jobs and what streams tell are found by polling, not at "
            "once: give scheduler and API a DSN that leads to Postgres itself"
        )
        return Finding("Postgres", "note", f"{found}, behind a pooler", advice)
    return Finding("Postgres", "ok", found)


def redis_server(variables: Mapping[str, str]) -> Finding:
    """Look at the version, and who else uses it."""
    import redis

    from configs.environment import assumed_addresses, redis_url

    if not variables.get("REDIS_URL"):
        return _not_named("Redis", "REDIS_URL", assumed_addresses(variables).get("REDIS_URL"))
    try:
        with redis.Redis.from_url(
            redis_url(variables), socket_connect_timeout=ANSWER_SECONDS
        ) as client:
            version = str(client.info("server")["redis_version"])
            others = _deployments(client) - {_namespace(variables)}
    except redis.RedisError as error:
        return Finding("Redis", "unreachable", str(error), "start it, or correct REDIS_URL")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return Finding("Redis", "wrong", f"version {version}", "6.2 or newer is needed")
    if others:
        names = ", ".join(sorted(others))
        advice = "each deployment keeps to its own keys; nothing has to be done"
        return Finding("Redis", "note", f"version {version}, shared with {names}", advice)
    return Finding("Redis", "ok", f"version {version}")


def _deployments(client: Any) -> set[str]:
    """Return the namespaces of all deployments whose keys are in this Redis."""
    from tasks.wake_up import QUEUE

    ends = (f":{QUEUE}", f":{QUEUE}.msgs", ":__heartbeats__")
    return {
        name.decode().removesuffix(end)
        for end in ends
        for name in client.scan_iter(match=f"*{end}")
    }


def _namespace(variables: Mapping[str, str]) -> str | None:
    """Return the namespace that programs with these variables use, None if nobody can say."""
    from configs.environment import postgres_dsn
    from storage import readiness
    from storage.connection import never

    if variables.get("REDIS_NAMESPACE"):
        return variables["REDIS_NAMESPACE"]
    try:
        return readiness.look(postgres_dsn(variables), abandon=never)
    except Exception:  # the finding about Postgres says why
        return None


def candles(variables: Mapping[str, str]) -> Finding:
    """Look at what the candle store holds."""
    from configs.environment import assumed_addresses, candle_source
    from storage.candles import open_store

    if not variables.get("CH_HOST") and not variables.get("ROEHUB_CANDLES_DIR"):
        assumed = assumed_addresses(variables).get("CH_HOST")
        return _not_named("candles", "CH_HOST or ROEHUB_CANDLES_DIR", assumed)
    with open_store(candle_source(variables)) as store:
        instruments = store.instruments()
    if not instruments:
        return Finding("candles", "note", "the store is empty", "backtest candles import FILE")
    return Finding("candles", "ok", f"{len(instruments)} instruments")


def api(variables: Mapping[str, str]) -> Finding:
    """Look at whether it answers, can work, and knows the user."""
    from cli.client import Client

    url = variables.get("ROEHUB_API_URL")
    if not url:
        advice = "backtest up starts one; elsewhere set it to the address of the product's API"
        return Finding("API", "note", "ROEHUB_API_URL is not set", advice)
    with Client(variables) as client:
        client.ready()
        client.jobs(limit=1)
    return Finding("API", "ok", f"ready at {url}")


def _not_named(subject: str, variable: str, assumed: str | None = None) -> Finding:
    advice = "backtest up starts an embedded one"
    if assumed is not None:
        advice += f"; scheduler and worker take {assumed}"
    return Finding(subject, "note", f"{variable} is not set", advice)
