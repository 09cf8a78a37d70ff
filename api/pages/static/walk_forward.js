// Walk-forward: the curve of what was chosen anew again and again, beside the best in hindsight.

import { phrases } from "./axes.js";
import { el } from "./dom.js";
import { number, percent } from "./format.js";
import { picture, svg, ticks } from "./svg.js";

const HEIGHT = 240, LEFT = 58, RIGHT = 14, TOP = 12, BOTTOM = 28;
const DATE = 84; // px that a date takes

/** A function that draws `pictures.walk_forward`. */
export function walkForward({ times, folds, curve_pct: own, hindsight, benchmark }) {
  const at = [...folds.map((fold) => fold.test_block), folds.at(-1).test_block + 1].map((block) => Date.parse(times[block]));
  const curves = [["hold", benchmark?.curve_pct], ["hindsight", hindsight.curve_pct], ["", own]]
    .filter(([, curve]) => curve).map(([kind, curve]) => ({ kind, values: [0, ...curve] }));
  const all = curves.flatMap((curve) => curve.values).filter((value) => value !== null);
  const low = Math.min(...all), high = Math.max(...all), room = 0.05 * (high - low || 1);
  const words = `Return after each of ${number(folds.length)} tests: ${percent(own.at(-1))} chosen anew, ${percent(hindsight.return_pct)} the best in hindsight` +
    (benchmark ? `, ${percent(benchmark.return_pct)} buy and hold` : "");
  return (width) => {
    const x = (time) => LEFT + ((time - at[0]) / (at.at(-1) - at[0])) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - low + room) / (high - low + 2 * room)) * (HEIGHT - TOP - BOTTOM);
    const every = Math.ceil(at.length / Math.max(2, Math.floor((width - LEFT) / DATE)));
    const scale = ticks(low - room, high + room, 5).flatMap((value) => [
      svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "grid" }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, `${number(value, 4)} %`)]);
    const edges = at.flatMap((time, place) => [svg("line", { x1: x(time), x2: x(time), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid" }),
      place % every ? null : svg("text", { x: x(time), y: HEIGHT - 8, class: "tick", "text-anchor": place === 0 ? "start" : place === folds.length ? "end" : "middle" }, new Date(time).toISOString().slice(0, 10))]);
    return picture(width, HEIGHT, words, scale, edges,
      curves.map(({ kind, values }) => svg("path", { class: `curve ${kind}`, d: path(values, (place) => x(at[place]), y) })),
      own.map((value, place) => (value === null ? null : svg("circle", { cx: x(at[place + 1]), cy: y(value), r: 3.5, class: "knot" },
        svg("title", {}, `${percent(value)} after ${number(place + 1)} tests`)))));
  };
}

/** A line through values that are known; it is broken where one is not. */
function path(values, x, y) {
  return values.map((value, at) => (value === null ? "" : `${at === 0 || values[at - 1] === null ? "M" : "L"}${x(at)} ${y(value)}`)).join("");
}

/** What the curves are. */
export function walkForwardLegend({ benchmark }) {
  const kinds = [["equity", "chosen anew"], ["hindsight", "best in hindsight"], ...(benchmark ? [["hold", "buy and hold"]] : [])];
  return el("ul", { class: "legend small", "aria-label": "What the curves are" },
    kinds.map(([kind, words]) => el("li", {}, el("i", { class: `swatch ${kind}` }), words)));
}

/** Every choice and its test as a table; `onOpen(index)` opens a base variant, null where none can be. */
export function foldsTable({ times, folds }, axes, onOpen) {
  const heads = ["test from", "training", "test", "trades in it", "chosen"];
  return el("details", { class: "folds" }, el("summary", { class: "small soft" }, "each choice and its test"),
    el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Each choice of the walk-forward and its test" },
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, folds.map((fold) => el("tr", {}, el("th", { scope: "row", class: "nowrap" }, times[fold.test_block].slice(0, 10)),
        el("td", {}, percent(fold.train_return_pct)), el("td", {}, percent(fold.test_return_pct)),
        el("td", {}, number(fold.test_entries)), el("td", {}, chosen(fold, axes, onOpen))))))));
}

function chosen({ payload, base_index: index }, axes, onOpen) {
  if (!payload) return "none: too few trades";
  const words = phrases(axes.filter((axis) => axis.size > 1 && axis.group !== "risk"), payload).join(" · ") || "the only variant";
  if (!onOpen || index === null || index === undefined) return words;
  return el("button", { type: "button", class: "small", on: { click: () => onOpen(index) } }, words);
}
