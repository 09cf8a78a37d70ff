// The form of a request: form and JSON show one document, and the API says what it comes to.

import { request } from "./api.js";
import { addBlock, drawBlocks } from "./blocks.js";
import { combo } from "./combo.js";
import { debounced, el, find, toast } from "./dom.js";
import { isObject, setAt, valueAt } from "./document.js";
import { forget, keep, sent, started, understood } from "./draft.js";
import { minutesOf } from "./example.js";
import { pathOf, show, take } from "./fields.js";
import { duration, moment, number } from "./format.js";
import { panel } from "./panel.js";
import { clipped, lastDays, text } from "./range.js";

const form = find("#form"), json = find("#json");
const EXITS = "template.exit_grids", SIZING = "template.sizing_mode", PERCENT = "template.execution.percent";
/** Fields that one sizing alone has, by it. */
const SIZES = {
  fixed_quote: "template.execution.fixed_quote",
  strategy_compound_profit_lock: "template.execution.safe_profit_percent",
  percent: PERCENT,
  risk_per_trade: "template.execution.risk_per_trade_pct",
};
/** Where blocks are drawn, and added, by where they stand in the template. */
const BLOCKS = {
  indicator_grids: { place: find("#blocks"), add: find("#add"), list: find("#found") },
  exit_grids: { place: find("#exit-blocks"), add: find("#add-exit"), list: find("#found-exit") },
};
const DRAWS = "validation.draws", LONG_SECONDS = 60;
let draft = null, catalogue = [], instruments = [];
let unused; // exit blocks of somebody who looks at the other choice
let unusedPercent; // as well

/** Everything that follows from the document, after it was changed by the form or the JSON. */
function changed({ restructured = false, byJson = false } = {}) {
  if (restructured) drawAll();
  if (!byJson) writeJson();
  keep(draft);
  showExtras();
  const missing = incomplete();
  if (missing) answer.wait(missing);
  else answer.ask(sent(draft));
}

/** What is still to be chosen before there is anything to ask the API. */
function incomplete() {
  if (draft.saved) return "";
  if (!valueAt(draft.document, "template.instrument_id.symbol")) return "Choose an instrument.";
  const grids = valueAt(draft.document, "template.indicator_grids");
  return Array.isArray(grids) && grids.length === 0 ? "Add an indicator: its signals are what is traded." : "";
}

function edited(restructured) {
  changed({ restructured });
}

function drawAll() {
  for (const [grids, { place }] of Object.entries(BLOCKS)) drawBlocks(place, draft.document, grids, catalogue, edited);
}

/** Show the document in every field. */
function showAll() {
  drawAll();
  show(form, draft.document);
  find("#name").value = draft.name ?? "";
  find("#note").value = draft.note ?? "";
  showInstrument();
  showRange();
}

function writeJson() {
  json.value = JSON.stringify(sent(draft), null, 2);
  json.removeAttribute("aria-invalid");
}

const readJson = debounced(() => {
  try {
    const body = JSON.parse(json.value);
    if (!isObject(body)) throw new SyntaxError("a request is an object");
    understood(draft, body);
    json.removeAttribute("aria-invalid");
    showAll();
    changed({ byJson: true });
  } catch (error) {
    json.setAttribute("aria-invalid", "true");
    answer.refuse(`The JSON cannot be read: ${error.message}`);
  }
}, 300);

function instrument() {
  const wanted = valueAt(draft.document, "template.instrument_id");
  return instruments.find((one) => one.symbol === wanted?.symbol && one.market_id === wanted?.market_id);
}

function showInstrument() {
  const wanted = valueAt(draft.document, "template.instrument_id");
  const select = find("#instrument"), known = instrument();
  const options = instruments.map((one) => el("option", { value: JSON.stringify([one.market_id, one.symbol]),
    selected: one === known }, `${one.symbol} · market ${one.market_id}`));
  if (!known) {
    const words = wanted?.symbol ? `${wanted.symbol} (no candles)` : instruments.length ? "choose one" : "no candles yet";
    options.unshift(el("option", { value: "", selected: true }, words));
  }
  select.replaceChildren(...options);
  find("#coverage").textContent = known ? coverageText(known) : instruments.length ? "" :
    "Import candles first: backtest candles import FILE --market-id 1 --symbol BTCUSDT";
}

/** Only minutes are told from the time they span: a market of longer bars may close at night. */
function coverageText({ first, last, minutes, timeframe }) {
  if (timeframe !== "1m") return `Bars of ${timeframe}: ${number(minutes / minutesOf(timeframe))}, ${moment(first)} – ${moment(last)} UTC`;
  const span = (Date.parse(last) - Date.parse(first)) / 60_000 + 1;
  const share = minutes >= span ? "without gaps" : `${(Math.floor((10_000 * minutes) / span) / 100).toFixed(2)} % there`;
  return `Candles ${moment(first)} – ${moment(last)} UTC, ${number(minutes)} minutes, ${share}`;
}

/** Dates as dates, other moments as texts: a date field cannot show them. */
function showRange() {
  const known = instrument();
  for (const input of form.querySelectorAll("[data-range]")) {
    const value = valueAt(draft.document, `time_range.${input.dataset.range}`);
    const ms = Date.parse(value);
    const whole = value === undefined || (!Number.isNaN(ms) && /^\d{4}-\d\d-\d\d$/.test(text(ms)));
    input.type = whole ? "date" : "text";
    input.value = value === undefined ? "" : whole ? text(ms) : value;
    if (input.dataset.range === "end") find("#end-hint").textContent = whole ? "The first day that is not traded." : "The first moment that is not traded.";
    if (known) {
      const all = lastDays(known, 0);
      input.min = all.start.slice(0, 10);
      input.max = all.end.slice(0, 10);
    }
  }
}

/** Show what only some choices need, and the defaults of this market. */
function showExtras() {
  const market = valueAt(draft.document, "template.instrument_id.market_id");
  for (const input of form.querySelectorAll("[data-by-market]")) {
    input.placeholder = JSON.parse(input.dataset.byMarket)[market] ?? "of the market";
  }
  // Exit blocks that came by the JSON are shown, whatever the position: something is wrong with them then.
  find("#exits").hidden = valueAt(draft.document, "template.position") !== "hold" && !valueAt(draft.document, EXITS)?.length;
  const sizing = valueAt(draft.document, SIZING);
  for (const [mode, path] of Object.entries(SIZES)) find(`[data-path="${path}"]`).hidden = sizing !== mode;
  // Percents that came by the JSON are shown, whatever the sizing: something is wrong with them then.
  if (typeof valueAt(draft.document, PERCENT) === "object") find(`[data-path="${PERCENT}"]`).hidden = false;
  const margin = find("#margin");
  margin.open ||= [...margin.querySelectorAll("input")].some((input) => input.value !== "" && Number(input.value) !== 0);
}

function choseInstrument(value) {
  const [market_id, symbol] = JSON.parse(value);
  setAt(draft.document, "template.instrument_id", { market_id, symbol });
  draft.document.time_range = clipped(draft.document.time_range, instrument());
  showInstrument();
  showRange();
  changed();
}

/** Exit blocks go with the choice that has them, and come back with it. */
function chosePosition(value) {
  if (value === "hold") setAt(draft.document, EXITS, unused);
  else {
    unused = valueAt(draft.document, EXITS);
    setAt(draft.document, EXITS, undefined);
  }
  changed({ restructured: true });
}

/** Percents are variants of the one sizing that has them: they go with it, and come back. */
function choseSizing(value) {
  const percent = valueAt(draft.document, PERCENT);
  if (value === "percent") setAt(draft.document, PERCENT, percent ?? unusedPercent);
  else if (percent !== undefined) {
    unusedPercent = percent;
    setAt(draft.document, PERCENT, undefined);
  }
  show(form, draft.document);
  changed();
}

function choseSpan(days) {
  const known = instrument();
  if (!known) return toast("Choose an instrument first");
  draft.document.time_range = lastDays(known, days);
  showRange();
  changed();
}

function typed(event) {
  const input = event.target;
  if (input.id === "json") return readJson();
  if (input.id === "name" || input.id === "note") draft[input.id] = input.value.trim() || undefined;
  else if (input.dataset.range) setAt(draft.document, `time_range.${input.dataset.range}`, input.value.trim() || undefined);
  else if (input.id === "instrument") return input.value && choseInstrument(input.value);
  else if (!take(input, draft.document)) return;
  else if (input.name === "position") return chosePosition(input.value);
  else if (pathOf(input) === SIZING) return choseSizing(input.value);
  else if (pathOf(input) === DRAWS) find("#spared").hidden = true;
  // What blocks may be computed on depends on it.
  else if (pathOf(input) === "template.timeframe") return changed({ restructured: true });
  changed();
}

function showOrigin() {
  find("#heading").textContent = draft.heading;
  document.title = draft.heading;
  const origin = find("#origin");
  origin.hidden = !draft.origin;
  origin.replaceChildren(...(draft.origin ?? []).map((part) => (part.href ? el("a", { href: part.href }, part.text) : part.text)));
}

async function begin() {
  const [listed, found] = await Promise.allSettled([
    request("GET", "/backtests/indicators"), request("GET", "/backtests/instruments")]);
  if (listed.status === "rejected") throw listed.reason;
  catalogue = listed.value.items;
  instruments = found.status === "fulfilled" ? found.value.items : [];
  if (found.status === "rejected") toast(found.reason.message, "bad");
  draft = await started(instruments);
  const known = instrument();
  if (known && draft.clip) draft.document.time_range = clipped(draft.document.time_range, known);
  showOrigin();
  showAll();
  changed();
  for (const [grids, { add, list }] of Object.entries(BLOCKS)) {
    combo(add, list, catalogue, (indicator) => {
      const at = addBlock(draft.document, grids, indicator);
      changed({ restructured: true });
      find(`[data-path="template.${grids}[${at}]"] .axis input`)?.focus();
    });
  }
  form.addEventListener("input", typed);
  find("#fields").disabled = false;
  if (draft.focus) find(draft.focus)?.focus();
  form.dataset.ready = "";
}

/** Repetitions of a long search are for those who ask for them. */
function spare({ seconds }) {
  const wanted = draft.document.validation;
  if (!(seconds > LONG_SECONDS) || !isObject(wanted) || wanted.draws !== undefined) return;
  setAt(draft.document, DRAWS, 0);
  const note = find("#spared");
  note.hidden = false;
  note.textContent = `With repetitions on bars without an edge this takes about ${duration(seconds)}, so they are left out. `
    + "Give their number below to know how often luck finds as much.";
  show(form, draft.document);
  changed();
}

const answer = panel(form, () => sent(draft), forget, spare);
for (const chip of form.querySelectorAll("[data-days]")) {
  chip.addEventListener("click", () => choseSpan(Number(chip.dataset.days)));
}
find("#afresh").addEventListener("click", () => { forget(); location.assign("/new"); });
begin().catch((error) => form.replaceChildren(el("div", { class: "card empty stack" }, el("p", {}, error.message),
  el("p", {}, el("a", { class: "button", href: "/new" }, "Begin with an empty form")))));
