// Two to five jobs, or variants, side by side: equity, figures, and the parameters that differ.

import { request } from "./api.js";
import { blocksOf, riskWords, valueText } from "./axes.js";
import { fillsText, positionText, rangeText } from "./asked.js";
import { el, find } from "./dom.js";
import { usualName } from "./job_head.js";
import { MEASURES, ascending, figure, figureWithUnit, metricWords } from "./measures.js";
import { FIRST } from "./request_words.js";
import { Chart, line, plain, times, upright } from "./plotting.js";
import { color } from "./theme.js";

const MOST = 5;
const WIDE = 5; // px: seen on both sides of an equal curve that is drawn over it

/** What may tell jobs of one name apart, as texts. */
const TRAITS = [({ request: { template } }) => template.instrument_id.symbol, ({ request: { template } }) => template.timeframe,
  ({ request: { time_range: range } }) => rangeText(range)];
const page = find("#compare");

/** What the URL asks for: [{job, rank}], jobs by their best variant. */
function wanted() {
  const query = new URLSearchParams(location.search);
  const listed = (name) => (query.get(name) ?? "").split(",").map((text) => text.trim()).filter(Boolean);
  return [...listed("jobs").map((job) => ({ job, rank: 1 })),
    ...listed("variants").map((text) => ({ job: text.split(":")[0], rank: Number(text.split(":")[1]) }))];
}

/** Read a variant with its equity, and its job. */
async function read({ job, rank }, jobs, ranked) {
  if (!Number.isInteger(rank) || rank < 1) throw new Error(`${job}: a variant is given by its job and its rank, like ${job}:1.`);
  const path = `/backtests/jobs/${encodeURIComponent(job)}`;
  if (!jobs.has(job)) jobs.set(job, Promise.all([request("GET", path), request("GET", `${path}/top?limit=300&include=none`)]));
  const [status, top] = await jobs.get(job);
  const line_ = top.items.find((row) => row.rank === rank);
  if (!line_) throw new Error(`${nameOf(status)} has no variant of rank ${rank}${top.items.length ? "" : ": it is " + status.state}.`);
  const row = await request("GET", `/backtests/jobs/${status.job_id}/variants/${line_.variant_key}`);
  return { status, row, name: ranked ? `${nameOf(status)}, rank ${rank}` : nameOf(status) };
}

function nameOf(status) {
  return status.name ?? usualName(status);
}

/** Give those of one name `apart`, what tells them apart. */
function tellApart(items) {
  for (const alike of Map.groupBy(items, (item) => item.name).values()) {
    if (alike.length === 1) continue;
    const differing = TRAITS.filter((trait) => new Set(alike.map(({ status }) => trait(status))).size > 1);
    const texts = alike.map(({ status }) => differing.map((trait) => trait(status)).join(", "));
    for (const [at, item] of alike.entries()) {
      const alone = texts.filter((text) => text === texts[at]).length === 1;
      item.apart = [texts[at], alone ? "" : item.status.job_id.slice(0, 8)].filter(Boolean).join(", ");
    }
  }
}

/** The name that nothing else on this page has. */
function fullName({ name, apart }) {
  return apart ? `${name} · ${apart}` : name;
}

function link(item) {
  return el("a", { href: `/jobs/${item.status.job_id}?variant=${item.row.variant_key}` }, item.name,
    item.apart && el("span", { class: "apart" }, ` ${item.apart}`));
}

function swatch(at) {
  return el("i", { class: `swatch c${at}`, "aria-hidden": "true" });
}

function headings(items) {
  return items.map((item, at) => el("th", { scope: "col" }, swatch(at), link(item)));
}

function table(items, words, lines, kind) {
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": words }, el("table", { class: `compared ${kind}` },
    el("thead", {}, el("tr", {}, el("td"), headings(items))), el("tbody", {}, lines)));
}

function showFigures(items) {
  const names = MEASURES.map((each) => each.name);
  const lines = [names[0], "benchmark_return_pct", ...names.slice(1)].map((name) => {
    const values = items.map((item) => figure(item.row, name));
    if (values.every((value) => value === null)) return null;
    const known = values.filter((value) => value !== null);
    const best = ascending(name) ? Math.min(...known) : Math.max(...known);
    const marked = !["num_trades", "benchmark_return_pct", "position_coverage_pct", "gross_exposure", "avg_trade_duration_ms"].includes(name) &&
      new Set(values).size > 1;
    return el("tr", {}, el("th", { scope: "row" }, metricWords(name)), values.map((value) =>
      el("td", { class: marked && value === best ? "best" : "" }, figureWithUnit(name, value),
        marked && value === best ? el("span", { class: "visually-hidden" }, " (best)") : null)));
  });
  find("#figures-card").hidden = false;
  find("#figures").replaceChildren(table(items, "Table of figures", lines.filter(Boolean), "figures-table"));
}

/** All that a variant is, as a flat map of texts. */
function flat({ status, row }) {
  const { payload_json: payload } = row, found = new Map();
  found.set("instrument", `${payload.instrument_id.symbol}, market ${payload.instrument_id.market_id}`);
  found.set("timeframe", payload.timeframe);
  found.set("range", rangeText(status.request.time_range));
  found.set("direction", payload.direction_mode);
  found.set("sizing", payload.sizing_mode.replaceAll("_", " "));
  const { entry_fill, stop_fill, reentry_after_bars, ...money } = { ...FIRST, ...payload.execution };
  found.set("position", positionText(payload) || "ends with its signals");
  found.set("fills", fillsText(payload.execution) || "at closes");
  for (const [name, value] of Object.entries(money)) found.set(name.replaceAll("_", " ").replace(/ pct\b/, " %"), valueText(value));
  for (const [title, block] of blocksOf(payload)) {
    found.set(title, block.output === undefined ? "yes" : `${block.indicator_id}, ${block.output}`);
    if (block.source) found.set(`${title} source`, block.source);
    for (const [name, value] of [...Object.entries(block.params), ...Object.entries(block.signals)]) {
      found.set(`${title} ${name.replace("_threshold", "")}`, valueText(value));
    }
  }
  for (const [name, value] of Object.entries(payload.risk)) found.set(`${riskWords(name)} %`, valueText(value));
  return found;
}

function showDifferences(items) {
  const maps = items.map(flat), keys = [...new Set(maps.flatMap((map) => [...map.keys()]))];
  const lines = keys.filter((key) => new Set(maps.map((map) => map.get(key))).size > 1)
    .map((key) => el("tr", {}, el("th", { scope: "row" }, key), maps.map((map) => el("td", {}, map.get(key) ?? "–"))));
  find("#differences-card").hidden = false;
  find("#differences").replaceChildren(lines.length ? table(items, "Table of what differs", lines, "differences")
    : el("p", { class: "soft" }, "Nothing: these are the same parameters on the same range."));
}

function showCurves(items) {
  const drawn = items.map((item, at) => ({ ...item, at })).filter((item) => item.row.equity);
  const without = items.filter((item) => !item.row.equity);
  find("#curves-card").hidden = false;
  const place = el("div", { class: "chart low" });
  const notes = without.map((item) => el("p", { class: "soft" }, `${fullName(item)} has no stored curve: `,
    el("a", { href: `/jobs/${item.status.job_id}?variant=${item.row.variant_key}` }, "open it"), " to compute its report."));
  const legend = el("ul", { class: "legend", "aria-label": "Curves" }, drawn.map((item) => el("li", {}, swatch(item.at), `${fullName(item)} `,
    el("b", {}, figureWithUnit("total_return_pct", figure(item.row, "total_return_pct"))))));
  find("#curves").replaceChildren(...(drawn.length ? [legend, place] : []), ...notes);
  if (!drawn.length) return;
  const words = `Equity curves from 100 %: ${drawn.map((item) => `${fullName(item)} ${figureWithUnit("total_return_pct", figure(item.row, "total_return_pct"))}`).join("; ")}`;
  const chart = new Chart(place, words, {
    traces: () => drawn.map((item) => {
      const cash = item.status.request.template.execution.init_cash_quote;
      const covered = drawn.some((other) => other.at > item.at && JSON.stringify(other.row.equity) === JSON.stringify(item.row.equity));
      return line(plain(fullName(item)), color(`curve-${item.at}`), { x: times(item.row.equity.map(([time]) => time)),
        y: item.row.equity.map(([, value]) => (value === null ? null : (100 * value) / cash)), hovertemplate: "%{y:.2f} %",
        line: { color: color(`curve-${item.at}`), width: covered ? WIDE : 2 } });
    }),
    layout: () => ({ showlegend: false, xaxis: { type: "date", gridcolor: color("grid") }, yaxis: upright([0, 1], "% of the initial cash") }),
  });
  chart.ready.catch((error) => trouble(error.message));
}

function trouble(message) {
  find("#trouble").hidden = false;
  find("#trouble").replaceChildren(el("div", { class: "notice warn", role: "alert" }, el("p", {}, message),
    el("p", {}, el("a", { href: "/" }, "Choose jobs from the list"))));
}

async function begin() {
  const asked = wanted();
  try {
    if (asked.length < 2 || asked.length > MOST) throw new Error(`Two to ${MOST} jobs or variants can be compared, not ${asked.length}.`);
    const jobs = new Map(), ranked = location.search.includes("variants=");
    const items = await Promise.all(asked.map((one) => read(one, jobs, ranked)));
    if (ranked && jobs.size === 1) {
      find("h1").replaceChildren("Variants of ", el("a", { href: `/jobs/${items[0].status.job_id}` }, nameOf(items[0].status)));
      for (const item of items) item.name = `rank ${item.row.rank}`;
    }
    tellApart(items);
    showCurves(items);
    showFigures(items);
    showDifferences(items);
  } catch (error) {
    trouble(error.message);
  }
  page.setAttribute("aria-busy", "false");
}

begin();
