"""The application: its routes, what is around them, and what lives as long as the process."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from math import inf

import orjson
from anyio import to_thread
from fastapi import APIRouter, FastAPI
from psycopg.types.json import set_json_loads
from starlette.exceptions import HTTPException

from api import errors, lines, openapi, stopping, tokens
from api.auth import SignIns
from api.candles import Candles
from api.charts import Loaded
from api.context import Context
from api.known import Known
from api.live import Hub
from api.metrics import Metrics
from api.middleware import Around
from api.routes import (
    bars,
    catalogue,
    disabled,
    health,
    jobs,
    operate,
    pages,
    results,
    session,
    strategies,
    streams,
)
from configs import environment, logs, settings, tracing
from configs.settings import Settings
from engine.request import Limits, read_defaults
from storage import schema
from storage.connection import Connection
from storage.pool import SessionPool

APPLICATION_NAME = "backtest-api"

ANSWER_SECONDS = 15.0
"""How long a statement may take, and a wait for a lock."""

THREADS_PER_SESSION = 2

CROWDED_SECONDS = 60.0
"""How long ended jobs that are too many to be counted are believed to be so: nothing but retention
makes them fewer."""

ALWAYS = (
    pages.router,
    health.router,
    session.router,
    openapi.router,
    catalogue.router,
    strategies.router,
)

OF_JOBS = (jobs.router, results.router, streams.router, bars.router, operate.router)
"""Not there where jobs are switched off."""


def create_app() -> FastAPI:
    """Return the application, as the environment configures it; opens nothing.

    Raises SettingsError for what is missing or wrong.
    """
    environ = dict(os.environ)
    loaded = settings.load(environ=environ)
    logs.configure("api", loaded.env)
    logs.adopt("uvicorn", "uvicorn.access")
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan
    )
    app.state.context = _context(loaded, environ)
    app.state.metrics = Metrics()
    app.state.made = {}
    for router in _routers(jobs_enabled=loaded.backtest.jobs.enabled):
        # As they stand: nested in routers, each of them would be asked for every call.
        app.router.routes.extend(router.routes)
    app.add_exception_handler(HTTPException, errors.on_http_exception)
    app.add_middleware(
        Around,
        metrics=app.state.metrics,
        request_seconds=loaded.backtest.api.request_seconds,
    )
    return app


def _routers(*, jobs_enabled: bool) -> Iterator[APIRouter]:
    # In this order they are tried for each call: what is called most comes first.
    yield from OF_JOBS if jobs_enabled else (disabled.router,)
    yield from ALWAYS


def _context(loaded: Settings, environ: Mapping[str, str]) -> Context:
    cache_seconds = loaded.backtest.api.coverage_cache_seconds
    candles = Candles(environment.candle_source(environ), cache_seconds=cache_seconds)
    return Context(
        settings=loaded,
        environ=environ,
        secret=tokens.secret(environ),
        pool=SessionPool(
            environment.postgres_dsn(environ),
            application_name=APPLICATION_NAME,
            size=loaded.backtest.api.pool_size,
            lock_seconds=ANSWER_SECONDS,
            statement_seconds=ANSWER_SECONDS,
            on_connect=_greet,
        ),
        candles=candles,
        charts=Loaded(candles, cache_seconds=cache_seconds),
        defaults=read_defaults(*loaded.request_defaults()),
        limits=Limits(**loaded.request_limits()),
        sign_ins=SignIns(loaded.backtest.api.sign_ins_per_minute),
        hub=Hub(
            environment.postgres_dsn(environ),
            streams_per_user=loaded.backtest.api.streams_per_user,
        ),
        crowded=Known(CROWDED_SECONDS, most=10_000),
        lines=lines.remembered(),
        tops=Known(inf, most=results.KEPT_BYTES),
        tracer=tracing.start(APPLICATION_NAME, environ),
    )


def _greet(conn: Connection) -> None:
    """Check the schema, and read JSON several times as fast: answers are made of little else."""
    schema.check(conn)
    set_json_loads(orjson.loads, conn)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.context
    # More would only wait for each other: for a connection, and for the interpreter.
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = THREADS_PER_SESSION * context.api.pool_size
    with stopping.heard(context.stop):
        await context.hub.start()
        try:
            yield
        finally:
            await context.hub.stop()
            context.candles.close()
            context.pool.close()
            if context.tracer is not None:
                context.tracer.close()
