import json
import re
import signal

import httpx
import pytest

from tests.system.conftest import Terminal

PAGE = re.compile(r"^the page is at (http://127\.0\.0\.1:\d+)$", flags=re.MULTILINE)


def test_the_demo_shows_a_sweep_writes_reports_and_leaves_nothing(terminal: Terminal) -> None:
    process = terminal.start("demo", "--quick")
    terminal.wait_for("the page is at")
    (url,) = PAGE.findall((terminal.folder / "output").read_text())
    assert httpx.get(f"{url}/healthz").status_code == 200
    code = process.wait(timeout=150)
    printed = (terminal.folder / "output").read_text()
    assert code == 0, printed
    assert "The best 10 variants" in printed
    assert "Sharpe" in printed
    out = terminal.folder / "out"
    assert len(json.loads((out / "demo-top.json").read_text())) == 10
    assert (out / "demo-report.html").stat().st_size > 1_000_000
    assert str(out.relative_to(terminal.folder) / "demo-report.html") in printed
    assert terminal.left_running() == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def test_an_interrupted_demo_leaves_nothing_running(terminal: Terminal) -> None:
    process = terminal.start("demo", "--quick")
    terminal.wait_for("generating")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130, (terminal.folder / "output").read_text()
    assert terminal.left_running() == []
