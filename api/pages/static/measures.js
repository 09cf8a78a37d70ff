// The figures of a variant: which there are, what they are called, how they are read and written.

import { duration, number } from "./format.js";
import { WORDS } from "./metric_words.js";

/** In the order in which they are shown. `column`: the heading of a narrow column. Names stand in WORDS. */
export const MEASURES = [
  { name: "total_return_pct", column: ["return", "%"], digits: 2 },
  { name: "max_drawdown_pct", column: ["max", "drawdown %"], digits: 2 },
  { name: "num_trades", column: ["trades"], digits: 0 },
  { name: "win_rate_pct", column: ["win rate", "%"], digits: 1 },
  { name: "profit_factor", column: ["profit", "factor"], digits: 2 },
  { name: "sharpe", column: ["Sharpe"], digits: 2 },
  { name: "return_over_max_drawdown", column: ["return /", "max drawdown"], digits: 2 },
  { name: "sortino", column: ["Sortino"], digits: 2 },
  { name: "calmar", column: ["Calmar"], digits: 2 },
  { name: "expectancy_pct", column: ["expectancy", "%"], digits: 3 },
  { name: "sqn", column: ["SQN"], digits: 2 },
  { name: "avg_drawdown_pct", column: ["average", "drawdown %"], digits: 2 },
  { name: "position_coverage_pct", column: ["in market", "%"], digits: 1 },
  { name: "gross_exposure", column: ["exposure"], digits: 3 },
  { name: "best_trade_pct", column: ["best", "trade %"], digits: 2 },
  { name: "worst_trade_pct", column: ["worst", "trade %"], digits: 2 },
  { name: "max_drawdown_duration_ms", column: ["longest", "drawdown"], digits: 0 },
  { name: "avg_trade_duration_ms", column: ["trade", "length"], digits: 0 },
];

const BY_NAME = new Map(MEASURES.map((each) => [each.name, each]));
const ASCENDING = new Set(["max_drawdown_pct", "avg_drawdown_pct", "max_drawdown_duration_ms"]);
const NEUTRAL = { profit_factor: 1, num_trades: null, win_rate_pct: null, max_drawdown_pct: null };
const HUGE = 1e7;

/** What there is to say about a figure; a name that is not known is spelled out. */
export function measure(name) {
  return BY_NAME.get(name) ?? { name, column: [metricWords(name)], digits: 2 };
}

/** What a figure is called: "return / max drawdown". */
export function metricWords(name) {
  return WORDS[name] ?? name.replace(/_pct$/, "").replaceAll("_", " ");
}

/** The same with its unit: "total return (%)". */
export function metricWordsWithUnit(name) {
  return name.endsWith("_pct") ? `${metricWords(name)} (%)` : metricWords(name);
}

/** Whether less of it is better. */
export function ascending(name) {
  return ASCENDING.has(name);
}

/** Which figure of a metric to rank by is neither good nor bad; null where there is none. */
export function neutral(name) {
  return name in NEUTRAL ? NEUTRAL[name] : 0;
}

/** A figure of a row: a number, Infinity, or null where it is undefined or not computed yet. */
export function figure(row, name) {
  if (row.metrics_json?.infinite?.includes(name)) return Infinity;
  return row[name] ?? row.metrics_json?.[name] ?? null;
}

/** The same of the bars that the variant was not chosen on; null where there are none. */
export function testFigure(row, name) {
  if (row.test_metrics_json?.infinite?.includes(name)) return Infinity;
  return row.test_metrics_json?.[name] ?? null;
}

/** Write a figure without its unit: "1,234.50", "∞", "–". */
export function figureText(name, value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (name.endsWith("_duration_ms")) return duration(value / 1000);
  return decimal(value, measure(name).digits);
}

/** Write it with its unit. */
export function figureWithUnit(name, value) {
  const text = figureText(name, value);
  return name.endsWith("_pct") && Number.isFinite(value) && value !== null ? `${text} %` : text;
}

/** A number with exactly so many decimals; of huge ones the magnitude. */
export function decimal(value, digits) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= HUGE) return value.toExponential(3).replace("-", "−");
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

/** Units per second: "12.3k/s". */
export function rateText(rate) {
  if (!rate) return "";
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(1)}M/s`;
  return rate >= 1e3 ? `${(rate / 1e3).toFixed(1)}k/s` : `${number(rate)}/s`;
}
