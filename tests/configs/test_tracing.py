"""Trace Context as it is read, and traces that are off unless they are asked for."""

import subprocess
import sys

import pytest

from configs import tracing
from configs.errors import SettingsError
from configs.tracing import Place

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-01"),  # only `sampled` is known
        (f"cc-{TRACE}-{SPAN}-01-later-versions-say-more", f"00-{TRACE}-{SPAN}-01"),
    ],
)
def test_a_valid_header_is_read(text: str, stored: str) -> None:
    assert str(Place.read(text)) == stored


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_a_header_that_is_not_valid_is_as_none(text: str | None) -> None:
    assert Place.read(text) is None


@pytest.mark.parametrize("environ", [{}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_traces_are_off_unless_they_are_asked_for(environ: dict[str, str]) -> None:
    assert tracing.start("a-program", environ) is None


def test_an_exporter_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER is 'zipkin': set it to otlp"):
        tracing.start("a-program", {"OTEL_TRACES_EXPORTER": "zipkin"})


def test_without_the_package_it_is_said_what_to_install() -> None:
    script = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from configs import tracing\n"
        "tracing.start('a-program', {'OTEL_TRACES_EXPORTER': 'otlp'})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert "is not installed: pip install 'backtest-jobs[tracing]'" in ended.stderr


def test_a_worker_without_traces_loads_none_of_it() -> None:
    script = (
        "import sys, tasks.backtest, tasks.runner; print('opentelemetry.exporter' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "False\n"
