// Numbers, times and sizes as people read them. English digits, UTC.

const MINUTE = 60, HOUR = 3600, DAY = 86_400;

/** 12345.6 -> "12,345.6"; null -> "–". */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en-US", { maximumFractionDigits: digits }).replace("-", "−");
}

/** 3.14159 -> "3.14 %"; with `sign`, gains begin with "+". */
export function percent(value, digits = 2, sign = false) {
  if (value === null || value === undefined) return "–";
  const text = value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return `${sign && value > 0 ? "+" : ""}${text.replace("-", "−")} %`;
}

/** Seconds -> "less than a second", "42 s", "3 min 5 s", "2 h 10 min", "3 d 4 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return "less than a second";
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return pair(whole, MINUTE, "min", 1, "s");
  if (whole < DAY) return pair(whole, HOUR, "h", MINUTE, "min");
  return pair(whole, DAY, "d", HOUR, "h");
}

function pair(whole, large, largeName, small, smallName) {
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${largeName}` + (rest ? ` ${rest} ${smallName}` : "");
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count, unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${number(value, value < 10 && unit ? 1 : 0)} ${units[unit]}`;
}

/** "2024-01-01T00:00:00Z" -> "2024-01-01", with the time where it is not midnight. */
export function moment(iso) {
  if (!iso) return "–";
  const text = new Date(iso).toISOString().slice(0, 19).replace("T", " ");
  return text.endsWith(" 00:00:00") ? text.slice(0, 10) : text.replace(/:00$/, "");
}

/** "2024-01-01T00:00:00Z" -> "2024-01-01 00:00": the time is always there. */
export function minute(iso) {
  const text = moment(iso);
  return text.length === 10 ? `${text} 00:00` : text;
}

/** A <time> that says how long ago it was, with the UTC moment as its title. Kept true by `tick`. */
export function ago(iso) {
  const time = document.createElement("time");
  if (!iso) { time.textContent = "–"; return time; }
  time.dateTime = iso;
  time.title = `${moment(iso)} UTC`;
  time.dataset.ago = "";
  time.textContent = since(iso);
  return time;
}

function since(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < MINUTE) return `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 14 * DAY) return `${Math.floor(seconds / DAY)} d ago`;
  return iso.slice(0, 10);
}

/** Make every relative time of the page say what is true now. */
export function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = since(time.dateTime);
}

/** A metric's figure; `infinite` is shown as such. */
export function metric(name, value, infinite = false) {
  if (infinite) return "∞";
  if (value === null || value === undefined) return "–";
  if (name.endsWith("_pct")) return percent(value, 2, name === "total_return_pct");
  return number(value, name === "num_trades" ? 0 : 2);
}
