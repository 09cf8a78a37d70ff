"""The API as user commands see it: the only part of them that knows its calls.

Jobs are named by their ids or the beginnings of them, which the API completes among the user's own.
Answers are documents in JSON types under the names of the API.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from cli.errors import CommandError
from cli.transport import Transport

Json = dict[str, Any]

PAGE = 250
"""The most that one answer lists."""
JOBS = "/backtests/jobs"
STRATEGIES = "/strategies"
CURVE_POINTS = 4000


class Client:
    """One user's view of the jobs. Use as a context manager; connects on first use.

    Raises CommandError for what the user can correct, and `Away` when the API stays unreachable.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        url = variables.get("ROEHUB_API_URL", "")
        if not url:
            raise CommandError(
                "no stack is running here and ROEHUB_API_URL is not set: run `backtest up` in "
                "another terminal, or set it to the address of the product's API"
            )
        self._transport = Transport(url, variables.get("ROEHUB_API_TOKEN", ""))

    def submit(self, document: Any, *, idempotency_key: str | None = None) -> Json:
        """Store a request as a job; return its status, with `warnings` and `estimate`.

        Without a key it gets one of its own, so that the call can be repeated when its answer is
        lost.
        """
        from engine.request import read_idempotency_key

        key = f"cli:{uuid4()}" if idempotency_key is None else idempotency_key
        headers = {b"Idempotency-Key": read_idempotency_key(key).encode()}
        return self._ask("POST", JOBS, body=document, headers=headers)

    def estimate(self, document: Any) -> Json:
        """Return what would become of a request; nothing is stored."""
        return self._ask("POST", "/backtests/estimate", body=document)

    def status(self, job: str, *, wait_seconds: float | None = None) -> Json:
        """Return one job, and what to make of it."""
        return self._ask("GET", f"{JOBS}/{job}", wait_seconds=wait_seconds)

    def jobs(
        self,
        *,
        limit: int,
        state: str | None = None,
        symbol: str | None = None,
        search: str | None = None,
    ) -> list[Json]:
        """Return the latest `limit` jobs, newest first; `search` is the beginning of name or id."""
        found: list[Json] = []
        asked: dict[str, str | int | None] = {"state": state, "symbol": symbol, "q": search}
        while True:
            page = min(limit - len(found), PAGE)
            answer = self._ask("GET", JOBS, params=asked | {"limit": page})
            found += answer["items"]
            if len(found) >= limit or answer["next_cursor"] is None:
                return found
            asked["cursor"] = answer["next_cursor"]

    def paused(self) -> Json | None:
        """Return since when no job starts, and why; None while they do."""
        answer = self._ask("GET", JOBS, params={"limit": 1})
        found: Json | None = answer.get("paused")  # an API of the release before says nothing
        return found

    def top(self, job: str, *, limit: int, include: Sequence[str] = ()) -> list[Json]:
        """Return the best variants so far, by rank; `include` names what else each has.

        That is of report, trades, equity.
        """
        params = {"limit": limit, "include": ",".join(include) or "none"}
        items: list[Json] = self._ask("GET", f"{JOBS}/{job}/top", params=params)["items"]
        return items

    def variant(self, job: str, variant_key: str) -> Json:
        """Return a stored variant with its report, trades and equity curve."""
        return self._ask("GET", f"{JOBS}/{job}/variants/{variant_key}")

    def validation(self, job: str) -> Json:
        """Return what was asked of the search of a job, and which surfaces there are."""
        return self._ask("GET", f"{JOBS}/{job}/validation")

    def surface(self, job: str, number: int) -> Json:
        """Return one of the surfaces that `validation` lists."""
        found: Json = self._ask("GET", f"{JOBS}/{job}/surfaces/{number}")["surface"]
        return found

    def events(self, job: str) -> list[Json]:
        """Return what happened to the job, oldest first."""
        items: list[Json] = self._ask("GET", f"{JOBS}/{job}/events")["items"]
        return items

    def cancel(self, job: str) -> Json:
        """Ask the job to stop; return its status after that."""
        return self._ask("POST", f"{JOBS}/{job}/cancel")

    def cancel_all(self, jobs: Sequence[str]) -> list[Json]:
        """Ask several jobs to stop, all or none; return them as a list has them, after that."""
        items: list[Json] = self._ask("POST", f"{JOBS}/cancel", body={"ids": list(jobs)})["items"]
        return items

    def describe(self, job: str, changes: Mapping[str, str | None]) -> Json:
        """Set `name` and `note` of a job, None clears; return its status."""
        return self._ask("PATCH", f"{JOBS}/{job}", body=dict(changes))

    def ready(self) -> None:
        """Return when the API and what it needs answer; raises `Away` at once when not."""
        self._ask("GET", "/readyz", wait_seconds=0.0)

    def closes(self, job: str) -> tuple[list[int], list[float], int]:
        """Return close times (ms) and closes of the bars a job trades: one of how many bars.

        The first bar is always there.
        """
        bars = self._ask("GET", f"{JOBS}/{job}/bars", params={"points": CURVE_POINTS})
        times, closes, every = list(bars["times"]), list(bars["close"]), int(bars["every"])
        if every > 1:  # a point stands for the last of its bars
            within_first = {"points": CURVE_POINTS, "to": times[0]}
            bars = self._ask("GET", f"{JOBS}/{job}/bars", params=within_first)
            times[:0], closes[:0] = bars["times"][:1], bars["close"][:1]
        return times, closes, every

    def save_strategy(self, strategy: Mapping[str, Any]) -> Json:
        """Save a strategy: a name, and a `template` or the `job_id` and `variant_key` of one."""
        # Done twice, it is refused the second time: its name is taken.
        return self._ask("POST", STRATEGIES, body=dict(strategy), repeatable=False)

    def strategies(self) -> list[Json]:
        """Return the user's strategies, newest first."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            params = {"limit": PAGE, "cursor": cursor}
            answer = self._ask("GET", STRATEGIES, params=params)
            found += answer["items"]
            cursor = answer["next_cursor"]
            if cursor is None:
                return found

    def delete_strategy(self, strategy_id: str) -> None:
        """Delete a strategy; its jobs stay."""
        self._ask("DELETE", f"{STRATEGIES}/{strategy_id}", repeatable=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def _ask(self, method: str, path: str, **more: Any) -> Json:
        answer: Json = self._transport.call(method, path, **more)
        return answer
