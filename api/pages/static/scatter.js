// What variants made in one place against what they made in another: an SVG element with a point each.

import { picture, svg, ticks } from "./svg.js";

const LEFT = 58, RIGHT = 12, TOP = 24, BOTTOM = 42, LEAST = 230, MOST = 340;
const ROOM = 0.04; // of the range, around the outermost points

/**
 * Draw points `{x, y, told, class}` of finite figures. `from` and `to` name the axes, `text(value)`
 * writes a figure, `neutral` is the figure that is neither good nor bad, null without one. Elements
 * of points have their number in `points` as `data-at`.
 */
export function scatter(width, points, { from, to, text, neutral, words }) {
  const height = Math.min(MOST, Math.max(LEAST, 0.72 * width));
  const across = range(points.map((point) => point.x), neutral), up = range(points.map((point) => point.y), neutral);
  const x = (value) => LEFT + ((value - across[0]) / (across[1] - across[0])) * (width - LEFT - RIGHT);
  const y = (value) => height - BOTTOM - ((value - up[0]) / (up[1] - up[0])) * (height - TOP - BOTTOM);
  const grid = [
    ...ticks(...across, Math.max(2, Math.floor(width / 110))).map((value) => svg("text", { x: x(value), y: height - BOTTOM + 16, class: "tick",
      "text-anchor": "middle" }, text(value))),
    ...ticks(...up, 4).flatMap((value) => [svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, text(value))]),
  ];
  const axes = neutral === null ? [] : [
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(neutral), y2: y(neutral), class: "zero" }),
    svg("line", { x1: x(neutral), x2: x(neutral), y1: TOP, y2: height - BOTTOM, class: "zero" })];
  const [low, high] = [Math.max(across[0], up[0]), Math.min(across[1], up[1])];
  const alike = low < high ? svg("line", { x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "alike" },
    svg("title", {}, "as much in both")) : null;
  const dots = points.map((point, at) => svg("circle", { cx: x(point.x), cy: y(point.y), r: points.length > 400 ? 3 : 4,
    class: `point ${point.class}`, "data-at": at }, svg("title", {}, point.told)));
  const marked = points.filter((point) => point.best).map((point) =>
    svg("circle", { cx: x(point.x), cy: y(point.y), r: 7.5, class: "point best" }));
  return picture(width, height, words, grid, axes, alike, dots, marked,
    svg("text", { x: LEFT, y: 14, class: "axis-words" }, `↑ ${to}`),
    svg("text", { x: width - RIGHT, y: height - 6, class: "axis-words", "text-anchor": "end" }, `${from} →`));
}

/** From the least to the largest of values, with a little room; what is neutral is in sight. */
function range(values, neutral) {
  const seen = neutral === null ? values : [...values, neutral];
  const low = Math.min(...seen), high = Math.max(...seen), room = ROOM * (high - low || 1);
  return [low - room, high + room];
}
