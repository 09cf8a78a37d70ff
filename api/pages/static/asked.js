// What a job was asked to do: axes, range, costs, ranking, and which candles there were.

import { titled, valueText } from "./axes.js";
import { el } from "./dom.js";
import { duration, moment, number } from "./format.js";
import { metricWords } from "./measures.js";
import { CARRY, FILLS, FIRST, HELD, LEVERAGE, PAUSE, STORED_CARRY } from "./request_words.js";

/** "2024-01-01 to 2024-02-01". */
export function rangeText(range) {
  return `${moment(range.start)} to ${moment(range.end)}`;
}

/** "entries at the next open, stops inside bars"; nothing where all is filled at closes. */
export function fillsText(execution) {
  return Object.entries(FILLS).map(([name, words]) => words[execution[name]]).filter(Boolean).join(", ");
}

/** What positions are beyond their signals, of a template or a variant; nothing where they end with them. */
export function positionText({ position, execution }) {
  const bars = execution.reentry_after_bars;
  return [position === "hold" && HELD, bars && PAUSE.replace("{bars}", `${number(bars)} ${bars === 1 ? "bar" : "bars"}`)]
    .filter(Boolean).join(", ");
}

/** How positions are sized; a percent is an axis of its own. */
function sizingText({ sizing_mode: mode, execution }) {
  const risk = mode === "risk_per_trade" ? ` ${valueText(execution.risk_per_trade_pct ?? FIRST.risk_per_trade_pct)} %` : "";
  return mode.replaceAll("_", " ") + risk;
}

function leverageText({ leverage }) {
  return leverage ? LEVERAGE.replace("{times}", valueText(leverage)) : "";
}

/** What it costs to hold a position; nothing where that is free. */
function carryText(execution) {
  return Object.entries(CARRY).filter(([name]) => execution[name])
    .map(([name, words]) => execution[name] === "stored" ? STORED_CARRY[name]
      : words.replace("{percent}", valueText(execution[name]))).join(", ");
}

/** Everything that is not the default of how signals become trades. */
export function modesText(template) {
  const { execution } = template;
  return [positionText(template), fillsText(execution), leverageText(execution), carryText(execution)].filter(Boolean).join(", ");
}

/** The lines of what was asked: [label, text]. */
export function askedLines(status, axes) {
  const { request } = status, { template } = request;
  const { instrument_id: instrument, execution } = template;
  const seconds = (Date.parse(request.time_range.end) - Date.parse(request.time_range.start)) / 1000;
  const lines = [
    ["instrument", `${instrument.symbol}, market ${instrument.market_id}, ${template.timeframe}`],
    ["range", `${rangeText(request.time_range)} UTC (${duration(seconds)})`],
    ["warm-up", `${number(request.warmup_bars)} bars before it`],
  ];
  for (const title of titled(template.indicator_grids, template.exit_grids).keys()) {
    const own = axes.filter((each) => each.block === title && (each.group !== "source" || each.size > 1));
    lines.push([title, own.map((each) => `${each.label} ${each.values()}`).join(" × ")]);
  }
  const risk = axes.filter((each) => each.group === "risk");
  lines.push(["risk %", risk.map((each) => `${each.label} ${each.values()}`).join(" × ")]);
  lines.push(["trading", [template.direction_mode, sizingText(template), leverageText(execution)].filter(Boolean).join(", ")]);
  const position = positionText(template), fills = fillsText(execution);
  if (position) lines.push(["position", position]);
  if (fills) lines.push(["fills", fills]);
  const sides = `fee ${valueText(execution.fee_pct)} %, slippage ${valueText(execution.slippage_pct)} % of each side`;
  lines.push(["costs", [sides, carryText(execution)].filter(Boolean).join(", ")]);
  lines.push(["cash", cashText(template.sizing_mode, execution)]);
  lines.push(["ranking", rankingText(request.ranking)]);
  lines.push(["kept", `the best ${number(request.preselect)} are tried with stops and targets, ${number(request.top_k)} stay in the end, ` +
    `${number(request.top_trades_n)} of them with their trades`]);
  if (status.coverage) lines.push(["candles", coverageText(status.coverage)]);
  if (status.outcomes) lines.push(["outcomes", outcomesText(status.outcomes)]);
  if (status.mode === "saved") lines.push(["strategy", `a saved one, as it was (${status.spec_hash.slice(0, 12)})`]);
  if (status.engine_version) lines.push(["engine", status.engine_version]);
  lines.push(["job", status.job_id]);
  return lines;
}

/** Show them. */
export function showAsked(details, status, axes) {
  const list = el("dl", { class: "facts" });
  for (const [label, text] of askedLines(status, axes)) list.append(el("dt", {}, label), el("dd", { class: "wrap" }, text));
  details.replaceChildren(details.querySelector("summary"), list);
}

/** "by return / max drawdown; variants with fewer than 30 trades come last". */
export function rankingText(ranking) {
  let text = `by ${metricWords(ranking.primary_metric)}`;
  if (ranking.secondary_metric) text += `, then ${metricWords(ranking.secondary_metric)}`;
  if (ranking.min_trades) text += `; variants with fewer than ${number(ranking.min_trades)} ${ranking.min_trades === 1 ? "trade" : "trades"} come last`;
  return ranking.distinct ? `${text}; equal outcomes stand as one row` : text;
}

function cashText(sizing, execution) {
  let text = `${number(execution.init_cash_quote, 2)} at the start`;
  if (sizing === "fixed_quote") text += `, ${number(execution.fixed_quote, 2)} a trade`;
  if (sizing.endsWith("profit_lock")) text += `, ${valueText(execution.safe_profit_percent)} % of profits put aside`;
  return text;
}

function coverageText(coverage) {
  let text = `${number(coverage.bars_present)} of ${number(coverage.bars_expected)} bars`;
  if (coverage.first) text += `, ${moment(coverage.first)} to ${moment(coverage.last)} UTC`;
  if (coverage.longest_gap_bars) {
    text += `; longest gap ${number(coverage.longest_gap_bars)} bars from ${moment(coverage.longest_gap_start)}`;
  }
  text += `; warm-up ${number(coverage.warmup_present)} of ${number(coverage.warmup_bars)} bars`;
  return coverage.funding ? `${text}; ${number(coverage.funding.rates)} funding rates` : text;
}

function outcomesText(outcomes) {
  const counts = ["tried", "eligible", "profitable", "ruined"].map((name) => `${number(outcomes[name])} ${name}`);
  const held = outcomes.benchmark_return_pct;
  if (held !== null) counts.push(`${number(outcomes.beat_benchmark)} better than buy and hold (${number(held, 2)} %)`);
  return counts.join(", ");
}
