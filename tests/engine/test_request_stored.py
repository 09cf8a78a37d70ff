"""Stored requests: they name everything, and stay readable in every later version."""

import pytest

from engine.request import RequestError, complete, parse
from tests.engine.requests import DEFAULTS, LIMITS, document


@pytest.mark.parametrize("path", ["warmup_bars", "top_k", "ranking", "template"])
def test_an_effective_request_must_name_everything(path: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective[path]
    with pytest.raises(RequestError, match=f"{path}: is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["fee_pct", "init_cash_quote", "fixed_quote"])
def test_an_effective_request_must_name_every_cost(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["execution"][name]
    with pytest.raises(RequestError, match=f"template.execution.{name}: is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["name", "output", "source", "params", "signals"])
def test_an_effective_block_must_name_everything(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["indicator_grids"][0][name]
    with pytest.raises(RequestError, match="is missing"):
        parse(effective)
