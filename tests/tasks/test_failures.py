"""Whom a failure names, when nobody could say a last word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.records import FailureCode
from tasks import failures
from tasks.messages import Failed
from tests.engine.indicators.distributions import Folder

SILENT = failures.stalled(600)
DIED = failures.of_death(-11)


@pytest.fixture
def _acme(tmp_path: Path) -> Iterator[None]:
    """A plugin that brings `acme.value`."""
    folder = Folder(tmp_path)
    folder.install("acme")
    with folder.imported():
        yield


def request(*ids: str, exits: tuple[str, ...] = ()) -> dict[str, Any]:
    blocks = [[{"indicator_id": id_} for id_ in each] for each in (ids, exits)]
    return {"template": {"indicator_grids": blocks[0], "exit_grids": blocks[1]}}


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize("failure", [SILENT, DIED], ids=["silent", "died"])
@pytest.mark.parametrize(
    "asked",
    [request("ma.sma", "acme.value"), request("ma.sma", exits=("acme.value",))],
    ids=["opens", "closes"],
)
def test_who_dies_or_falls_silent_names_the_plugins_it_ran(
    failure: Failed, asked: dict[str, Any]
) -> None:
    named = failures.suspecting(failure, asked)
    assert named.code == failure.code
    assert named.message == (
        f"{failure.message}; it computed indicators of plugin acme (acme-indicators-1.0.0)"
    )
    assert named.details == {**failure.details, "plugins": ["plugin acme (acme-indicators-1.0.0)"]}


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (DIED, request("ma.sma")),
        (DIED, {"template": None}),
        (DIED, {"template": {"indicator_grids": [7]}}),
        (failures.out_of_memory(2**30), request("acme.value")),
        (Failed(FailureCode.NO_MARKET_DATA, "none"), request("acme.value")),
    ],
    ids=["no plugin", "no template", "no block", "out of memory", "no candles"],
)
def test_no_other_failure_does(failure: Failed, asked: dict[str, Any]) -> None:
    assert failures.suspecting(failure, asked) == failure
