"""Every alert fires on a real stack when what it is about is done to it, and clears afterwards."""

import logging
from pathlib import Path

import pytest

from tests.watching.alarms import DEEDS, Alarms
from tests.watching.prometheus import needs_prometheus, shipped_rules
from tests.watching.watched import watched_stack

pytestmark = [needs_prometheus, pytest.mark.alarms, pytest.mark.timeout(600)]

log = logging.getLogger(__name__)


def test_every_alert_fires_on_the_real_stack_and_clears(tmp_path: Path) -> None:
    with watched_stack(tmp_path) as watched, Alarms(watched.prometheus) as alarms:
        alarms.over()
        for deed in DEEDS:
            deed(watched, alarms)
        alarms.over()
    log.info("\n%s", alarms.table())
    assert alarms.names() == {rule["alert"] for rule in shipped_rules()}
