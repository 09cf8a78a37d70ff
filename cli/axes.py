"""The axes of a request as texts: what `show` lists, and what the columns of `top` are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.render import value_text

Json = Mapping[str, Any]

RISK = "risk"
SIZE = "size"
OFF = {"mode": "explicit", "values": [None]}
LISTED = 6


@dataclass(frozen=True)
class Axis:
    """One parameter of a request and the values it takes.

    `block` is what the block is called, or `risk`; `group` says where the value stands in a
    variant: `size` is that of the percent, which stands with the risk levels.
    """

    block: str
    group: str
    name: str
    document: Json

    @property
    def size(self) -> int:
        """How many values it takes."""
        from engine.request.axes import axis_count

        return axis_count(self.document)

    @property
    def label(self) -> str:
        """The parameter in short."""
        return self.name.replace("_threshold", "")

    def value(self, payload: Json) -> str:
        """Return the value of a variant as a text."""
        if self.group == RISK:
            return value_text(payload["risk"][self.name])
        if self.group == SIZE:
            return value_text(percent_of(payload))
        block = of_variant(payload)[self.block]
        held = block if self.group == "source" else block[self.group]
        return value_text(held[self.name])

    @property
    def room(self) -> int:
        """How many characters its widest value takes."""
        if self.document["mode"] == "explicit":
            return max(len(value_text(value)) for value in self.document["values"])
        edges = [value_text(self.document[name]) for name in ("start", "stop_incl", "step")]
        parts = [text.partition(".") for text in edges]
        decimals = max(len(point + digits) for _, point, digits in parts)
        return max(len(whole) for whole, _, _ in parts) + decimals

    def values(self) -> str:
        """Return its values, and behind them how many there are when there is more than one."""
        if self.document["mode"] == "explicit":
            texts = [value_text(value) for value in self.document["values"]]
            if len(texts) > LISTED:
                texts = [*texts[: LISTED - 2], "…", texts[-1]]
            text = ", ".join(texts)
        else:
            start, stop, step = (
                value_text(self.document[name]) for name in ("start", "stop_incl", "step")
            )
            text = f"{start}..{stop}" + (f" step {step}" if step != "1" else "")
        return text if self.size == 1 else f"{text} ({self.size:,})"


def of_blocks(request: Json) -> Iterator[Axis]:
    """Yield the axes of the indicators, block by block, those of exits last."""
    from engine.request.words import titled  # commands start without the engine

    template = request["template"]
    blocks = titled(template["indicator_grids"], template.get("exit_grids", ()))
    for title, block in blocks.items():
        if block["source"] is not None:
            yield Axis(title, "source", "source", block["source"])
        for group in ("params", "signals"):
            for name, document in block[group].items():
                yield Axis(title, group, name, document)


def of_variant(payload: Json) -> dict[str, Json]:
    """Return the blocks of a variant by what they are called: "rsi", "exit rsi"."""
    from engine.request.words import titled  # commands start without the engine

    return titled(payload["blocks"], payload.get("exit_blocks", ()))


def of_risk(request: Json) -> Iterator[Axis]:
    """Yield the axes of the risk levels, and of the percent where positions are sized by it."""
    from engine.request.axes import axis_of  # commands start without the engine

    template = request["template"]
    for name, document in template["risk_grid"].items():
        yield Axis(RISK, RISK, name, document or OFF)
    if template.get("sizing_mode") == "percent":
        yield Axis(RISK, SIZE, "percent", axis_of(template["execution"]["percent"]))


def percent_of(payload: Json) -> float | None:
    """Return how much of the equity a variant's positions take; None where not sized by it."""
    if payload.get("sizing_mode") != "percent":
        return None
    from engine.request.model import FIRST_EXECUTION  # commands start without the engine

    percent: float = payload["execution"].get("percent", FIRST_EXECUTION["percent"])
    return percent


def short_names(axes: Sequence[Axis]) -> dict[str, str]:
    """Return what to call each block: the last part of its name where no other ends alike."""
    names = list(dict.fromkeys(axis.block for axis in axes))
    last = [_last_part(name) for name in names]
    return {
        name: short if last.count(short) == 1 else name
        for name, short in zip(names, last, strict=True)
    }


def _last_part(title: str) -> str:
    from engine.request.words import EXIT  # commands start without the engine

    return (EXIT if title.startswith(EXIT) else "") + title.rpartition(".")[2].removeprefix(EXIT)
