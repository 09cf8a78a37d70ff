import json
import signal

from tests.system.conftest import Terminal


def test_the_demo_shows_a_sweep_writes_reports_and_leaves_nothing(terminal: Terminal) -> None:
    shown = terminal.run("demo", "--quick")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "The best 10 variants" in shown.stdout
    assert "Sharpe" in shown.stdout
    out = terminal.folder / "out"
    assert len(json.loads((out / "demo-top.json").read_text())) == 10
    assert (out / "demo-report.html").stat().st_size > 1_000_000
    assert str(out.relative_to(terminal.folder) / "demo-report.html") in shown.stdout
    assert terminal.left_running() == []


def test_an_interrupted_demo_leaves_nothing_running(terminal: Terminal) -> None:
    process = terminal.start("demo", "--quick")
    terminal.wait_for("generating")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130, (terminal.folder / "output").read_text()
    assert terminal.left_running() == []
