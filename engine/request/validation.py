"""Reading `validation`: where the bars end that a winner is chosen on, and what is asked.

Everything of the search sees the training bars alone. The border is named by a share of the bars,
or by a time; a request holds one of them.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.request.fields import Field
from engine.request.members import Members
from engine.request.model import Validation, WalkForward
from engine.request.times import milliseconds, read_time, written

TRAIN_PCT = 70.0
"""What is trained on where neither a share nor a time is named."""


def read_validation(root: Members, times: Mapping[str, datetime | None]) -> dict[str, Any] | None:
    """Return the normal form of `validation`, None where nothing is kept aside.

    A member is None where the other one is given, or was refused.
    """
    field = root.get("validation")
    if field is None or field.value is None:
        return None
    members = root.object("validation")
    begin = members.get("test_start")
    named = begin is not None and begin.value is not None
    start = read_time(begin) if begin is not None and named else None
    share = members.read("train_pct", None if named else TRAIN_PCT)
    if begin is not None and named and share is not None:
        begin.refuse("cannot be given together with train_pct: give one of them")
    given = members.members.get("train_pct")
    if given is not None and given.value is None and not named:
        field.refuse("must say where the test begins: give train_pct or test_start")
    if begin is not None and start is not None:
        _refuse_outside(begin, start, times)
    return {
        "train_pct": share,
        "test_start": start and written(start),
        "blocks": _read_blocks(members),
        "splits": members.read("splits"),
        "draws": members.read("draws"),
        "walk_forward": _read_walk_forward(members),
    }


def of_document(validation: Mapping[str, Any] | None) -> Validation | None:
    """Return what the normal form says."""
    if validation is None:
        return None
    start, walk = validation["test_start"], validation["walk_forward"]
    return Validation(
        train_pct=validation["train_pct"],
        test_start_ms=None if start is None else milliseconds(datetime.fromisoformat(start)),
        blocks=validation["blocks"],
        splits=validation["splits"],
        draws=validation["draws"],
        walk_forward=walk and WalkForward(**walk),
    )


def trained_bars(train_pct: float, bars: int) -> int:
    """Return how many of so many bars are trained on: the number as it is written, rounded down."""
    return int(Decimal(repr(train_pct)) * bars // 100)


def refuse_empty_parts(
    root: Field, validation: Mapping[str, Any] | None, bars: int, before: int
) -> None:
    """Refuse a border that leaves no bar to train on, or none to test on.

    `bars` lie in the range, `before` of them in front of `test_start`.
    """
    if validation is None:
        return
    share = validation["train_pct"]
    trained = before if share is None else trained_bars(share, bars)
    if 0 < trained < bars:
        return
    part, name = (
        ("train" if trained <= 0 else "test"),
        ("test_start" if share is None else "train_pct"),
    )
    root.member("validation", None).member(name, None).refuse(
        f"leaves none of {bars} bars to {part} on: move it, or lengthen the range"
    )


def _read_blocks(members: Members) -> int | None:
    blocks: int | None = members.read("blocks")
    if blocks is not None and blocks % 2:
        members.members["blocks"].refuse(
            f"must be an even number, as half of them are chosen, got {blocks}"
        )
    return blocks


def _read_walk_forward(members: Members) -> dict[str, Any] | None:
    field = members.get("walk_forward")
    if field is None or field.value is None:
        return None
    walk = members.object("walk_forward")
    found = {name: walk.read(name) for name in ("folds", "mode")}
    folds, blocks = found["folds"], members.read("blocks")
    if folds is not None and blocks is not None and folds >= blocks:
        walk.field.member("folds", folds).refuse(
            f"must be less than the {blocks} blocks, of which the first ones are trained on, got "
            f"{folds}"
        )
    return found


def _refuse_outside(begin: Field, start: datetime, times: Mapping[str, datetime | None]) -> None:
    first, end = times["start"], times["end"]
    if first is not None and end is not None and not first < start < end:
        begin.refuse(
            f"must lie between start ({written(first)}) and end ({written(end)}), got "
            f"{written(start)}"
        )
