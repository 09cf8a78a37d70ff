"""Larger bars from smaller ones, and which of them a bar sees, by slow loops over plain lists."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class PlainBars:
    """Larger bars; `opens` in ms since 1970, all of them whole."""

    step: int
    opens: list[int] = field(default_factory=list)
    open: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    close: list[float] = field(default_factory=list)
    volume: list[float] = field(default_factory=list)

    def seen_at(self, time: int) -> int | None:
        """Return which bar is the last that has closed at a time."""
        closed = [k for k, opened in enumerate(self.opens) if opened + self.step <= time]
        return closed[-1] if closed else None


def rolled_up(candles: Any, step: int) -> PlainBars:
    """Go from boundary to boundary, and put together what is between two of them."""
    base = candles.timeframe_ms
    bars = [
        (int(t), float(o), float(h), float(lo), float(c), float(v))
        for t, o, h, lo, c, v in zip(
            *(candles.ts_open, candles.open, candles.high, candles.low),
            *(candles.close, candles.volume),
            strict=True,
        )
    ]
    empty = {bars[number][0] for number in candles.filled.tolist()}
    result = PlainBars(step)
    boundary = bars[0][0]
    while (boundary - bars[0][0] % base) % step:
        boundary += base
    while boundary + step <= bars[-1][0] + base:
        inside = [bar for bar in bars if boundary <= bar[0] < boundary + step]
        real = [bar for bar in inside if bar[0] not in empty]
        if inside:
            result.opens.append(boundary)
            last = (real or inside)[-1][4]
            result.open.append(real[0][1] if real else last)
            result.high.append(max((bar[2] for bar in real), default=last))
            result.low.append(min((bar[3] for bar in real), default=last))
            result.close.append(last)
            result.volume.append(math.fsum(bar[5] for bar in real))
        boundary += step
        bars_left = [bar for bar in bars if bar[0] >= boundary]
        bars = bars_left or bars[-1:]
    return result


def seen_by(candles: Any, larger: PlainBars) -> list[int | None]:
    """Return per bar which larger bar it sees."""
    return [larger.seen_at(int(opened) + candles.timeframe_ms) for opened in candles.ts_open]
