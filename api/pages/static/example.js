// A first sweep for whoever has candles and no idea yet.

import { bounds, DAY, lastDays, MINUTE } from "./range.js";

const LENGTHS = [["15m", 15, 40], ["5m", 5, 10], ["1m", 1, 0]]; // timeframe, minutes, days of candles it wants
const WARMUP_BARS = 160, DAYS_MAX = 180, DAYS_MAX_OF_DAYS = 1500;

export const VARIANTS = 2430;
/** A new request keeps bars aside unless somebody says otherwise. */
export const TRAIN_PCT = 70;

/** A request for an instrument `{market_id, symbol, first, last, timeframe}`, inside its candles. */
export function example(instrument) {
  const [timeframe, minutes] = lengthFor(instrument);
  const days = minutes < 24 * 60 ? DAYS_MAX : DAYS_MAX_OF_DAYS;
  return {
    name: `Example: trend and momentum on ${instrument.symbol}`,
    time_range: lastDays(instrument, days, WARMUP_BARS * minutes * MINUTE),
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
    validation: { train_pct: TRAIN_PCT },
  };
}

/** Timeframe and minutes that suit an instrument, whose bars may be longer than a minute. */
function lengthFor(instrument) {
  const [first, last] = bounds(instrument), own = minutesOf(instrument.timeframe);
  const possible = LENGTHS.filter(([, minutes]) => minutes % own === 0);
  return possible.find(([, , days]) => last - first >= days * DAY) ?? [instrument.timeframe, own];
}

/** How many minutes a timeframe such as `15m`, `4h` or `1d` lasts. */
export function minutesOf(timeframe) {
  return parseInt(timeframe, 10) * { m: 1, h: 60, d: 24 * 60 }[timeframe.at(-1)];
}
