// How the variants of a whole search came out: a histogram with winner, zero and buy and hold.

import { el } from "./dom.js";
import { number } from "./format.js";
import { figureWithUnit } from "./measures.js";
import { fitted, picture, svg, ticks } from "./svg.js";

const HEIGHT = 230, TOP = 46, BOTTOM = 26, SIDE = 24;
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
  const marks = [{ at: 0, words: "0", kind: "zero" }];
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
  const x = (value) => SIDE + ((value - view.low) / (view.high - view.low)) * (width - 2 * SIDE);
  const floor = HEIGHT - BOTTOM;
  // Heights are densities: bins need not be equally wide.
  const density = counts.map((count, at) => count / (edges[at + 1] - edges[at] || 1));
  const shown = density.filter((_, at) => edges[at + 1] > view.low && edges[at] < view.high);
  const most = Math.max(...shown, 1e-300);
  const bars = [];
  for (const [at, count] of counts.entries()) {
    if (!count || edges[at + 1] <= view.low || edges[at] >= view.high) continue;
    const left = x(Math.max(edges[at], view.low)), right = x(Math.min(edges[at + 1], view.high));
    const high = Math.max(1.5, (density[at] / most) * (floor - TOP));
    bars.push(svg("rect", { x: left, y: floor - high, width: Math.max(1, right - left - 0.6), height: high,
      class: edges[at] >= 0 ? "bar gain" : "bar loss" },
    svg("title", {}, `${number(edges[at], 2)} to ${number(edges[at + 1], 2)} %: ${number(count)} variants`)));
  }
  const scale = ticks(view.low, view.high, Math.max(3, Math.floor(width / 90))).map((value) =>
    svg("text", { x: x(value), y: HEIGHT - 8, class: "tick", "text-anchor": "middle" }, `${number(value, 6)} %`));
  const axis = svg("line", { x1: SIDE, x2: width - SIDE, y1: floor, y2: floor, class: "axis" });
  return picture(width, HEIGHT, words, bars, axis, scale, lines(marks, x, width, floor));
}

/** A line per mark; each has its words on a row of its own, so that none covers another. */
function lines(marks, x, width, floor) {
  const named = marks.filter((mark) => mark.kind !== "zero");
  return marks.map((mark) => {
    const at = x(mark.at), row = named.indexOf(mark);
    const line = svg("line", { x1: at, x2: at, y1: row < 0 ? TOP : 8 + 18 * row, y2: floor, class: `mark ${mark.kind}` });
    if (row < 0) return line;
    const left = at > width / 2;
    return [line, svg("text", { x: at + (left ? -6 : 6), y: 17 + 18 * row, class: `mark-words ${mark.kind}`,
      "text-anchor": left ? "end" : "start" }, mark.words)];
  }).flat();
}
