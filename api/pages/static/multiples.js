// Small multiples: per value of each parameter, median and quartiles of the ranking metric among the best.

import { compareValues, valueText } from "./axes.js";
import { el } from "./dom.js";
import { number } from "./format.js";
import { ascending, figure, figureText, metricWords, metricWordsWithUnit } from "./measures.js";
import { fitted, picture, svg, ticks } from "./svg.js";

const HEIGHT = 150, TOP = 14, BOTTOM = 34, LEFT = 46, RIGHT = 8;
const MOST_LABELS = 9;

/** Quartiles of `values` (ascending, finite), linear between neighbours. */
export function quartiles(values) {
  const at = (share) => {
    const place = share * (values.length - 1), below = Math.floor(place), rest = place - below;
    return rest ? values[below] * (1 - rest) + values[below + 1] * rest : values[below];
  };
  return [at(0.25), at(0.5), at(0.75)];
}

/** Group the figures of rows by the value of an axis: [{value, count, low, middle, high}]. */
export function grouped(axis, rows, name) {
  const groups = new Map();
  for (const row of rows) {
    const one = figure(row, name), value = axis.of(row.payload_json);
    if (one === null || !Number.isFinite(one)) continue;
    groups.set(value, [...(groups.get(value) ?? []), one]);
  }
  return [...groups].sort(([a], [b]) => compareValues(a, b)).map(([value, figures]) => {
    const [low, middle, high] = quartiles(figures.sort((a, b) => a - b));
    return { value, count: figures.length, low, middle, high };
  });
}

/** Show one small picture per parameter that tells the rows apart. */
export function showMultiples(section, rows, axes, name) {
  const shown = axes.map((axis) => ({ axis, groups: grouped(axis, rows, name) })).filter(({ groups }) => groups.length > 1);
  section.hidden = !shown.length;
  if (section.hidden) return;
  const all = shown.flatMap(({ groups }) => groups.flatMap((group) => [group.low, group.high]));
  const low = Math.min(...all), high = Math.max(...all);
  const cells = shown.map(({ axis, groups }) => cell(axis, groups, { low, high }, name));
  section.replaceChildren(section.querySelector("h2"),
    el("p", { class: "soft small" }, `Median and quartiles of ${metricWordsWithUnit(name)} by value, over the ${number(rows.length)} ` +
      "variants above: they are the best, so this says where the best are, not what a value does by itself."),
    el("div", { class: "multiples" }, cells));
}

function cell(axis, groups, scale, name) {
  const title = [axis.short, axis.label].filter(Boolean).join(" ") + axis.unit;
  const middles = groups.map((group) => group.middle), best = ascending(name) ? Math.min(...middles) : Math.max(...middles);
  const drawing = el("div", { class: "drawing" });
  const words = `${title}: median of ${metricWords(name)} by value`;
  fitted(drawing, (width) => drawing.replaceChildren(draw(width, groups, scale, words, name)));
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...["value", "median", "quartiles", "variants"].map((head) =>
    el("th", { scope: "col" }, head)))), el("tbody", {}, groups.map((group) => el("tr", { class: group.middle === best ? "best" : "" },
    el("th", { scope: "row" }, valueText(group.value)), el("td", {}, figureText(name, group.middle)),
    el("td", {}, `${figureText(name, group.low)} … ${figureText(name, group.high)}`), el("td", {}, number(group.count))))));
  return el("figure", { class: "multiple" }, el("figcaption", {}, title), drawing,
    el("details", {}, el("summary", { class: "small soft" }, "as a table"), el("div", { class: "scroll" }, table)));
}

function draw(width, groups, { low, high }, words, name) {
  const span = high - low || 1, step = (width - LEFT - RIGHT) / groups.length;
  const x = (at) => LEFT + (at + 0.5) * step;
  const y = (value) => TOP + (1 - (value - low) / span) * (HEIGHT - TOP - BOTTOM);
  const most = Math.max(...groups.map((group) => group.count));
  const every = Math.ceil(groups.length / Math.max(2, Math.min(MOST_LABELS, Math.floor(width / 38))));
  const wide = Math.min(22, 0.62 * step);
  const parts = groups.map((group, at) => {
    const told = `${valueText(group.value)}: median ${number(group.middle, 3)}, ${number(group.count)} variants`;
    return svg("g", {}, svg("title", {}, told),
      svg("rect", { x: x(at) - wide / 2, width: wide, y: y(group.high), height: Math.max(2, y(group.low) - y(group.high)),
        rx: 2, class: "box" }),
      svg("line", { x1: x(at) - wide / 2, x2: x(at) + wide / 2, y1: y(group.middle), y2: y(group.middle), class: "middle" }),
      svg("rect", { x: x(at) - wide / 2, width: wide * (group.count / most), y: HEIGHT - BOTTOM + 5, height: 3, class: "count" }),
      at % every ? null : svg("text", { x: x(at), y: HEIGHT - 8, class: "tick", "text-anchor": "middle" }, valueText(group.value)));
  });
  const path = groups.map((group, at) => `${at ? "L" : "M"}${x(at)} ${y(group.middle)}`).join("");
  const unit = name.endsWith("_pct") ? " %" : "";
  const scale = ticks(low, high, 3).map((value) => svg("g", {},
    svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
    svg("text", { x: LEFT - 5, y: y(value) + 4, class: "tick", "text-anchor": "end" }, `${number(value, 6)}${unit}`)));
  return picture(width, HEIGHT, words, scale, svg("line", { x1: LEFT, x2: width - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM,
    class: "axis" }), svg("path", { d: path, class: "trend" }), parts);
}
