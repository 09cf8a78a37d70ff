// A histogram with lines at figures of note, as an SVG element.

import { picture, svg } from "./svg.js";

const HEIGHT = 230, BOTTOM = 26, SIDE = 24, ROW = 18, ABOVE = 10;
const LETTER = 7.2; // px that one takes

/**
 * Draw bins `{edges, counts}` over `view` `{low, high}`. `marks` are lines `{at, kind, words}`; one
 * without words has none. `scale` is what is written below, `{at, words}`; `tone(at)` is the class of
 * a bin, `told(at)` what it says of itself.
 */
export function histogram(width, { edges, counts }, view, { marks, scale, tone, told, words }) {
  const x = (value) => SIDE + ((value - view.low) / (view.high - view.low)) * (width - 2 * SIDE);
  const top = ABOVE + ROW * marks.filter((mark) => mark.words).length, floor = HEIGHT - BOTTOM;
  // Heights are densities: bins need not be equally wide.
  const density = counts.map((count, at) => count / (edges[at + 1] - edges[at] || 1));
  const shown = density.filter((_, at) => edges[at + 1] > view.low && edges[at] < view.high);
  const most = Math.max(...shown, 1e-300);
  const bars = [];
  for (const [at, count] of counts.entries()) {
    if (!count || edges[at + 1] <= view.low || edges[at] >= view.high) continue;
    const left = x(Math.max(edges[at], view.low)), right = x(Math.min(edges[at + 1], view.high));
    const high = Math.max(1.5, (density[at] / most) * (floor - top));
    bars.push(svg("rect", { x: left, y: floor - high, width: Math.max(1, right - left - 0.6), height: high,
      class: `bar ${tone(at)}` }, svg("title", {}, told(at))));
  }
  const below = scale.map((tick) =>
    svg("text", { x: x(tick.at), y: HEIGHT - 8, class: "tick", "text-anchor": "middle" }, tick.words));
  const axis = svg("line", { x1: SIDE, x2: width - SIDE, y1: floor, y2: floor, class: "axis" });
  return picture(width, HEIGHT, words, bars, axis, below, lines(marks, x, width, top, floor));
}

/** A line per mark; each has its words on a row of its own, so that none covers another. */
function lines(marks, x, width, top, floor) {
  const named = marks.filter((mark) => mark.words);
  return marks.map((mark) => {
    const at = x(mark.at), row = named.indexOf(mark);
    const line = svg("line", { x1: at, x2: at, y1: row < 0 ? top : 8 + ROW * row, y2: floor, class: `mark ${mark.kind}` });
    if (row < 0) return line;
    const room = LETTER * mark.words.length + 6, left = at > width / 2 ? at > room : at + room > width && at > room;
    return [line, svg("text", { x: at + (left ? -6 : 6), y: 17 + ROW * row, class: `mark-words ${mark.kind}`,
      "text-anchor": left ? "end" : "start" }, mark.words)];
  }).flat();
}

