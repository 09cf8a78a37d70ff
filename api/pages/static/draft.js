// What the form works on: where it comes from, what is sent, and that it outlives the tab.

import { request } from "./api.js";
import { isObject, patched, patchOf } from "./document.js";
import { example, minutesOf, TRAIN_PCT } from "./example.js";
import { usual } from "./range.js";

const KEY = `draft ${location.search}`;

/**
 * Begin with what was typed here before, with what the URL names, or with next to nothing.
 * A draft: {document, name, note, saved: {strategy_id, template} | null, heading, origin, clip, focus}.
 */
export async function started(instruments) {
  const asked = new URLSearchParams(location.search);
  const made = await source(asked, instruments);
  const kept = stored();
  if (!kept) return made;
  const draft = { ...made, clip: false };
  understood(draft, kept);
  if (JSON.stringify(sent(draft)) !== JSON.stringify(sent(made))) {
    draft.origin = [...(made.origin ?? []), { text: `${made.origin ? " · " : ""}What you had typed is still here.` }];
  }
  return draft;
}

async function source(asked, instruments) {
  if (asked.get("from")) return ofJob(await request("GET", `/backtests/jobs/${asked.get("from")}`), asked.get("range") === "new");
  if (asked.get("strategy")) return ofStrategy(await request("GET", `/strategies/${asked.get("strategy")}`), instruments);
  if (asked.has("example") && instruments.length) {
    const { name, ...document_ } = example(instruments[0]);
    return { heading: "New job", document: document_, name, saved: null };
  }
  const template = { timeframe: "15m", indicator_grids: [] };
  const document_ = { template, validation: { train_pct: TRAIN_PCT } };
  const [first] = instruments;
  if (first) {
    template.instrument_id = { market_id: first.market_id, symbol: first.symbol };
    if (15 % minutesOf(first.timeframe)) template.timeframe = first.timeframe;
    document_.time_range = usual(first);
  }
  return { heading: "New job", document: document_, saved: null };
}

function ofJob(job, otherRange) {
  const name = job.name ?? `${job.request.template.instrument_id.symbol} ${job.request.template.timeframe}`;
  return {
    heading: otherRange ? "Rerun on another range" : "Duplicate",
    origin: [{ text: "From " }, { text: name, href: `/jobs/${job.job_id}` }],
    document: plain(job.request), name: job.name ?? undefined, note: job.note ?? undefined, saved: null,
    focus: otherRange ? "#start" : null,
  };
}

function ofStrategy(strategy, instruments) {
  const wanted = strategy.template.instrument_id;
  const known = instruments.find((one) => one.symbol === wanted?.symbol && one.market_id === wanted?.market_id);
  const document_ = { template: structuredClone(strategy.template) };
  if (known) document_.time_range = usual(known);
  return {
    heading: "Run a strategy",
    origin: [{ text: "Strategy " }, { text: strategy.name, href: "/strategies" }],
    document: document_, name: strategy.name, saved: { strategy_id: strategy.strategy_id, template: strategy.template },
    focus: "#start",
  };
}

/** A stored request as somebody would write it: without what only repeats a default. */
function plain(stored) {
  const { version, ...document_ } = structuredClone(stored);
  const { template, validation } = document_;
  if (validation === null) delete document_.validation;
  else for (const [name, value] of Object.entries(validation ?? {})) if (value === null) delete validation[name];
  if (!template.exit_grids?.length) delete template.exit_grids;
  for (const grid of [...template.indicator_grids, ...(template.exit_grids ?? [])]) {
    if (grid.name === grid.indicator_id) delete grid.name;
    if (grid.source === null) delete grid.source;
    for (const group of ["params", "signals"]) {
      if (isObject(grid[group]) && Object.keys(grid[group]).length === 0) delete grid[group];
    }
  }
  const risk = template.risk_grid ?? {};
  for (const [name, axis] of Object.entries(risk)) {
    if (axis === null || (axis.mode === "explicit" && axis.values.every((value) => value === null))) delete risk[name];
  }
  return document_;
}

/** The body that the API is given. */
export function sent({ document: whole, name, note, saved }) {
  const { validation, ...rest } = whole;
  // A form without a border keeps no bars aside, whatever else it says about a test.
  const document_ = validation === undefined || bordered(validation) ? whole : rest;
  const beside = { ...(name && { name }), ...(note && { note }) };
  if (!saved) return { ...beside, ...document_ };
  return { ...beside, strategy_id: saved.strategy_id, overrides: patchOf({ template: saved.template }, document_) };
}

function bordered(validation) {
  return !isObject(validation) || validation.train_pct !== undefined || validation.test_start !== undefined;
}

/** Take a body apart again. */
export function understood(draft, body) {
  const { name, note, ...rest } = body;
  if (rest.validation !== undefined && !bordered(rest.validation)) rest.validation = { train_pct: TRAIN_PCT, ...rest.validation };
  draft.name = name;
  draft.note = note;
  if (draft.saved && rest.strategy_id === draft.saved.strategy_id && isObject(rest.overrides ?? {})) {
    draft.document = patched({ template: draft.saved.template }, rest.overrides ?? {});
  } else {
    draft.saved = rest.strategy_id ? draft.saved : null;
    draft.document = rest;
  }
}

export function keep(draft) {
  try {
    localStorage.setItem(KEY, JSON.stringify(sent(draft)));
  } catch {
    // A browser that keeps nothing still gets a working form.
  }
}

export function forget() {
  localStorage.removeItem(KEY);
}

function stored() {
  try {
    const body = JSON.parse(localStorage.getItem(KEY));
    return isObject(body) ? body : null;
  } catch {
    return null;
  }
}
