"""What every call needs and is made once: settings, connections, the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from configs.settings import ApiSettings, Settings
from configs.tracing import Tracer
from engine.request import Defaults, Limits
from storage.pool import SessionPool

if TYPE_CHECKING:
    from api.auth import SignIns
    from api.candles import Candles
    from api.charts import Loaded
    from api.known import Known
    from api.live import Hub


@dataclass(frozen=True, slots=True)
class Context:
    """Made with the application, closed when it stops; connects nothing before its first use.

    `crowded` is in which ended states a user has more jobs than are counted; `lines` are those of
    `api.lines`, `tops` lists of variants with their version, by job and limit.
    """

    settings: Settings
    environ: Mapping[str, str]
    secret: str
    pool: SessionPool
    candles: "Candles"
    charts: "Loaded"
    defaults: Defaults
    limits: Limits
    sign_ins: "SignIns"
    hub: "Hub"
    crowded: "Known"
    lines: "Known"
    tops: "Known"
    tracer: Tracer | None

    @property
    def api(self) -> ApiSettings:
        """The settings of the API itself."""
        return self.settings.backtest.api

    def stop(self) -> None:
        """Say that the process ends; called in the event loop."""
        self.hub.end_streams()


def of(connection: HTTPConnection) -> Context:
    """Return the context of the application that a request came to."""
    found: Context = connection.app.state.context
    return found
