// How the variants of a whole search came out: a histogram with winner, zero and buy and hold.

import { el } from "./dom.js";
import { number } from "./format.js";
import { histogram } from "./histogram.js";
import { figureWithUnit } from "./measures.js";
import { fitted, ticks } from "./svg.js";

const NAME = "total_return_pct";
const OUTER = 0.005; // of the variants on either side: one of them far out must not flatten the rest

/** Show the distribution of total return of a status with `distribution`; hides what has none. */
export function showDistribution(section, status) {
  const found = status.distribution?.[NAME];
  section.hidden = !found?.counts.length || !status.outcomes;
  if (section.hidden) return;
  const held = status.distribution.benchmark_return_pct, winner = status.distribution.winner;
  const { tried, profitable, beat_benchmark: better } = status.outcomes;
  const share = (count) => `${number((100 * count) / Math.max(tried, 1), 2)} %`;
  const words = `Total return of ${number(tried)} variants without stops and targets: ${share(profitable)} made money` +
    (held === null ? "." : `, ${share(better)} beat buy and hold (${figureWithUnit(NAME, held)}).`);
  const marks = [{ at: 0, kind: "zero" }];
  if (held !== null) marks.push({ at: held, words: `buy and hold ${figureWithUnit(NAME, held)}`, kind: "held" });
  if (winner !== null) marks.push({ at: winner, words: `winner ${figureWithUnit(NAME, winner)}`, kind: "winner" });
  const drawing = el("div", { class: "drawing" });
  section.replaceChildren(section.querySelector("h2"), drawing,
    el("p", { class: "soft small" }, words, winner === null ? null : ` The winner made ${figureWithUnit(NAME, winner)}${own(status)}.`));
  const view = viewOf(found, marks);
  fitted(drawing, (width) => drawing.replaceChildren(draw(width, found, marks, view, words)));
}

/** What the winner may have that the variants of this picture go without: levels, and a percent of its own. */
function own({ request: { template } }) {
  const levels = Object.values(template.risk_grid).some((axis) => axis !== null && !axis.values?.every((level) => level === null));
  const sizes = template.execution.percent !== null && typeof template.execution.percent === "object";
  const found = [...(levels ? ["stops and targets"] : []), ...(sizes ? ["a percent of its own"] : [])];
  return found.length ? `, ${found.join(" and ")} included` : "";
}

/** The range to show: the marks and all but the outermost variants. */
function viewOf({ edges, counts }, marks) {
  const total = counts.reduce((sum, count) => sum + count, 0), cut = total * OUTER;
  let first = 0, last = counts.length - 1, below = 0, above = 0;
  while (first < last && below + counts[first] <= cut) below += counts[first++];
  while (last > first && above + counts[last] <= cut) above += counts[last--];
  const at = marks.map((mark) => mark.at);
  const low = Math.min(edges[first], ...at), high = Math.max(edges[last + 1], ...at);
  const room = 0.02 * (high - low || 1);
  return { low: low - room, high: high + room };
}

function draw(width, { edges, counts }, marks, view, words) {
  const scale = ticks(view.low, view.high, Math.max(3, Math.floor(width / 90))).map((at) => ({ at, words: `${number(at, 6)} %` }));
  return histogram(width, { edges, counts }, view, { marks, scale, words, tone: (at) => (edges[at] >= 0 ? "gain" : "loss"),
    told: (at) => `${number(edges[at], 2)} to ${number(edges[at + 1], 2)} %: ${number(counts[at])} variants` });
}
