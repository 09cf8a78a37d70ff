// What the search found, among the best that it finds in data without an edge.

import { number } from "./format.js";
import { histogram } from "./histogram.js";
import { ascending, figureWithUnit } from "./measures.js";
import { ticks } from "./svg.js";

const BINS = 24;
const ROOM = 0.03; // of the range, beside the outermost figures

/** A function that draws `pictures.search` with so much width; null where no draw has a finite best. */
export function nullDraws({ metric }, { draws_best: all, best }) {
  const drawn = all.filter((value) => value !== null).sort((a, b) => a - b);
  if (!drawn.length) return null;
  const less = ascending(metric), { edges, counts } = binned(drawn, best, less);
  const ends = best === null ? drawn : [...drawn, best];
  const low = Math.min(...ends), high = Math.max(...ends), room = ROOM * (high - low || 1);
  const middle = drawn[Math.floor((drawn.length - 1) / 2)];
  const marks = [{ at: middle, kind: "held", words: `without an edge ${figureWithUnit(metric, middle)}` }];
  if (best !== null) marks.push({ at: best, kind: "winner", words: `found ${figureWithUnit(metric, best)}` });
  const asGood = (at) => best !== null && (less ? edges[at + 1] <= best : edges[at] >= best);
  const words = `The best of each of ${number(all.length)} searches in data without an edge: median ${figureWithUnit(metric, middle)}` +
    (best === null ? "" : `, found ${figureWithUnit(metric, best)}`);
  const unit = metric.endsWith("_pct") ? " %" : "";
  return (width) => histogram(width, { edges, counts }, { low: low - room, high: high + room }, {
    marks, words, tone: (at) => (asGood(at) ? "loss" : "plain"),
    scale: ticks(low, high, Math.max(3, Math.floor(width / 90))).map((at) => ({ at, words: `${number(at, 6)}${unit}` })),
    told: (at) => `${figureWithUnit(metric, edges[at])} to ${figureWithUnit(metric, edges[at + 1])}: ${number(counts[at])}, ` +
      (asGood(at) ? "as good as what was found" : "worse than what was found"),
  });
}

/** Bins of which `best` is an edge: each of them is as good, or is not; `less` is better or not. */
export function binned(drawn, best, less) {
  const from = best ?? drawn[0];
  const width = (Math.max(drawn.at(-1), from) - Math.min(drawn[0], from)) / BINS || 1;
  const place = less ? (value) => Math.ceil((value - from) / width) - 1 : (value) => Math.floor((value - from) / width);
  const places = drawn.map(place), first = Math.min(...places);
  const counts = Array(Math.max(...places) - first + 1).fill(0);
  for (const at of places) counts[at - first] += 1;
  return { counts, edges: Array.from({ length: counts.length + 1 }, (_, at) => from + (first + at) * width) };
}
