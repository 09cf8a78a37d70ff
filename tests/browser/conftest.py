"""A headless Chromium, and report pages for it to open."""

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, sync_playwright

from cli import html_report
from tests.api.running import Caller
from tests.browser.job_page import HOSTILE, KEPT, read
from tests.browser.stack import DESKTOP, HOURLY, Stack, Visit, running_stack
from tests.making_jobs import REQUEST, TABLE
from tests.storage.making import new_database

START = datetime(2024, 1, 1, tzinfo=UTC)
BARS = 35_040
BAR = timedelta(minutes=15)
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is the same engine without a window, whose parts take as long as the pages in it."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser that the machine has; tests that need it skip where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed: `make packages` as root does it")
    with sync_playwright() as playwright:
        # With the last, one visit after the other finds the scripts of the product compiled.
        options = ["--no-sandbox", "--disable-gpu", "--process-per-site"]
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


def page_of(trades: int, *, symbol: str = "BTCUSDT") -> str:
    """The page of a variant of a year of 15-minute bars with so many trades."""
    walk = random.Random(7)
    closes = [100.0]
    for _ in range(BARS - 1):
        closes.append(closes[-1] * (1 + walk.gauss(0, 0.004)))
    times = [_ms(bar + 1) for bar in range(BARS)]
    equity = [[times[bar], closes[bar] * 100] for bar in range(0, BARS, 36)]
    return html_report.page(
        _status(symbol), _row(_trades(walk, closes, trades), equity), times, closes
    )


def _trades(walk: random.Random, closes: list[float], count: int) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        entry, exit_ = number * BARS // count, (number + 1) * BARS // count - 1
        net = walk.gauss(0, 137.123456789)
        made.append(
            {
                "id": number + 1,
                "direction": ("long", "short")[number % 2],
                "entry_time": _text(entry),
                "exit_time": _text(exit_),
                "entry_price": closes[entry],
                "exit_price": closes[exit_],
                "quantity": 1.23456789012345,
                "entry_quote": 9949.512345678,
                "exit_quote": 10320.751234567,
                "entry_fee": 7.51234567,
                "exit_fee": 7.71234567,
                "gross_pnl": net + 15,
                "net_pnl": net,
                "return_pct": net / 100,
                "exit_reason": ("signal_exit", "sl", "tp", "forced_close")[number % 4],
            }
        )
    return made


def _status(symbol: str) -> dict[str, Any]:
    template = REQUEST["template"] | {
        "instrument_id": {"market_id": 1, "symbol": symbol},
        "direction_mode": "long-short",
        "sizing_mode": "all_in",
        "execution": {
            "init_cash_quote": 10_000,
            "fee_pct": 0.075,
            "slippage_pct": 0.01,
            "fixed_quote": 100,
            "safe_profit_percent": 30,
        },
    }
    return {
        "job_id": "3f0c0d0e-0000-4000-8000-000000000000",
        "state": "succeeded",
        "engine_version": "1.0.0 0123456789abcdef",
        "request": {
            **REQUEST,
            "template": template,
            "ranking": {
                "primary_metric": "sortino",
                "secondary_metric": None,
                "min_trades": 30,
                "distinct": True,
            },
        },
        "verdict": ["The best of 28 431 variants lost money.", "Data cover 31 of 365 days."],
        "coverage": {
            "traded": {"start": "2024-01-01T00:00:00Z", "end": "2024-12-31T00:00:00Z"},
        },
    }


def _row(trades: list[dict[str, Any]], equity: list[list[float]]) -> dict[str, Any]:
    return {
        "rank": 1,
        "variant_key": "a" * 64,
        "twins": 17,
        "total_return_pct": -12.5,
        "metrics_json": {
            "total_return_pct": -12.5,
            "benchmark_return_pct": 3.2,
            "max_drawdown_pct": 31.0,
            "num_trades": len(trades),
            "sortino": None,
            "profit_factor": None,
            "infinite": ["sortino"],
        },
        "payload_json": {
            "blocks": [
                {
                    "name": "ma.cross",
                    "indicator_id": "ma.cross",
                    "output": "diff",
                    "source": "close",
                    "params": {"ma": "sma", "fast": 5, "slow": 20},
                    "signals": {},
                }
            ],
            "risk": {"sl": 2.0, "tp": None, "tsl": None},
        },
        "report_table_md": TABLE,
        "trades": trades,
        "equity": equity,
        "trades_omitted": False,
    }


def _text(bar: int) -> str:
    return f"{START + bar * BAR:%Y-%m-%dT%H:%M:%SZ}"


def _ms(bar: int) -> int:
    return int((START + bar * BAR).timestamp() * 1000)


@pytest.fixture(scope="package")
def stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """The whole product on a database of its own, for all tests of pages."""
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running_stack(dsn, redis_url, tmp_path_factory.mktemp("stack")) as running,
    ):
        yield running


@pytest.fixture(params=[None], ids=[""])
def visit(request: pytest.FixtureRequest, stack: Stack, chromium: Browser) -> Iterator[Visit]:
    """A browser of a user who was never here; a parameter is (theme, size) of the window."""
    theme, size = request.param or ("light", DESKTOP)
    with stack.visit(chromium, theme=theme, size=size) as opened:
        yield opened
        stack.cancel_all(opened.user)


@pytest.fixture(scope="package")
def owner(stack: Stack) -> Caller:
    """A user whose jobs several files look at."""
    return stack.api.as_user(uuid4())


@pytest.fixture(scope="package")
def job_id(stack: Stack, owner: Caller) -> str:
    """A finished sweep that kept the trades of its three best variants."""
    return stack.finished(owner, HOURLY, name=HOSTILE, top_trades_n=KEPT)


@pytest.fixture
def opened(stack: Stack, chromium: Browser, owner: Caller, job_id: str) -> Iterator[Visit]:
    """The page of the finished sweep."""
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        read(visit, job_id)
        yield visit
        assert visit.complaints == []
