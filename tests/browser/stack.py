"""The whole product for a browser: real services, scheduler, worker and API, once per session."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api import tokens
from cli import programs
from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from tests.api.running import OURS, Api, Caller, running
from tests.browser.tabs import Tabs, heard

Theme = Literal["light", "dark"]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}

DAYS = 90
SYMBOL = "BTCUSDT"
SECONDS = 60.0
"""How long a condition is waited for: machines may be busy."""

COMPILED_WITHIN = 900.0
"""How long the first sweep may take: its worker may have kernels to compile."""

expect.set_options(timeout=SECONDS * 500)

SWEEP: dict[str, Any] = {
    "time_range": {"start": "2024-01-15", "end": "2024-03-01"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": SYMBOL},
        "timeframe": "15m",
        "indicator_grids": [
            {
                "indicator_id": "ma.sma",
                "params": {"window": {"mode": "range", "start": 10, "stop_incl": 60, "step": 10}},
            },
            {
                "indicator_id": "momentum.rsi",
                "params": {"window": [7, 14]},
                "signals": {"long_threshold": [50, 55], "short_threshold": [45]},
            },
        ],
        "risk_grid": {"sl": [None, 1, 2], "tp": [None, 3]},
    },
    "ranking": {"min_trades": 5},
    "top_k": 50,
}
"""A small sweep: done in a second."""

HOURLY: dict[str, Any] = SWEEP | {"template": SWEEP["template"] | {"timeframe": "1h"}}
"""The same of fewer bars: a quarter of the trades to draw and to list."""

PROFITABLE: dict[str, Any] = SWEEP | {
    "template": SWEEP["template"]
    | {
        "timeframe": "4h",
        "direction_mode": "long-only",
        "execution": {"fee_pct": 0, "slippage_pct": 0},
        "risk_grid": {},
    },
    "ranking": {"min_trades": 1},
}
"""A sweep whose winner makes money, on candles that rise."""

LONG_SWEEP: dict[str, Any] = SWEEP | {
    "name": "long",
    "template": SWEEP["template"]
    | {
        "timeframe": "1m",
        "indicator_grids": [
            {
                "indicator_id": "ma.cross",
                "params": {
                    "ma": ["sma"],
                    "fast": {"mode": "range", "start": 2, "stop_incl": 201, "step": 1},
                    "slow": {"mode": "range", "start": 202, "stop_incl": 401, "step": 1},
                },
            },
            {
                "indicator_id": "momentum.rsi",
                "params": {"window": {"mode": "range", "start": 3, "stop_incl": 30, "step": 1}},
                "signals": {
                    "long_threshold": {"mode": "range", "start": 25, "stop_incl": 45, "step": 5},
                    "short_threshold": [60, 70],
                },
            },
        ],
    },
}
"""A sweep of minutes, for whoever wants to see one running; to be cancelled."""


LOOK = """async (within) => {
  document.getAnimations().forEach((change) => change.finish());
  const { violations } = await axe.run(within, { resultTypes: ["violations"] });
  return JSON.stringify(violations);
}"""
"""What axe finds; colours that change with the theme, or under the mouse, have done so at once."""


@dataclass
class Visit:
    """A browser in which somebody is signed in, and what its pages complained about."""

    page: Page
    context: BrowserContext
    user: Caller
    url: str
    complaints: list[str]

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def accessible(self) -> str:
        """Return what axe finds wrong with the page; nothing is as it should be."""
        return violations(self.page)

    def fits(self, part: str = "html") -> bool:
        """Whether the page, or a part that scrolls by itself, is no wider than there is room."""
        wide, window = self.page.locator(part).evaluate(
            "(one) => [one.scrollWidth, one.clientWidth]"
        )
        return bool(wide <= window)


def violations(page: Page, within: str = "html") -> str:
    """Return what axe finds wrong with a page, or a part of it; nothing is as it should be.

    Only that is brought here: what else axe has looked at is long, and slow to hand over.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(LOOK, within)
    results = AxeResults({"violations": json.loads(found)})
    return results.generate_report() if results.violations_count else ""


class Stack:
    """The running product, and the tabs in which it is looked at."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.url = api.url
        self._tabs = Tabs(api.url, DESKTOP)

    @contextmanager
    def visit(
        self,
        chromium: Browser,
        *,
        user_id: UUID | None = None,
        theme: Theme = "light",
        size: dict[str, int] | None = None,
        signed_in: bool = True,
        role: str | None = None,
    ) -> Iterator[Visit]:
        """Open a browser as a user, by default one who was never here."""
        user = self.api.as_user(user_id or uuid4())
        with self._tabs.lent(chromium) as page, heard(page) as complaints:
            page.context.set_default_timeout(SECONDS * 500)
            page.set_viewport_size(size or DESKTOP)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=theme)
            if signed_in:
                token = self.api.token(user.user_id, role=role)
                cookie = {"name": tokens.COOKIE, "value": token, "url": self.url}
                page.context.add_cookies([cookie])  # type: ignore[list-item]
            yield Visit(page, page.context, user, self.url, complaints)

    def submit(self, user: Caller, request: dict[str, Any], **changes: Any) -> str:
        """Submit a sweep and return its id."""
        answer = user.post("/backtests/jobs", json=request | changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def wait(
        self, user: Caller, job_id: str, *states: str, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """Wait until a job is in one of these states and return its status."""
        deadline = time.monotonic() + seconds
        while True:
            status: dict[str, Any] = user.get(f"/backtests/jobs/{job_id}").json()
            if status["state"] in states:
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)

    def cancel_all(self, user: Caller) -> None:
        """Leave the worker free for the next test."""
        for state in ("queued", "running"):
            for item in user.get(f"/backtests/jobs?state={state}").json()["items"]:
                user.post(f"/backtests/jobs/{item['job_id']}/cancel")

    def finished(self, user: Caller, request: dict[str, Any] = SWEEP, **changes: Any) -> str:
        """Run a sweep to its end and return its id."""
        job_id = self.submit(user, request, **changes)
        status = self.wait(user, job_id, "succeeded", "failed")
        assert status["state"] == "succeeded", status
        return job_id


def store_candles(folder: Path) -> Path:
    """Fill a folder with some months of one instrument."""
    minutes = synthetic.minutes(seed=7, start_ms=synthetic.START_MS, count=DAYS * 1440)
    with open_store(CandlesFolder(folder)) as store:
        store.append(1, SYMBOL, [Bars.of(minutes)])
    return folder


@contextmanager
def running_stack(dsn: str, redis_url: str, folder: Path) -> Iterator[Stack]:
    """Run scheduler, worker and API on a database, a Redis and candles of their own."""
    candles = folder / "candles"
    candles.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environ = inherited | {
        "ROEHUB_ENV": "dev",
        "STRATEGY_PG_DSN": dsn,
        "POSTGRES_DSN": dsn,
        "REDIS_URL": redis_url,
        "ROEHUB_CANDLES_DIR": str(candles),
    }
    logs = folder / "logs"
    logs.mkdir()
    started = [
        programs.scheduler(environ, logs / "scheduler.log"),
        programs.worker(1, environ, logs / "worker.log"),
    ]
    supervisor = programs.Supervisor(started, notify=lambda _: None, changed=lambda: None)
    with programs.supervising(supervisor):
        store_candles(candles)  # while the worker loads its kernels
        with running(dsn, candles, folder / "api", changes={"ROEHUB_ENV": "dev"}) as api:
            stack, first = Stack(api), api.new_user()
            job_id = stack.submit(first, SWEEP)
            stack.wait(first, job_id, "succeeded", seconds=COMPILED_WITHIN)
            yield stack
