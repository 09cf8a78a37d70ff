// Spans of time inside an instrument's candles. Milliseconds within, texts of the request outside.

export const DAY = 86_400_000, MINUTE = 60_000;

/** First and last moment of `{first, last}`, the opens of the first and the last minute. */
export function bounds(instrument) {
  return [Date.parse(instrument.first), Date.parse(instrument.last) + MINUTE];
}

/** The last `days` of the candles (0: all), on whole days where there are any. */
export function lastDays(instrument, days, warmup = 0) {
  const [first, last] = bounds(instrument);
  const whole = Math.floor(last / DAY) * DAY;
  const end = whole - first - warmup >= DAY ? whole : last;
  const wanted = Math.max(first + warmup, days ? end - days * DAY : first);
  const day = Math.ceil(wanted / DAY) * DAY;
  const start = day < end ? day : Math.min(Math.ceil(wanted / MINUTE) * MINUTE, end - MINUTE);
  return { start: text(start), end: text(end) };
}

/** The last half year; where that is all there is, something is left for the warm-up of indicators. */
export function usual(instrument) {
  const [first, last] = bounds(instrument);
  return lastDays(instrument, 180, Math.min(30 * DAY, (last - first) / 10));
}

/** The range clipped to the candles; the usual one where the two have nothing in common. */
export function clipped(range, instrument) {
  const [first, last] = bounds(instrument);
  const start = Math.max(Date.parse(range?.start), first), end = Math.min(Date.parse(range?.end), last);
  if (!(start < end)) return usual(instrument);
  return {
    start: start === Date.parse(range.start) ? range.start : text(start),
    end: end === Date.parse(range.end) ? range.end : text(end),
  };
}

/** A moment as the request writes it: the date alone where it is midnight. */
export function text(ms) {
  const iso = new Date(ms).toISOString().replace(".000Z", "Z");
  return iso.endsWith("T00:00:00Z") ? iso.slice(0, 10) : iso;
}
