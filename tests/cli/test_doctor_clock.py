"""The time of day of this machine beside that of Postgres and Redis."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dramatiq.brokers.redis import DEFAULT_HEARTBEAT_TIMEOUT

from cli.doctor import clock
from cli.doctor.clock import LIMIT_SECONDS, Difference, Reading, difference

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("shift", [0.0, 3.5, -3.5, 29.9, -29.9])
def test_a_difference_within_the_limit_is_nothing_to_be_done(shift: float) -> None:
    found = difference([Reading(1000.0 + shift, 1000.1, 1000.2 + shift)])
    assert found.seconds == pytest.approx(shift)
    assert found.uncertainty == pytest.approx(0.1)
    assert clock.of_postgres(found).grade == "ok"


@pytest.mark.parametrize(("shift", "side"), [(31.0, "ahead of"), (-31.0, "behind")])
def test_a_difference_beyond_the_limit_says_which_way_and_what_to_type(
    shift: float, side: str
) -> None:
    found = clock.of_postgres(difference([Reading(1000.0 + shift, 1000.0, 1000.0 + shift)]))
    assert found.grade == "note"
    assert f"31.0 s {side} Postgres" in found.found
    assert "timedatectl set-ntp true" in found.commands


def test_a_slow_answer_is_no_difference() -> None:
    """Nobody knows when within the forty seconds the other clock was read."""
    found = difference([Reading(1000.0, 1001.0, 1100.0)])
    assert (found.seconds, found.uncertainty) == (49.0, 50.0)
    assert clock.of_postgres(found).grade == "ok"


def test_the_quickest_of_several_answers_counts() -> None:
    slow, quick = Reading(1000.0, 1019.0, 1020.0), Reading(1020.0, 1020.0, 1020.002)
    for readings in ([slow, quick], [quick, slow]):
        assert difference(readings).seconds == pytest.approx(0.001)


def test_what_is_the_same_is_said_to_be_so_as_exactly_as_it_is_known() -> None:
    assert Difference(0.004, 0.001).beside("Postgres") == "as Postgres, within 0.05 s"
    assert Difference(0.4, 0.5).beside("Postgres") == "as Postgres, within 0.50 s"


def test_two_machines_within_the_limit_are_within_what_compares_their_clocks() -> None:
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8")
    silent = re.search(
        r"alert: BacktestSchedulerSilent.*?duty!=\"retention\"}\) > (\d+)", alerts, re.S
    )
    assert silent is not None
    assert 2 * LIMIT_SECONDS == float(silent[1]) == DEFAULT_HEARTBEAT_TIMEOUT / 1000


@pytest.mark.parametrize(
    ("shift", "grade", "said"),
    [
        ("+0", "ok", "as {}, within"),
        ("+5m", "note", r"(299|300)\.\d s ahead of {}"),
        ("-5m", "note", r"(299|300)\.\d s behind {}"),
    ],
)
def test_a_machine_whose_clock_is_set_wrong_is_told_so(
    postgres_server: str, redis_url: str, tmp_path: Path, shift: str, grade: str, said: str
) -> None:
    """The program's clock is set, servers keep theirs; both of them show it."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("no faketime here: install the package (Debian: apt-get install faketime)")
    ended = subprocess.run(
        [
            *(faketime, "--exclude-monotonic", "-f", shift),
            *(Path(sys.executable).with_name("backtest"), "doctor", "--within", "60", "--json"),
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "STRATEGY_PG_DSN": postgres_server, "REDIS_URL": redis_url},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = {finding["subject"]: finding for finding in json.loads(ended.stdout)}
    assert found["clock"]["grade"] == grade, ended.stdout
    assert re.match(said.format("Postgres"), found["clock"]["found"])
    assert re.match(said.format("Redis"), found["clock of Redis"]["found"])
    assert found["clock of Redis"]["grade"] == "ok"
