// How far a job is: in words, as a bar, and in the title of the page.

import { el } from "./dom.js";
import { duration, number } from "./format.js";
import { rateText } from "./measures.js";
import { showSharing } from "./sharing.js";
import { stageWords } from "./timeline.js";

/** "scoring variants: 12,345 of 20,000, 1.2k/s, about 12 s left". */
export function progressWords({ state, progress, attempt, cancel_requested_at: stopping }) {
  if (state === "queued") return attempt > 0 ? "waiting for another worker" : "waiting for a worker";
  if (state !== "running") return state;
  const begin = stopping ? "asked to stop; " : "";
  if (!progress?.total) return `${begin}${progress ? stageWords(progress.stage) : "starting"}`;
  const parts = [`${number(progress.done)} of ${number(progress.total)}`];
  if (progress.rate) parts.push(rateText(progress.rate));
  if (progress.eta !== null && progress.eta !== undefined) parts.push(`about ${duration(progress.eta)} left`);
  return `${begin}${stageWords(progress.stage)}: ${parts.join(", ")}`;
}

/** The share that is done, or null where nothing is counted. */
function share(progress) {
  return progress?.total ? progress.done / progress.total : null;
}

/** Show the bar of a job that has not ended; hides the section of one that has. */
export function showProgress(section, status) {
  section.hidden = status.state !== "running" && status.state !== "queued";
  if (section.hidden) return;
  const words = progressWords(status), done = share(status.progress);
  if (!section.bar) {
    section.bar = el("progress", { "aria-label": "Progress of this stage", max: 1 });
    section.words = el("p", {});
    section.percent = el("b", { class: "percent" });
    section.sharing = el("div", { class: "sharing" });
    section.replaceChildren(el("div", { class: "spread" }, section.words, section.percent), section.bar, section.sharing);
  }
  section.words.textContent = words;
  section.percent.textContent = done === null ? "" : `${Math.floor(100 * done)} %`;
  if (done === null) section.bar.removeAttribute("value");
  else section.bar.value = done;
  showSharing(section.sharing, status.sharing);
}

/** What the tab says: `43 % · BTCUSDT` while it runs. */
export function titleOf(status) {
  const { symbol } = status.request.template.instrument_id, done = share(status.progress);
  if (status.state === "running" && done !== null) return `${Math.floor(100 * done)} % · ${symbol}`;
  return `${status.state} · ${symbol}`;
}
