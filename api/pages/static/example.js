// A first sweep for whoever has candles and no idea yet.

const DAY = 86_400_000, MINUTE = 60_000;
const LENGTHS = [["15m", 15, 40], ["5m", 5, 10], ["1m", 1, 0]]; // timeframe, minutes, days of candles it wants
const WARMUP_BARS = 130, DAYS_MAX = 180;

/** A request for an instrument `{market_id, symbol, first, last}`, inside its candles. */
export function example(instrument) {
  const first = Date.parse(instrument.first), last = Date.parse(instrument.last) + MINUTE;
  const [timeframe, minutes] = LENGTHS.find(([, , days]) => last - first >= days * DAY);
  const warm = first + WARMUP_BARS * minutes * MINUTE;
  const whole = Math.floor(last / DAY) * DAY;
  const end = whole - warm > DAY ? whole : last;
  const wanted = Math.max(warm, end - DAYS_MAX * DAY);
  const day = Math.ceil(wanted / DAY) * DAY;
  const start = day < end ? day : Math.ceil(Math.min(wanted, end - MINUTE) / MINUTE) * MINUTE;
  return {
    name: `Example: trend and momentum on ${instrument.symbol}`,
    time_range: { start: text(start), end: text(end) },
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

function text(ms) {
  const iso = new Date(ms).toISOString().replace(".000Z", "Z");
  return iso.endsWith("T00:00:00Z") ? iso.slice(0, 10) : iso;
}
