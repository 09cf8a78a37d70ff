"""Addresses and secrets from environment variables: nothing here can change a result."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from configs.errors import SettingsError

__all__ = [
    "CandlesFolder",
    "ClickHouseServer",
    "SettingsError",
    "assumed_addresses",
    "candle_source",
    "metrics_port",
    "migrations_dsn",
    "postgres_dsn",
    "redis_namespace",
    "redis_url",
]

_LOCAL_ADDRESSES = MappingProxyType(
    {"REDIS_URL": "redis://127.0.0.1:6379/0", "CH_HOST": "127.0.0.1"}
)
_LOCAL_ENVIRONMENTS = ("dev", "test")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", flags=re.ASCII)


@dataclass(frozen=True, slots=True)
class ClickHouseServer:
    """A ClickHouse server spoken to over HTTP. The password never shows in a repr."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    secure: bool
    verify: bool


@dataclass(frozen=True, slots=True)
class CandlesFolder:
    """The embedded candle store: a folder of Parquet files."""

    path: Path


def assumed_addresses(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the addresses that are not set and therefore taken to be on this machine.

    Only where `ROEHUB_ENV` is dev or test. A program logs those it uses, once, when it starts.
    """
    if environ.get("ROEHUB_ENV") not in _LOCAL_ENVIRONMENTS:
        return {}
    given = {name for name in _LOCAL_ADDRESSES if environ.get(name, "").strip()}
    if environ.get("ROEHUB_CANDLES_DIR"):
        given.add("CH_HOST")
    return {name: address for name, address in _LOCAL_ADDRESSES.items() if name not in given}


def postgres_dsn(environ: Mapping[str, str] = os.environ) -> str:
    """`STRATEGY_PG_DSN`, the DSN programs run with; raises SettingsError."""
    return _dsn(environ, "STRATEGY_PG_DSN")


def migrations_dsn(environ: Mapping[str, str] = os.environ) -> str:
    """`POSTGRES_DSN`, the DSN of a role that may change the schema; raises SettingsError."""
    return _dsn(environ, "POSTGRES_DSN")


def redis_url(environ: Mapping[str, str] = os.environ) -> str:
    """`REDIS_URL` (redis://, rediss:// or unix://), local in dev and test; raises SettingsError."""
    url = assumed_addresses(environ).get("REDIS_URL") or _required(
        environ, "REDIS_URL", _LOCAL_ADDRESSES["REDIS_URL"]
    )
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("redis", "rediss", "unix"):
        raise SettingsError(
            "REDIS_URL must start with redis://, rediss:// or unix://, "
            "for example redis://127.0.0.1:6379/0"
        )
    return url


def redis_namespace(environ: Mapping[str, str] = os.environ) -> str | None:
    """`REDIS_NAMESPACE`, None where the database names it; raises SettingsError."""
    namespace = environ.get("REDIS_NAMESPACE", "")
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise SettingsError(
            "REDIS_NAMESPACE must be 1 to 64 ASCII letters, digits, dots, colons, dashes or "
            f"underscores, got {namespace!r:.80}"
        )
    return namespace or None


def metrics_port(environ: Mapping[str, str] = os.environ, default: int = 9204) -> int:
    """`ROEHUB_METRICS_PORT`, or `default` when it is not set; raises SettingsError."""
    return _port(environ, "ROEHUB_METRICS_PORT", default)


def candle_source(environ: Mapping[str, str] = os.environ) -> ClickHouseServer | CandlesFolder:
    """Where candles come from: `ROEHUB_CANDLES_DIR` or the `CH_*` server; raises SettingsError.

    In dev and test the server is on this machine where neither is set.
    """
    folder, host = environ.get("ROEHUB_CANDLES_DIR", ""), environ.get("CH_HOST", "").strip()
    if folder and host:
        raise SettingsError(
            "ROEHUB_CANDLES_DIR and CH_HOST are both set: "
            "unset the one whose candles you do not want"
        )
    if folder:
        return CandlesFolder(Path(folder))
    host = host or assumed_addresses(environ).get("CH_HOST", "")
    if not host:
        raise SettingsError(
            "CH_HOST is not set: set it to the ClickHouse server, "
            "or set ROEHUB_CANDLES_DIR to a folder of imported candles"
        )
    secure = _flag(environ, "CH_SECURE", default=False)
    return ClickHouseServer(
        host=host,
        port=_port(environ, "CH_PORT", 8443 if secure else 8123),
        database=environ.get("CH_DATABASE") or "market_data",
        user=environ.get("CH_USER") or environ.get("CLICKHOUSE_USER") or "default",
        password=environ.get("CH_PASSWORD") or environ.get("CLICKHOUSE_PASSWORD") or "",
        secure=secure,
        verify=_flag(environ, "CH_VERIFY", default=True),
    )


def _required(environ: Mapping[str, str], name: str, example: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: set it, for example to {example}")
    return value


def _dsn(environ: Mapping[str, str], name: str) -> str:
    example = "postgresql://user:password@127.0.0.1:5432/roehub"
    dsn = _required(environ, name, example)
    if not dsn.startswith(("postgresql://", "postgres://")) and "=" not in dsn:
        raise SettingsError(f"{name} is not a Postgres DSN: write it like {example}")
    return dsn


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise SettingsError(f"{name} must be a port number from 1 to 65535, got {text!r}")
    return int(text)


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise SettingsError(f"{name} must be 0 or 1, got {text!r}")
    return default if not text else text == "1"
