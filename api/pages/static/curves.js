// What the charts of a variant draw, computed from its stored equity, its trades and the bars.

/** The distance from the running peak, which starts at `cash`, in percent (<= 0); null stays null. */
export function drawdowns(equity, cash) {
  let peak = cash;
  return equity.map((value) => {
    if (value === null) return null;
    peak = Math.max(peak, value);
    return 100 * (value / peak - 1);
  });
}

/**
 * Buy and hold with `cash` along closes. It begins at the first traded close, which a bar of several
 * no longer shows: `returned` [%], the stored benchmark, says where it was.
 */
export function held(closes, cash, returned) {
  const first = returned === null ? closes[0] : closes.at(-1) / (1 + returned / 100);
  return closes.map((close) => (cash * close) / first);
}

/** Trades with their times in ms, in time order. */
export function timed(trades) {
  return trades.map((trade) => ({ ...trade, long: trade.direction === "long", won: trade.net_pnl > 0,
    entered: Date.parse(trade.entry_time), left: Date.parse(trade.exit_time) }));
}

/** Lines from entry to exit of those that won (or lost), as one broken line. */
export function paths(trades, won) {
  const x = [], y = [];
  for (const trade of trades) {
    if (trade.won !== won) continue;
    x.push(new Date(trade.entered).toISOString(), new Date(trade.left).toISOString(), null);
    y.push(trade.entry_price, trade.exit_price, null);
  }
  return { x, y };
}

/** The time range around a trade: as long before and after as it lasts, 20 bars at least. */
export function around(trade, barMs, whole) {
  const room = Math.max(trade.left - trade.entered, 20 * barMs);
  return [Math.max(trade.entered - room, whole[0]), Math.min(trade.left + room, whole[1])];
}

/** Lowest and highest finite value at times in [from, to], with a little room; null without one. */
export function extent(at, values, from, to) {
  let low = Infinity, high = -Infinity;
  for (const [place, time] of at.entries()) {
    const value = values[place];
    if (time < from || time > to || value === null || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return null;
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return [low - room, high + room];
}
