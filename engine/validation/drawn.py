"""What was found in draws without an edge, as bytes: parts computed anywhere merge to the whole."""

import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from engine.ranking import Best

_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, zlib.error)


@dataclass(slots=True)
class Drawn:
    """The best of each draw, by its number, and how many variants it is the best of.

    Not `tradable`: prices of a draw have left what floating-point numbers can hold. Then nothing
    can be told, and what else was found is of no account.
    """

    metric: str
    tradable: bool = True
    _bests: dict[int, Best] = field(default_factory=dict)
    _searched: Counter[int] = field(default_factory=Counter)

    def take(self, draw: int, best: Best, variants: int) -> None:
        """Take in the best of so many variants of a draw."""
        known = self._bests.get(draw)
        if known is None or best.better_than(known):
            self._bests[draw] = best
        self._searched[draw] += variants

    def merge(self, other: Self) -> None:
        """Take in what another part has found; in any order the result is the same.

        Raises `ValueError` when it is of another search; nothing is changed.
        """
        if self.metric != other.metric:
            raise ValueError(f"draws ranked by {self.metric} and by {other.metric}")
        for draw, best in other._bests.items():
            self.take(draw, best, other._searched[draw])
        self.tradable &= other.tradable

    def bests(self, draws: int, variants: int) -> tuple[Best, ...]:
        """Return the best of each draw, of which there are so many, in their order.

        Raises `ValueError` unless each was searched once, and whole: it has so many `variants`.
        """
        whole = Counter(dict.fromkeys(range(draws), variants))
        if self._searched != whole:
            raise ValueError(
                f"of {draws} draws of {variants} variants each, those that were searched are "
                f"{dict(self._searched)}"
            )
        return tuple(self._bests[draw] for draw in range(draws))

    def to_bytes(self) -> bytes:
        """Return all of it, for `from_bytes`: compressed, with a checksum."""
        draws = [
            (draw, best.tier, best.value, self._searched[draw])
            for draw, best in sorted(self._bests.items())
        ]
        about = {"metric": self.metric, "tradable": self.tradable, "draws": draws}
        return zlib.compress(json.dumps(about).encode())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` has made; raises `ValueError` for anything else."""
        try:
            about = json.loads(zlib.decompress(data))
            drawn = cls(str(about["metric"]), bool(about["tradable"]))
            for draw, tier, value, variants in about["draws"]:
                drawn.take(int(draw), Best(drawn.metric, int(tier), float(value)), int(variants))
        except _DAMAGE as error:
            raise ValueError(f"{len(data)} bytes are no result of draws: {error}") from error
        return drawn
