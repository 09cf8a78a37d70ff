"""What the fork server imports, which each start of a worker waits for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTED = "import sys; from tasks import preload; preload.import_all(); print(*sys.modules)"


@pytest.mark.parametrize(
    ("source", "library"), [("ROEHUB_CANDLES_DIR", None), ("CH_HOST", "clickhouse_connect")]
)
def test_a_child_has_a_client_of_its_candle_source_only(
    tmp_path: Path, source: str, library: str | None
) -> None:
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {source: str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", IMPORTED]
    loaded = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    clients = {"chdb", "clickhouse_connect", "dramatiq", "fastapi", "psycopg", "pydantic", "redis"}
    assert clients & set(loaded.stdout.split()) == {library} - {None}
