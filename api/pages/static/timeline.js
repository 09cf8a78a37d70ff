// What happened to a job, stage by stage and attempt by attempt, from its lifecycle events.

import { el } from "./dom.js";
import { duration, moment } from "./format.js";

const STAGES = {
  stage_a: "scoring variants",
  stage_b: "stops and targets",
  validation: "validation",
  finalizing: "reports",
};
const ENDS = { succeeded: "finished", failed: "failed", cancelled: "cancelled" };
const CLAIMS = new Set(["claimed", "reclaimed"]);

export function stageWords(stage) {
  return STAGES[stage] ?? "waiting";
}

/**
 * Cut a job's life into steps: `{words, kind, attempt, from, to, why}`. `to` is null of the step
 * that is still going on.
 */
export function steps(events) {
  const found = [];
  const begin = (event, words, kind, why = "") => {
    if (found.length) found.at(-1).to ??= event.at;
    found.push({ words, kind, attempt: event.attempt, from: event.at, to: null, why });
  };
  for (const event of events) {
    if (event.event === "queued") begin(event, "waiting for a worker", "queued");
    else if (CLAIMS.has(event.event)) begin(event, "reading candles", "loading", reclaimed(event));
    else if (event.event === "stage_started") begin(event, stageWords(event.details.stage), event.details.stage);
    else if (event.event === "lease_released") begin(event, "waiting for a worker", "queued", "the worker was stopped");
    else if (event.event in ENDS && found.length) found.at(-1).to ??= event.at;
  }
  return found;
}

function reclaimed(event) {
  if (event.event !== "reclaimed") return "";
  return event.details.reason === "crashed" ? "the worker before was lost" : "the worker before was stopped";
}

/** Show the timeline; `state` says whether the last step goes on. */
export function showTimeline(section, events, state) {
  const found = steps(events);
  const going = state === "running" || state === "queued";
  const seconds = (step) => Math.max(0, ((step.to ? Date.parse(step.to) : Date.now()) - Date.parse(step.from)) / 1000);
  const attempts = Math.max(0, ...found.map((step) => step.attempt));
  const whole = found.reduce((sum, step) => sum + seconds(step), 0) || 1;
  const bar = el("div", { class: "segments", "aria-hidden": "true" });
  for (const step of found) {
    const part = el("i", { class: `segment ${step.kind}`, title: `${step.words}: ${duration(seconds(step))}` });
    part.style.flexGrow = String(1 + (99 * seconds(step)) / whole);
    bar.append(part);
  }
  const list = el("ol", { class: "steps" });
  for (const [at, step] of found.entries()) {
    const news = step.attempt > 1 && found[at - 1]?.attempt !== step.attempt;
    list.append(el("li", {},
      el("i", { class: `dot ${step.kind}`, "aria-hidden": "true" }),
      el("span", { class: "grow" }, step.words,
        news ? el("span", { class: "soft" }, ` · attempt ${step.attempt}`) : null,
        step.why ? el("span", { class: "soft" }, ` · ${step.why}`) : null),
      el("span", { class: "number", title: `${moment(step.from)} UTC` },
        step.to || going ? duration(seconds(step)) + (step.to ? "" : " so far") : "–")));
  }
  const last = events.at(-1);
  const end = last && last.event in ENDS
    ? `${ENDS[last.event]} ${moment(last.at)} UTC, ${duration((Date.parse(last.at) - Date.parse(events[0].at)) / 1000)} after it was submitted`
    : events.some((event) => event.event === "cancel_requested") ? "asked to stop" : "";
  const summary = [end, attempts > 1 ? `${attempts} attempts` : ""].filter(Boolean).join("; ");
  section.replaceChildren(section.querySelector("h2"), bar, list, el("p", { class: "soft small" }, summary));
}
