"""Examining Redis, which carries wake-ups: what it loses costs time, what it refuses stops jobs."""

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cli.doctor import clock
from cli.doctor.findings import Finding, counted, gigabytes, not_named
from cli.errors import printable
from configs.one_line import one_line

OLDEST = (6, 2)
CONNECT_SECONDS = 3.0
SCAN_SECONDS = 2.0
SCAN_KEYS = 1000
MOST_NAMES = 5

OUR_KEY = re.compile(
    r"(?P<namespace>.+):(backtest(\.DQ|\.XQ)?(\.msgs)?|__heartbeats__|__acks__\..+)"
)
HOW_TO_WRITE = "write it like redis://:password@host:6379/0, and / and @ in a password as %2F, %40"


def examine(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at its version, at what could make it refuse or forget, and at who else uses it."""
    import redis

    from configs.environment import assumed_addresses, redis_url

    if not variables.get("REDIS_URL"):
        yield not_named("Redis", "REDIS_URL", assumed_addresses(variables).get("REDIS_URL"))
        return
    url = redis_url(variables)
    try:
        with _client(url) as client:
            yield from _examined(client, variables)
    except ValueError:
        yield Finding("Redis", "wrong", "REDIS_URL cannot be understood", HOW_TO_WRITE)
    except (redis.AuthenticationError, redis.ResponseError) as error:
        advice = "correct user, password or database number in REDIS_URL"
        yield Finding("Redis", "wrong", one_line(error), advice)
    except redis.RedisError as error:
        yield Finding("Redis", "unreachable", one_line(error), "start it, or correct REDIS_URL")


def _client(url: str) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {"socket_timeout": CONNECT_SECONDS, "retry": Retry(NoBackoff(), retries=0)}
    if not url.startswith("unix:"):
        options["socket_connect_timeout"] = CONNECT_SECONDS
    return redis.Redis.from_url(url, **options)


def _examined(client: Any, variables: Mapping[str, str]) -> Iterator[Finding]:
    said, cli = client.info(), _cli(variables["REDIS_URL"])
    yield _server(said)
    yield _memory(said, cli)
    yield _persistence(said, client, cli)
    yield _keys(client, _namespace(variables), cli)
    yield clock.of_redis(clock.read(lambda: _time(client)))


def _cli(url: str) -> str:
    """Return how to type to this server, without its password."""
    if url.startswith("unix:"):
        return f"redis-cli -s {shlex.quote(urlsplit(url).path)}"
    return 'redis-cli -u "$REDIS_URL"'


def _time(client: Any) -> float:
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)


def _server(said: Mapping[str, Any]) -> Finding:
    version = str(said["redis_version"])
    limit = ".".join(map(str, OLDEST)) + " or newer"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return Finding("Redis", "wrong", f"version {version}", "install a newer one", limit)
    if said.get("role") == "slave":
        found = f"version {version}, a replica: wake-ups cannot be written"
        return Finding("Redis", "wrong", found, "name the master in REDIS_URL", limit)
    return Finding("Redis", "ok", f"version {version}", limit=limit)


def _memory(said: Mapping[str, Any], cli: str) -> Finding:
    used, most = int(said["used_memory"]), int(said.get("maxmemory", 0))
    policy = str(said.get("maxmemory_policy", "noeviction"))
    if not most:
        return Finding("Redis memory", "ok", f"{gigabytes(used)}, no maxmemory", limit="noeviction")
    found, limit = f"{gigabytes(used)} of {gigabytes(most)}, {policy}", "noeviction"
    if policy.startswith("allkeys-"):
        advice = (
            "when memory is short it drops wake-ups, too: no job is lost, but each such waits for "
            "redispatch_seconds to be sent again"
        )
        commands = (f"{cli} CONFIG SET maxmemory-policy noeviction",)
        return Finding("Redis memory", "note", found, advice, limit, commands)
    # Ours have no expiry, so volatile policies drop none of them, and refuse as noeviction does.
    if used >= most:
        advice = "it refuses writes, so no job is started: give it more, or make room in it"
        commands = (f"{cli} CONFIG SET maxmemory {2 * most}",)
        return Finding("Redis memory", "wrong", found, advice, limit, commands)
    return Finding("Redis memory", "ok", found, limit=limit)


def _persistence(said: Mapping[str, Any], client: Any, cli: str) -> Finding:
    subject = "Redis disk"
    if said.get("aof_enabled") and said.get("aof_last_write_status") == "err":
        advice = "it refuses writes, so no job is started: make room for it, or switch it off"
        commands = (f"{cli} CONFIG SET appendonly no",)
        return Finding(
            subject, "wrong", "the append-only file cannot be written", advice, "", commands
        )
    failed = said.get("rdb_last_bgsave_status") == "err"
    stops = failed and _setting(client, "stop-writes-on-bgsave-error") != "no"
    if stops and _setting(client, "save") != "":
        advice = "it refuses writes, so no job is started: make room for it, or save no more"
        commands = (f'{cli} CONFIG SET save ""',)
        return Finding(subject, "wrong", "the last snapshot failed", advice, "", commands)
    kept = "appendonly is on" if said.get("aof_enabled") else "appendonly is off"
    return Finding(subject, "ok", f"{kept}; nothing in it has to last, it needs no backup")


def _setting(client: Any, name: str) -> str | None:
    """Return a setting, None where we may not ask; one by one, as old servers want it."""
    import redis

    try:
        return str(client.config_get(name)[name])
    except (redis.RedisError, KeyError):
        return None


class _Scan(NamedTuple):
    """Keys by namespace of a deployment, under None those of others; `all` of the database."""

    number: Counter[str | None]
    all: bool


def _keys(client: Any, own: str | None, cli: str) -> Finding:
    found = _scan(client)
    others = sorted(name for name in found.number if name is not None and name != own)
    strangers = found.number[None]
    garbage = _garbage(client, own)
    parts = [
        f"{counted(found.number[own], 'key')} of ours"
        if own
        else "which keys are ours is not known"
    ]
    if others:
        names = ", ".join(others[:MOST_NAMES]) + (", …" if len(others) > MOST_NAMES else "")
        parts.append(f"shared with {names}")
    if strangers:
        parts.append(f"{counted(strangers, 'key')} of other programs")
    if not found.all:
        parts.append(f"only {sum(found.number.values())} of {client.dbsize()} keys looked at")
    if garbage:
        parts.append(f"{counted(garbage, 'message')} in our queue, no wake-up of ours")
        advice = "somebody else writes into our keys; workers drop it. Look for who it is:"
        commands = (f"{cli} LRANGE {own}:backtest 0 9", f"{cli} CLIENT LIST")
        return Finding("Redis keys", "note", "; ".join(parts), advice, "", commands)
    if others or strangers:
        advice = (
            "each deployment keeps to its own keys, nothing has to be done; who empties this Redis "
            "delays everybody's jobs for redispatch_seconds"
        )
        return Finding("Redis keys", "note", "; ".join(parts), advice)
    return Finding("Redis keys", "ok", "; ".join(parts))


def _scan(client: Any) -> _Scan:
    """Look at the keys, of a large database at those that can be seen in a moment."""
    number: Counter[str | None] = Counter()
    overdue_at, cursor = time.monotonic() + SCAN_SECONDS, 0
    while True:
        cursor, names = client.scan(cursor, count=SCAN_KEYS)
        for name in names:
            match = OUR_KEY.fullmatch(printable(name.decode("utf-8", "replace")))
            number[None if match is None else match["namespace"]] += 1
        if not cursor or time.monotonic() > overdue_at:
            return _Scan(number, all=not cursor)


def _garbage(client: Any, own: str | None) -> int:
    from dramatiq.brokers.redis import RedisBroker

    from tasks import wake_up

    if own is None:
        return 0
    broker = RedisBroker(client=client, namespace=own, middleware=[])  # type: ignore[no-untyped-call]
    return sum(wake_up.waiting(broker).garbage.values())


def _namespace(variables: Mapping[str, str]) -> str | None:
    """Return the namespace that programs with these variables use, None if nobody can say."""
    from cli.doctor import postgres
    from storage import schema

    if variables.get("REDIS_NAMESPACE"):
        return variables["REDIS_NAMESPACE"]
    try:
        return postgres.ask(variables, schema.namespace)
    except Exception:  # the finding about Postgres says why
        return None
