// The upper part of a job's page: name, facts, what can be done, verdict, and what went wrong.

import { request } from "./api.js";
import { modesText, rangeText } from "./asked.js";
import { titled } from "./axes.js";
import { cancelled } from "./cancel.js";
import { copyButton, el, fill, toast } from "./dom.js";
import { ago, duration } from "./format.js";
import { tellRenamed } from "./renames.js";

const NAME_MOST = 120, NOTE_MOST = 4000;

const ADVICE = {
  no_market_data: "There are no candles for this instrument in this range. Import them, or duplicate the job with another range.",
  candle_source_unavailable: "The candle store did not answer. `backtest doctor` says what is wrong; then duplicate the job.",
  guard_exceeded: "Duplicate the job and ask for less: the form says which limit it met while you type.",
  invalid_request: "Duplicate the job: the form shows what is wrong with the request.",
  memory_limit_exceeded: "Duplicate the job with fewer variants, a shorter range or a larger timeframe.",
  plugin_failed: "Tell the author of the plugin what it says, or duplicate the job without its indicator.",
  stalled: "Duplicate the job to try again. If it stalls again, ask whoever runs the workers: their log says more.",
  worker_crashed_repeatedly: "Its workers died again and again. Duplicate the job with fewer variants; the workers' log says more.",
  unexpected_error: "Duplicate the job to try again. If it fails again, give its id to whoever runs the workers.",
};

/** What a job is called when it has no name: what it trades by. */
export function usualName(status) {
  const { template } = status.request;
  const blocks = [...titled(template.indicator_grids, template.exit_grids).keys()].join(" + ");
  return `${template.instrument_id.symbol} ${template.timeframe} · ${blocks}`;
}

export function showName(place, status, renamed) {
  if (place.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return;
  const edit = el("button", { type: "button", class: "quiet small", "aria-label": "Rename the job", on: { click: () => rename() } }, "Rename");
  place.replaceChildren(el("h1", { id: "name" }, status.name ?? usualName(status)), edit);

  function rename() {
    const input = el("input", { value: status.name ?? "", maxLength: NAME_MOST, placeholder: usualName(status), "aria-label": "Name of the job" });
    const back = () => { input.blur(); showName(place, status, renamed); place.querySelector("button").focus(); };
    const form = el("form", { class: "row grow", on: { submit: async (event) => {
      event.preventDefault();
      if (await described(status, { name: input.value.trim() || null }, (after) => { input.blur(); renamed(after); })) place.querySelector("button").focus();
    }, keydown: (event) => { if (event.key === "Escape") back(); } } }, input, el("button", { class: "primary small" }, "Save"),
      el("button", { type: "button", class: "small", on: { click: back } }, "Cancel"));
    place.replaceChildren(el("h1", { id: "name", class: "visually-hidden" }, status.name ?? usualName(status)), form);
    input.focus();
  }
}

export function showNote(details, status, renamed) {
  if (details.contains(document.activeElement) && document.activeElement.tagName === "TEXTAREA") return;
  const area = el("textarea", { value: status.note ?? "", maxLength: NOTE_MOST, rows: 4, "aria-label": "Note" });
  const save = el("button", { type: "button", class: "small", on: { click: async () => {
    if (await described(status, { note: area.value.trim() ? area.value : null }, renamed)) toast("Note saved");
  } } }, "Save note");
  details.open ||= Boolean(status.note);
  details.replaceChildren(details.querySelector("summary"), el("div", { class: "stack tight" }, area, el("div", {}, save)));
}

async function described(status, changes, renamed) {
  try {
    const after = await request("PATCH", `/backtests/jobs/${status.job_id}`, changes);
    renamed(after);
    tellRenamed(after);
    return true;
  } catch (error) {
    toast(error.details?.[0]?.message ?? error.message, "bad");
    return false;
  }
}

export function showFacts(place, status) {
  const { template, time_range: range } = status.request;
  const took = status.finished_at && status.started_at
    ? `took ${duration((Date.parse(status.finished_at) - Date.parse(status.started_at)) / 1000)}` : null;
  const parts = [el("span", { class: "badge", dataset: { state: status.state } }, status.state),
    `${template.instrument_id.symbol} ${template.timeframe}`, rangeText(range), modesText(template),
    el("span", {}, "created ", ago(status.created_at)), took];
  place.replaceChildren(...parts.filter(Boolean).map((part) => el("span", {}, part)),
    copyButton(status.job_id.slice(0, 8), () => status.job_id, "The job's id is copied"));
  place.querySelector("button").setAttribute("aria-label", "Copy the job's id");
}

export function showActions(place, status, changed) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.action : null;
  const { template } = status.request;
  const item = { job_id: status.job_id, name: status.name, symbol: template.instrument_id.symbol, timeframe: template.timeframe };
  const stop = status.finished_at ? null : el("button", { type: "button", class: "danger", title: "key c", dataset: { action: "cancel" },
    disabled: status.cancel_requested_at !== null, on: { click: async () => {
      const [after] = await cancelled([item]);
      if (after) changed({ state: after.state, cancel_requested_at: after.cancel_requested_at, finished_at: after.finished_at });
    } } }, status.cancel_requested_at ? "Stopping …" : "Cancel");
  const link = (action, words, path) => el("a", { class: "button", href: path, dataset: { action } }, words);
  place.replaceChildren(...[stop, link("duplicate", "Duplicate", `/new?from=${status.job_id}`),
    link("rerun", "Rerun on another range", `/new?from=${status.job_id}&range=new`)].filter(Boolean));
  if (focused) place.querySelector(`[data-action="${focused}"]`)?.focus();
}

/** Show the verdict; `best` is the row of rank 1, where there is one. */
export function showVerdict(section, status, best) {
  section.hidden = !status.verdict.length;
  const [first, ...rest] = status.verdict;
  const held = status.outcomes?.benchmark_return_pct ?? null;
  const children = [el("p", { class: "first" }, first ?? ""), rest.length > 0 && el("ul", {}, rest.map((text) => el("li", {}, text))),
    status.state === "succeeded" && best && el("p", { class: "advice" }, advice(status, best, held))];
  fill(section, ...children);
}

/** What to make of a finished job, for whoever sees one for the first time. */
function advice(status, best, held) {
  const made = best.total_return_pct;
  if (made === null || made <= 0) return "Not even the best variant earned anything on this range: as it stands, there is nothing here to trade.";
  const begin = held !== null && made <= held ? "Holding the instrument would have earned at least as much. " : "";
  if (status.request.validation) {
    const tested = best.test_metrics_json?.total_return_pct ?? null;
    if (tested === null || tested > 0) return [begin, "What it made on the bars it was not chosen on is the figure to go by: the other one is the best of many."];
    return [begin, "On the bars it was not chosen on it earned nothing: what the search found did not last."];
  }
  return [begin, "Do not believe it yet: the winner was chosen on the very bars it is judged by, and the best of many looks good by luck alone. " +
    "Open it below, save it as a strategy, and run that on a range it has not seen; or ",
  el("a", { href: `/new?from=${status.job_id}&range=new` }, "rerun the sweep on another range"), " and see whether the same values win."];
}

export function showTrouble(place, status) {
  place.hidden = status.state !== "failed";
  if (place.hidden) return;
  const code = status.last_error_json?.code;
  place.replaceChildren(el("div", { class: "notice bad stack tight" }, el("p", {}, el("b", {}, status.last_error ?? "The job failed."), code ? ` (${code})` : ""),
    ADVICE[code] ? el("p", {}, ADVICE[code]) : null, ...problems(status.last_error_json)));
}

function problems(error) {
  const found = error?.details?.errors;
  if (!Array.isArray(found) || !found.length) return [];
  return [el("ul", {}, found.map((each) => el("li", {}, [each.path, each.message].filter(Boolean).join(": "))))];
}

/** Why a job has no variants to show. */
export function whyEmpty(status) {
  switch (status.state) {
    case "queued": return "No variants yet: the job is queued, no worker has taken it so far.";
    case "running": return "No variants yet: the first ones come with the stops and targets, when all variants are scored.";
    case "failed": return "No variants: the job failed before it had found any.";
    case "cancelled": return "No variants: the job was cancelled before it had found any.";
    default: return "The job has succeeded without a variant.";
  }
}
