// A first sweep for whoever has candles and no idea yet.

import { bounds, DAY, lastDays, MINUTE } from "./range.js";

const LENGTHS = [["15m", 15, 40], ["5m", 5, 10], ["1m", 1, 0]]; // timeframe, minutes, days of candles it wants
const WARMUP_BARS = 160, DAYS_MAX = 180;

export const VARIANTS = 2430;

/** A request for an instrument `{market_id, symbol, first, last}`, inside its candles. */
export function example(instrument) {
  const [first, last] = bounds(instrument);
  const [timeframe, minutes] = LENGTHS.find(([, , days]) => last - first >= days * DAY);
  return {
    name: `Example: trend and momentum on ${instrument.symbol}`,
    time_range: lastDays(instrument, DAYS_MAX, WARMUP_BARS * minutes * MINUTE),
    template: {
      instrument_id: { market_id: instrument.market_id, symbol: instrument.symbol },
      timeframe,
      indicator_grids: [
        { indicator_id: "ma.sma", params: { window: { mode: "range", start: 10, stop_incl: 100, step: 10 } } },
        {
          indicator_id: "momentum.rsi", params: { window: [7, 14, 21] },
          signals: { long_threshold: [50, 55, 60], short_threshold: [40, 45, 50] },
        },
      ],
      direction_mode: "long-short",
      risk_grid: { sl: [null, 1, 2], tp: [null, 2, 4] },
    },
    ranking: { min_trades: 10 },
  };
}
