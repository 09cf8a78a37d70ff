// Parallel coordinates of the top rows on a canvas. Dragging along an axis keeps the rows that pass
// there; the selects below it do the same by keyboard.

import { compareValues, valueText } from "./axes.js";
import { el } from "./dom.js";
import { number } from "./format.js";
import { ascending, figure, figureText, measure } from "./measures.js";
import { fitted } from "./svg.js";
import { color, onTheme } from "./theme.js";

const HEIGHT = 280, TOP = 40, BOTTOM = 18, NEAREST = 64;
const SIDE = 56; // px for the figures beside the outermost axes
const REACH = 26; // px around an axis in which a drag is meant for it
const CLICK = 4; // px: a shorter drag is a click, and takes the brush away
const LEVELS = 12; // an axis with more values than this has a scale instead of a label each

export class Parallel {
  /** `onFilter(passes)` is told what the brushes let through, null for everything. */
  constructor(place, onFilter) {
    this.place = place;
    this.onFilter = onFilter;
    this.brushes = new Map(); // axis key -> [low, high] as places from 0 to 1
    this.canvas = el("canvas", { class: "parallel", role: "img" });
    this.holder = el("div", { class: "drawing sideways", tabIndex: 0, role: "group", "aria-label": "Parallel coordinates" }, this.canvas);
    this.said = el("p", { class: "soft small", role: "status" });
    this.clear = el("button", { type: "button", class: "small", on: { click: () => this.#brush(null) } }, "Show all rows");
    this.controls = el("div", { class: "fields" });
    place.replaceChildren(this.holder, el("div", { class: "spread" }, this.said, this.clear),
      el("details", { class: "by-value" }, el("summary", { class: "small soft" }, "Filter by values"), this.controls));
    this.#listen();
    fitted(this.holder, (width) => { this.width = width; this.#draw(); });
    onTheme(() => this.#draw());
  }

  /** Show rows: an axis per parameter, the ranking metric last. */
  update(rows, parameters, name) {
    this.place.hidden = rows.length < 2 || !parameters.length;
    if (this.place.hidden) return this.#brush(null);
    this.rows = rows;
    this.axes = [...parameters.map((axis) => scaled(axis.key, axis.heading, rows.map((row) => axis.of(row.payload_json)), valueText)),
      scaled(name, measure(name).column, rows.map((row) => figure(row, name)), (value) => figureText(name, value))];
    this.better = ascending(name) ? (place) => 1 - place : (place) => place;
    for (const key of this.brushes.keys()) if (!this.axes.some((axis) => axis.key === key)) this.brushes.delete(key);
    this.#control();
    this.#draw();
    this.#tell();
  }

  #passing() {
    return this.rows.map((_, row) => this.axes.every((axis) => {
      const brush = this.brushes.get(axis.key);
      return !brush || (axis.places[row] >= brush[0] - 1e-9 && axis.places[row] <= brush[1] + 1e-9);
    }));
  }

  /** Set the brush of an axis, or take it away (null); without an axis take all away. */
  #brush(axis, range = null) {
    if (!axis) this.brushes.clear();
    else if (range) this.brushes.set(axis.key, range);
    else this.brushes.delete(axis.key);
    if (!this.rows) return;
    this.#draw();
    this.#control();
    this.#tell();
  }

  #tell() {
    const passing = this.#passing(), count = passing.filter(Boolean).length;
    const keys = new Set(this.rows.filter((_, row) => passing[row]).map((row) => row.variant_key));
    this.clear.hidden = !this.brushes.size;
    this.said.textContent = this.brushes.size
      ? `${number(count)} of ${number(this.rows.length)} rows pass: ${[...this.brushes].map(([key, range]) => this.#words(key, range)).join("; ")}.`
      : "Each line is a variant; the better ones are drawn stronger. Drag along an axis to keep what passes there.";
    const axes = this.axes.map((axis) => axis.heading.join(" ")).join(", ");
    this.canvas.setAttribute("aria-label", `${number(this.rows.length)} variants as lines over ${axes}; ${number(count)} pass the filter`);
    this.onFilter(this.brushes.size ? (row) => keys.has(row.variant_key) : null);
  }

  #words(key, [low, high]) {
    const axis = this.axes.find((each) => each.key === key);
    const kept = axis.values.filter((value) => axis.at(value) >= low - 1e-9 && axis.at(value) <= high + 1e-9);
    const name = axis.heading.join(" ");
    if (!kept.length) return `no ${name} there`;
    const ends = [...new Set([axis.text(kept[0]), axis.text(kept.at(-1))])];
    return `${name} ${ends.join(" to ")}`;
  }

  #control() {
    const focused = document.activeElement?.dataset?.edge;
    this.controls.replaceChildren(...this.axes.map((axis) => {
      const brush = this.brushes.get(axis.key) ?? [0, 1];
      const inside = axis.values.filter((value) => axis.at(value) >= brush[0] - 1e-9 && axis.at(value) <= brush[1] + 1e-9);
      const name = axis.heading.join(" ");
      const choice = (edge, chosen) => el("select", { "aria-label": `${name} ${edge}`, dataset: { edge: `${axis.key} ${edge}` },
        on: { change: (event) => {
          const value = axis.at(axis.values[event.target.selectedIndex]);
          const range = edge === "from" ? [value, Math.max(value, brush[1])] : [Math.min(brush[0], value), value];
          this.#brush(axis, range[0] <= 0 && range[1] >= 1 ? null : range);
        } } }, axis.values.map((value) => el("option", { selected: value === chosen }, axis.text(value))));
      return el("fieldset", { class: "field" }, el("legend", {}, name), el("div", { class: "row edges" },
        choice("from", inside[0] ?? axis.values[0]), "to", choice("to", inside.at(-1) ?? axis.values.at(-1))));
    }));
    if (focused) this.controls.querySelector(`[data-edge="${CSS.escape(focused)}"]`)?.focus();
  }

  #x(at) {
    const side = this.axes.length > 1 ? SIDE : this.span / 2;
    return side + (at / Math.max(this.axes.length - 1, 1)) * (this.span - 2 * side);
  }

  #y(place) {
    return TOP + (1 - place) * (HEIGHT - TOP - BOTTOM);
  }

  #draw() {
    if (!this.rows || !this.width || this.place.hidden) return;
    this.span = Math.max(this.width, this.axes.length * NEAREST + 30);
    const sharp = window.devicePixelRatio || 1, pen = this.canvas.getContext("2d");
    Object.assign(this.canvas, { width: this.span * sharp, height: HEIGHT * sharp });
    Object.assign(this.canvas.style, { width: `${this.span}px`, height: `${HEIGHT}px` });
    pen.scale(sharp, sharp);
    const passing = this.#passing(), score = this.axes.at(-1).places;
    const order = this.rows.map((_, row) => row).sort((a, b) =>
      passing[a] - passing[b] || this.better(score[a]) - this.better(score[b]));
    const [strong, weak] = [color("equity"), color("hold")];
    for (const row of order) {
      pen.globalAlpha = passing[row] ? 0.12 + 0.75 * this.better(score[row]) ** 3 : 0.1;
      pen.strokeStyle = passing[row] ? strong : weak;
      pen.lineWidth = passing[row] ? 1 + this.better(score[row]) : 0.7;
      pen.beginPath();
      for (const [at, axis] of this.axes.entries()) pen.lineTo(this.#x(at), this.#y(axis.places[row] + this.#apart(axis, row)));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    for (const [at, axis] of this.axes.entries()) this.#drawAxis(pen, at, axis);
  }

  /** Lines that meet in one value lie a little apart, so that their number shows. */
  #apart(axis, row) {
    if (!axis.levels) return 0;
    return (((row * 0.618) % 1) - 0.5) * Math.min(0.05, 0.5 / axis.values.length);
  }

  #drawAxis(pen, at, axis) {
    const x = this.#x(at), brush = this.brushes.get(axis.key);
    pen.strokeStyle = color("edge");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, this.#y(1));
    pen.lineTo(x, this.#y(0));
    pen.stroke();
    if (brush) {
      pen.fillStyle = color("accent");
      pen.globalAlpha = 0.35;
      pen.fillRect(x - 7, this.#y(brush[1]) - 4, 14, this.#y(brush[0]) - this.#y(brush[1]) + 8);
      pen.globalAlpha = 1;
    }
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    pen.textAlign = "center";
    pen.fillStyle = color("ink");
    for (const [line, words] of axis.heading.entries()) pen.fillText(words, x, 12 + 14 * line);
    pen.textAlign = at === this.axes.length - 1 ? "left" : "right";
    const beside = at === this.axes.length - 1 ? 6 : -6;
    for (const { place, text } of axis.marks) {
      const y = this.#y(place) + 4;
      pen.lineWidth = 3;
      pen.strokeStyle = color("panel");
      pen.strokeText(text, x + beside, y);
      pen.fillStyle = color("soft");
      pen.fillText(text, x + beside, y);
    }
  }

  #listen() {
    let start = null, axis = null;
    const point = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const place = (y) => Math.min(1, Math.max(0, 1 - (y - TOP) / (HEIGHT - TOP - BOTTOM)));
    this.canvas.addEventListener("pointerdown", (event) => {
      start = point(event);
      axis = this.axes.find((_, at) => Math.abs(this.#x(at) - start.x) < REACH) ?? null;
      if (axis) this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const now = point(event);
      this.canvas.style.cursor = this.axes?.some((_, at) => Math.abs(this.#x(at) - now.x) < REACH) ? "crosshair" : "default";
      if (!axis || Math.abs(now.y - start.y) < CLICK) return;
      this.#brush(axis, [place(start.y), place(now.y)].sort((a, b) => a - b));
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (axis && Math.abs(point(event).y - start.y) < CLICK) this.#brush(axis, null);
      axis = null;
    });
    this.canvas.addEventListener("pointercancel", () => { axis = null; });
  }
}

/**
 * An axis of the picture: where each row lies (0 to 1), and what is written beside it. Few values are
 * levels, equally far apart; many numbers have a scale. What is undefined lies at the bottom.
 */
function scaled(key, heading, given, text) {
  const values = [...new Set(given)].sort(compareValues);
  const finite = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  const levels = values.length <= LEVELS || !finite.length;
  const low = finite[0], high = finite.at(-1);
  const level = new Map(values.map((value, at) => [value, values.length > 1 ? at / (values.length - 1) : 0.5]));
  const at = (value) => {
    if (levels) return level.get(value);
    if (typeof value !== "number") return 0;
    return Number.isFinite(value) ? (high > low ? (value - low) / (high - low) : 0.5) : value > 0 ? 1 : 0;
  };
  const marked = levels ? values : [low, low + (high - low) / 2, high];
  return { key, heading, values, levels, text, at, places: given.map(at),
    marks: marked.map((value) => ({ place: at(value), text: text(value) })) };
}
