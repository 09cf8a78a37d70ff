// One job as a row of the list.

import { el } from "./dom.js";
import { ago, duration, metric, moment, number } from "./format.js";
import { metricWords } from "./measures.js";
import { stageWords } from "./timeline.js";

export const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];

/** What to call a job: its name, or what it trades. */
export function title(item) {
  return item.name ?? `${item.symbol} ${item.timeframe}`;
}

/** "43 %", or the name of the stage where nothing is counted. */
export function progressText(item) {
  const progress = item.progress;
  if (!progress || !progress.total) return progress ? stageWords(progress.stage) : "starting";
  return `${Math.floor((100 * progress.done) / progress.total)} %`;
}

/** Make the row. `actions.select(item, wanted)` and `actions.cancel(item)` are what it can do. */
export function row(item, actions) {
  const name = title(item);
  const pick = el("input", { type: "checkbox", checked: actions.selected, dataset: { role: "pick" },
    "aria-label": `Select ${name} ${item.job_id.slice(0, 8)}`,
    on: { change: (event) => actions.select(item, event.target.checked) } });
  const open = el("a", { href: `/jobs/${item.job_id}`, dataset: { role: "open" } }, name);
  const stop = item.finished_at ? null : el("button", { type: "button", class: "small quiet", dataset: { role: "cancel" },
    disabled: item.cancel_requested_at !== null, "aria-label": `Cancel ${name}`,
    on: { click: () => actions.cancel(item) } }, item.cancel_requested_at ? "cancelling…" : "Cancel");
  return el("tr", { dataset: { job: item.job_id }, "aria-selected": String(Boolean(actions.selected)) },
    el("td", { class: "pick" }, pick),
    el("td", { class: "name" }, open, el("span", { class: "mono", title: item.job_id }, item.job_id.slice(0, 8))),
    el("td", { class: "state" }, el("span", { class: "badge", dataset: { state: item.state } }, item.state)),
    el("td", { class: "what" }, el("b", {}, item.symbol), ` · ${item.timeframe}`),
    el("td", { class: "range" }, `${moment(item.start)} – ${moment(item.end)}`),
    el("td", { class: "best number" }, ...best(item)),
    el("td", { class: "going" }, ...going(item)),
    el("td", { class: "age" }, ago(item.created_at)),
    el("td", { class: "act" }, stop));
}

function best(item) {
  if (item.best === null && !item.best_infinite) return [];
  const tone = item.primary_metric === "total_return_pct" ? (item.best >= 0 ? "gain" : "loss") : "";
  return [el("b", { class: tone }, metric(item.primary_metric, item.best, item.best_infinite)),
    el("span", { class: "metric-name" }, metricWords(item.primary_metric))];
}

function going(item) {
  if (item.state === "failed") return [el("span", { class: "why", title: item.last_error }, item.last_error ?? "")];
  if (item.finished_at && item.started_at) {
    const seconds = (Date.parse(item.finished_at) - Date.parse(item.started_at)) / 1000;
    return [el("span", {}, `took ${duration(seconds)}`)];
  }
  if (item.state === "queued") {
    return [el("span", {}, item.attempt > 1 ? `waits for attempt ${item.attempt}` : "waits for a worker")];
  }
  if (!item.progress) return [];
  const { stage, done, total, rate, eta } = item.progress;
  const bar = el("progress", total ? { max: total, value: done, "aria-label": `Progress of ${title(item)}` }
    : { "aria-label": `Progress of ${title(item)}` });
  const words = [stageWords(stage)];
  if (total) words[0] += ` ${progressText(item)}`;
  if (rate) words.push(`${number(rate)}/s`);
  if (eta !== null && eta !== undefined) words.push(`${duration(eta)} left`);
  return [bar, el("span", {}, words.join(" · "))];
}
