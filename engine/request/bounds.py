"""What the numbers of a request may be. The defaults in the settings are held to the same."""

from dataclasses import dataclass

from engine.request.words import plain

LARGEST = 1e15
"""Bound of every number: floats below it print without an exponent, in JSON as in Postgres."""

MAX_STORED_BYTES = 128 * 2**20
"""What the reports and parameters of one job's variants may take in the database."""

VARIANT_BYTES = 64 * 2**10
"""What the report and the parameters of one variant take at most."""

MAX_TOP_K = MAX_STORED_BYTES // VARIANT_BYTES
"""The most that `top_k_persisted_default` may be."""

MAX_LISTED = 10_000
"""Values that an explicit axis lists at most; a range may have more."""

MAX_BLOCKS = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be; `minimum` and `maximum` are allowed, `above` and `below` are not."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def broken_by(self, value: float) -> str | None:
        """Return the broken bound in words, or None."""
        if self.minimum is not None and value < self.minimum:
            return f"at least {plain(self.minimum)}"
        if self.above is not None and value <= self.above:
            return f"more than {plain(self.above)}"
        if self.maximum is not None and value > self.maximum:
            return f"at most {plain(self.maximum)}"
        if self.below is not None and value >= self.below:
            return f"less than {plain(self.below)}"
        return f"between -{LARGEST:g} and {LARGEST:g}" if abs(value) > LARGEST else None

    def __str__(self) -> str:
        """All bounds in words; empty when there are none."""
        named = (
            ("at least", self.minimum),
            ("more than", self.above),
            ("at most", self.maximum),
            ("less than", self.below),
        )
        return ", ".join(f"{words} {plain(bound)}" for words, bound in named if bound is not None)


ANYTHING = Bounds()
COUNT = Bounds(minimum=1, maximum=10**15)
FROM_ZERO = Bounds(minimum=0, maximum=10**15)
COSTS = Bounds(minimum=0, below=50)
MONEY = Bounds(above=0)
WARMUP_BARS = Bounds(minimum=0, maximum=100_000)
PERCENT_OF_EQUITY = Bounds(minimum=1, maximum=100)
RISK_PER_TRADE = Bounds(above=0, maximum=100)
LEVERAGE = Bounds(minimum=1, maximum=125)
FUNDING = Bounds(minimum=-10, maximum=10)
BORROWING = Bounds(minimum=0, maximum=1000)
REENTRY_BARS = Bounds(minimum=0, maximum=10**6)
TRAINED = Bounds(above=0, below=100)
BLOCKS = Bounds(minimum=8, maximum=16)
SPLITS = Bounds(minimum=0, maximum=12_870)
DRAWS = Bounds(minimum=0, maximum=9_999)
FOLDS = Bounds(minimum=1, maximum=15)
MARKET_ID = Bounds(minimum=0, maximum=65_535)
