"""What an indicator declares: inputs, bounded parameters, outputs and the rule reading each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.indicators.default_axes import Axis
from engine.indicators.lookback import Lookback

SOURCES = ("close", "open", "high", "low", "hl2", "hlc3", "ohlc4")
"""Price series an indicator with a `source` input may be computed on."""

INPUTS = ("source", "open", "high", "low", "close", "volume")


_OURS = "engine."
"""How the kernels of this project are named."""

PLANES = "planes"
"""The rule of an output whose kernel gives signals instead of values."""


class DeclarationError(ValueError):
    """An indicator's declaration contradicts itself; the message says where."""


class UnknownOutput(LookupError):
    """The indicator has no output of this name; the message lists those it has."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an indicator or a rule.

    Bounds are inclusive, `None` = unbounded. A `choice` is written by name in a request and reaches
    the kernel as its index in `choices`. `default` is the axis of a request that gives none.
    """

    name: str
    kind: Literal["int", "float", "choice"]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    default: Axis | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if (self.kind == "choice") != bool(self.choices):
            raise DeclarationError(f"{self.name}: choices belong to a choice, and only there")
        if self.minimum is not None and self.maximum is not None and self.maximum < self.minimum:
            raise DeclarationError(f"{self.name}: maximum below minimum")

    @property
    def filler(self) -> float:
        """What a kernel gets where the chosen output does not use this parameter."""
        return 0.0 if self.minimum is None else float(self.minimum)


@dataclass(frozen=True, slots=True)
class Rule:
    """How values become LONG and SHORT, and the signal parameters this takes, in order."""

    name: str
    params: tuple[Param, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Output:
    """One series of an indicator and the rule that reads it.

    `params` names the compute parameters this series depends on, in declared order; a request that
    varies another one is refused. `center` is the middle of `threshold_centered`. `lookback` says
    how much history a value takes: the warm-up of a request follows from it. With the rule `planes`
    there is no value to read: the kernel itself gives the signal of each bar, 1, -1 or 0.
    """

    name: str
    rule: str
    params: tuple[str, ...] = ()
    center: float = 1.0
    lookback: Lookback | None = None

    @property
    def is_signal(self) -> bool:
        """Whether the kernel gives signals, int8, and not values, float64."""
        return self.rule == PLANES


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("price_vs_output", (), "source above the output: LONG, below: SHORT"),
        Rule("volume_vs_output", (), "volume above the output: LONG, below: SHORT"),
        Rule("sign", (), "above zero: LONG, below zero: SHORT"),
        Rule(
            "threshold_band",
            (Param("long_threshold", "float"), Param("short_threshold", "float")),
            "long <= short: at or below long LONG, at or above short SHORT (mean reversion); "
            "long > short: at or above long LONG, at or below short SHORT (momentum)",
        ),
        Rule(
            "threshold_centered",
            (Param("abs_threshold", "float", 0.0),),
            "above center + threshold: LONG, below center - threshold: SHORT",
        ),
        Rule(
            "delta_sign",
            (
                Param("long_delta_periods", "int", 1, 1_000_000),
                Param("short_delta_periods", "int", 1, 1_000_000),
            ),
            "higher than long periods ago: LONG, lower than short periods ago: SHORT",
        ),
        Rule(
            "candle_body",
            (Param("min_body", "float", 0.0),),
            "at least min_body: LONG on a rising candle, SHORT on a falling one",
        ),
        Rule(PLANES, (), "says LONG (1), SHORT (-1) or neither (0) by itself"),
    )
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A validity rule between two parameters; `str` gives it as a formula."""

    low: str
    high: str
    strict: bool

    def __str__(self) -> str:
        return f"{self.low} {'<' if self.strict else '<='} {self.high}"

    def holds(self, low: Any, high: Any) -> Any:
        """Compare values of the two parameters, arrays element by element."""
        return low < high if self.strict else low <= high


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator.

    `inputs` are series in the order the kernel takes them. `ordered` and `not_above` are validity
    rules on parameters: a pair of `ordered` means first < second, one of `not_above` means
    first <= second. `kernel` is `"module:function"`, imported on first use, with the signature

        kernel(inputs: tuple of float64[T], params: float64[P, K], output: int, out: float64[P, T])

    It gets one stretch of bars on which all inputs are finite, fills every cell of `out` (NaN where
    a value is undefined) and reads bars <= t only for bar t. Row p belongs to row p of `params`,
    whose columns are the declared parameters; the result of a row must not depend on other rows.
    For an output with the rule `planes`, `out` is int8[P, T] and full of 0: the kernel writes 1
    where it is LONG and -1 where it is SHORT.
    `formula` says where the definition comes from. `signals` holds default axes for the signal
    parameters of all outputs together: an output takes those its rule knows.
    """

    id: str
    inputs: tuple[str, ...]
    params: tuple[Param, ...]
    outputs: tuple[Output, ...]
    kernel: str
    description: str
    formula: str
    ordered: tuple[tuple[str, str], ...] = ()
    not_above: tuple[tuple[str, str], ...] = ()
    signals: Mapping[str, Axis] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        names = [param.name for param in self.params]
        problem = (
            _twice("input", self.inputs)
            or _twice("parameter", names)
            or _twice("output", [output.name for output in self.outputs])
            or _unknown("input", self.inputs, INPUTS)
            or _unknown("rule", [output.rule for output in self.outputs], tuple(RULES))
            or _unknown("parameter", [n for r in self.relations for n in (r.low, r.high)], names)
            or _unknown("parameter", [n for output in self.outputs for n in output.params], names)
            or _unknown("signal parameter", tuple(self.signals), tuple(self.signal_params))
            or _unusable_lookback(self.params, self.outputs)
            or ("no inputs" if not self.inputs else "")
            or ("no outputs" if not self.outputs else "")
            or ("kernel must read 'module:function'" if self.kernel.count(":") != 1 else "")
        )
        if problem:
            raise DeclarationError(f"indicator {self.id}: {problem}")

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The validity rules of `ordered` and `not_above`."""
        return tuple(
            Relation(low, high, strict)
            for pairs, strict in ((self.ordered, True), (self.not_above, False))
            for low, high in pairs
        )

    @property
    def signal_params(self) -> dict[str, Param]:
        """The signal parameters of all outputs by name."""
        rules = (RULES[output.rule] for output in self.outputs)
        return {param.name: param for rule in rules for param in rule.params}

    @property
    def is_ours(self) -> bool:
        """Whether its kernel is one of the engine, not of a plugin."""
        return self.kernel.startswith(_OURS)

    @property
    def has_source(self) -> bool:
        """Whether a request chooses the price series."""
        return "source" in self.inputs

    def output(self, name: str | None = None) -> Output:
        """Return the named output, or the first one. Raises `UnknownOutput`."""
        if name is None:
            return self.outputs[0]
        for output in self.outputs:
            if output.name == name:
                return output
        known = ", ".join(output.name for output in self.outputs)
        raise UnknownOutput(f"{self.id} has no output {name!r}; it has {known}")


def window(name: str = "window", minimum: int = 2, default: Axis | None = None) -> Param:
    """Return a length in bars. Longer than the candles means no value at all, not an error."""
    return Param(name, "int", minimum, 1_000_000, default=default)


def mult(name: str = "mult", default: Axis | None = None) -> Param:
    """Return a multiplier of a deviation or range."""
    return Param(name, "float", 0.01, 1_000.0, default=default)


def _unusable_lookback(params: Sequence[Param], outputs: Sequence[Output]) -> str:
    """Return what is wrong with a lookback, at the smallest values of its parameters."""
    for output in outputs:
        if output.lookback is None:
            continue
        own = {p.name: p.choices[0] if p.choices else int(max(p.filler, 1.0)) for p in params}
        own = {name: own[name] for name in output.params}
        try:
            bars = output.lookback.defined(**own), output.lookback.settling(**own)
        except Exception as error:
            return f"the lookback of {output.name} fails for {own}: {error}"
        if not all(isinstance(each, int) and each >= 0 for each in bars):
            return f"the lookback of {output.name} must be whole numbers of bars, got {bars}"
    return ""


def _twice(what: str, names: Sequence[str]) -> str:
    return "" if len(set(names)) == len(names) else f"a {what} is declared twice"


def _unknown(what: str, names: Sequence[str], known: Sequence[str]) -> str:
    return next((f"unknown {what} {name!r}" for name in names if name not in known), "")
