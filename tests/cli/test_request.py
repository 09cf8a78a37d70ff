"""`backtest request`: an example to start from, and every field explained."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from cli import request_text
from cli.catalogue import configured_defaults
from engine.request import (
    TABLE,
    complete,
    example,
    holding_example,
    merge_patch,
    parse,
    read_json,
    reference,
)
from tests.cli.conftest import Backtest
from tests.engine.requests import LIMITS

WIDTHS = (60, 100, 160)


@pytest.fixture(params=WIDTHS)
def shown(backtest: Backtest, request: pytest.FixtureRequest) -> tuple[int, str]:
    """What a terminal of this width shows, and the width."""
    del backtest  # nothing is named in the environment
    console = Console(width=request.param, file=io.StringIO(), highlight=False)
    fields = reference(configured_defaults())
    for part in request_text.explained(example(), holding_example(), fields, console.width):
        console.print(part)
    file = console.file
    assert isinstance(file, io.StringIO)
    return request.param, file.getvalue()


def test_a_pipe_gets_the_example_as_a_request_that_is_accepted(backtest: Backtest) -> None:
    printed = backtest("request").out
    assert json.loads(printed) == example()
    assert complete(read_json(printed), configured_defaults(), LIMITS)
    assert backtest("request", "--json").out == printed


def test_a_terminal_gets_comments_and_every_field() -> None:
    leader, follower = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ROEHUB")}
    command = [sys.executable, "-m", "cli", "request"]
    with subprocess.Popen(command, stdout=follower, env=environ | {"COLUMNS": "100"}) as running:
        os.close(follower)
        printed = b""
        try:
            while part := os.read(leader, 65536):
                printed += part
        except OSError:  # the other end is closed
            pass
    os.close(leader)
    assert running.returncode == 0
    assert b"First moment that is no longer traded." in printed
    assert b"template.execution.slippage_pct" in printed


def test_the_reference_has_every_field_at_every_width(shown: tuple[int, str]) -> None:
    _, text = shown
    lines = [line.strip() for line in text.splitlines()]
    assert {entry.path for entry in TABLE.entries} <= set(lines)
    words = " ".join(text.split())
    assert all(entry.sentence in words for entry in TABLE.entries)


def test_no_line_is_wider_than_the_terminal(shown: tuple[int, str]) -> None:
    width, text = shown
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_the_example_with_its_comments_is_the_example(shown: tuple[int, str]) -> None:
    width, text = shown
    block = text[text.index("\n{") + 1 :].partition("\n\n")[0]
    kept = [line for line in block.splitlines() if not line.lstrip().startswith("//")]
    column = 43 if width >= request_text.WIDE else width  # where comments begin beside it
    assert json.loads("\n".join(line[:column] for line in kept)) == example()


def test_the_example_that_holds_is_shown_with_what_is_different(shown: tuple[int, str]) -> None:
    _, text = shown
    words = " ".join(text.split())
    assert "Buy when RSI leaves oversold, sell when it is overbought" in words
    assert '"position": "hold"' in words
    assert '"short_threshold": [65, 70, 75]' in words


def test_the_example_that_holds_is_a_request_that_can_be_submitted() -> None:
    document = merge_patch(example(), holding_example())
    request = parse(complete(document, configured_defaults(), LIMITS))
    assert (request.position, request.direction_mode) == ("hold", "long-only")
    (opens,), (closes,) = request.blocks, request.exit_blocks
    assert opens.signals["long_threshold"] == (25, 30, 35)
    assert closes.signals["short_threshold"] == (65, 70, 75)


def test_defaults_are_shown_as_they_are_configured(shown: tuple[int, str]) -> None:
    words = " ".join(shown[1].split())
    assert "default by market_id 1: 0.075, 2: 0.1, 3: 0.075, 4: 0.1" in words
    assert "integer, at least 1, at most 300; default 300, or all there can be" in words
    assert "default 30; example 30" in words


def test_the_reference_can_be_had_by_a_pipe_and_by_machines(backtest: Backtest) -> None:
    assert "template.risk_grid.tsl" in backtest("request", "--reference").out
    listed = {item["path"]: item for item in backtest("request", "--reference", "--json").json}
    assert list(listed) == [entry.path for entry in TABLE.entries]
    assert listed["template.execution.fee_pct"] == {
        "path": "template.execution.fee_pct",
        "type": "number",
        "null": False,
        "choices": [],
        "texts": [],
        "minimum": 0,
        "above": None,
        "maximum": None,
        "below": 50,
        "pattern": None,
        "required": False,
        "default": {"1": 0.075, "2": 0.1, "3": 0.075, "4": 0.1},
        "default_note": "by market_id",
        "sentence": "Fee of every fill, in percent of its amount.",
        "example": 0.075,
        "in_example": True,
    }
    assert listed["template.timeframe"]["required"] is True
    assert listed["top_k"]["maximum"] == 300


def test_the_help_of_submit_lists_the_fields_and_where_they_are_explained(
    backtest: Backtest,
) -> None:
    text = backtest("submit", "--help").out
    words = text.replace("*", "").replace(",", " ").split()
    named = {entry.name for entry in TABLE.entries if entry.name.isidentifier()}
    assert named <= set(words)
    assert "backtest request" in text


def test_other_commands_start_without_loading_the_table_of_fields() -> None:
    program = "import sys, cli.__main__; sys.exit('engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
