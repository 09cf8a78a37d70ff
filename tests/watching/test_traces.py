"""A real receiver of OpenTelemetry hears of a submission and of each attempt at its job."""

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from configs.environment import CandlesFolder
from engine import synthetic
from storage.candles import Bars, open_store
from storage.records import Stage, State
from tests.api.running import Api
from tests.api.running import running as running_api
from tests.faults.conftest import MINUTES, START_MS, small_sweep, sweep_through
from tests.faults.harness import Stack, running, wait_for
from tests.storage.making import new_database

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SUBMISSION, ATTEMPT = "submit a backtest", "backtest attempt"

pytestmark = pytest.mark.faults


class Receiver:
    """Takes spans over HTTP, as a collector does, and keeps them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                message = ExportTraceServiceRequest.FromString(body)
                for resource in message.resource_spans:
                    for scope in resource.scope_spans:
                        receiver.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.environ = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def attempts(self, job_id: object) -> list[Span]:
        """The attempts at a job that were heard of, in their order."""
        found = [span for span in self.spans if attributes(span).get("job_id") == str(job_id)]
        return sorted(found, key=lambda span: attributes(span)["attempt"])


def attributes(span: Span) -> dict[str, Any]:
    return {
        each.key.removeprefix("backtest."): each.value.string_value or each.value.int_value
        for each in span.attributes
    }


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    receiver: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("traces")
    candles = folder / "candles"
    candles.mkdir()
    with open_store(CandlesFolder(candles)) as store:
        minutes = synthetic.minutes(seed=7, start_ms=START_MS, count=MINUTES)
        store.append(1, "BTCUSDT", [Bars.of(minutes)])
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(Stack(dsn, redis_url, candles, folder)) as stack,
    ):
        stack.flush_redis()
        stack.scheduler()
        stack.worker(**receiver.environ).logged("event=ready")
        yield stack


@pytest.fixture(scope="module")
def api(stack: Stack, receiver: Receiver) -> Iterator[Api]:
    with running_api(
        stack.dsn, stack.candles, stack.folder / "api", changes=receiver.environ
    ) as api:
        yield api


def test_an_attempt_is_a_child_of_the_submission_which_is_one_of_its_caller(
    stack: Stack, api: Api, receiver: Receiver
) -> None:
    headers = {"traceparent": CALLER}
    job_id = api.a.post("/backtests/jobs", json=small_sweep(), headers=headers).json()["job_id"]
    assert stack.ends(job_id).state is State.SUCCEEDED
    (attempt,) = wait_for(lambda: receiver.attempts(job_id), "the attempt")
    (submission,) = [span for span in receiver.spans if span.name == SUBMISSION]
    assert attempt.name == ATTEMPT
    assert submission.trace_id.hex() == attempt.trace_id.hex() == CALLER.split("-")[1]
    assert submission.parent_span_id.hex() == CALLER.split("-")[2]
    assert attempt.parent_span_id == submission.span_id
    ids = f"{submission.trace_id.hex()}-{submission.span_id.hex()}"
    assert stack.job(job_id).traceparent == f"00-{ids}-01"
    assert attributes(attempt)["outcome"] == "succeeded"
    assert list(attempt.links) == []


def test_a_retry_is_linked_to_the_attempt_before(stack: Stack, receiver: Receiver) -> None:
    job_id = stack.submit(sweep_through(Stage.STAGE_A))
    stack.reaches(job_id, Stage.STAGE_A)
    worker = stack.programs[1]
    worker.process.terminate()
    assert worker.exit_code() == 0
    stack.worker(**receiver.environ).logged("event=ready")
    assert stack.ends(job_id).state is State.SUCCEEDED
    first, second = wait_for(
        lambda: receiver.attempts(job_id) if len(receiver.attempts(job_id)) > 1 else None,
        "two attempts",
    )
    assert [attributes(each)["outcome"] for each in (first, second)] == ["released", "succeeded"]
    assert first.span_id != second.span_id
    (link,) = second.links
    assert (link.trace_id, link.span_id) == (first.trace_id, first.span_id)
    # Submitted without a trace: the job is one of its own.
    assert first.trace_id == second.trace_id == job_id.bytes


def test_an_attempt_that_fails_says_so_with_its_code(stack: Stack, receiver: Receiver) -> None:
    request = small_sweep()
    request["template"]["instrument_id"]["symbol"] = "NONE"
    job_id = stack.submit(request)
    stack.ends(job_id)
    (attempt,) = wait_for(lambda: receiver.attempts(job_id), "the attempt")
    assert attempt.status.code == Status.STATUS_CODE_ERROR
    (event,) = attempt.events
    told = {each.key: each.value.string_value for each in event.attributes}
    assert (event.name, told["exception.type"]) == ("exception", "no_market_data")


def test_where_traces_are_off_the_callers_trace_is_stored_all_the_same(
    stack: Stack, tmp_path: Path
) -> None:
    with (
        running_api(stack.dsn, stack.candles, tmp_path / "api") as api,
        psycopg.connect(stack.dsn, autocommit=True) as conn,
    ):
        stored = {}
        for given in (CALLER, "nonsense"):
            answer = api.a.post(
                "/backtests/jobs", json=small_sweep(), headers={"traceparent": given}
            )
            row = conn.execute(
                "SELECT traceparent FROM backtest_jobs WHERE job_id = %s", [answer.json()["job_id"]]
            ).fetchone()
            assert row is not None
            stored[given] = row[0]
    assert stored == {CALLER: CALLER, "nonsense": None}
