// A surface: two parameters, a cell for each pair of their values, its colour a figure of all variants there.

import { el } from "./dom.js";
import { fitted, picture, svg } from "./svg.js";
import { cellOf, cellWords, runText, sizeOf } from "./surface_cells.js";
import { columnOf, opacity, scaleOf } from "./surface_scale.js";

const LEFT = 58, RIGHT = 10, TOP = 24, BOTTOM = 44, PROFILE = 64;
const LEAST = 240, MOST = 460; // px of height
const APART = 10; // px: cells as large as this have a gap between them
const SMALL = 14; // px: the marks of smaller cells are larger than they
const LABEL = [46, 18]; // px that a value takes across and up
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
let drawn = 0; // pictures so far: patterns have ids

export class Surface {
  /** `onCell(cell)` hears which cell is looked at, `onOpen(cell)` which is to be opened (null: none can be). */
  constructor(surface, key, { winner, onCell, onOpen }) {
    Object.assign(this, { surface, onCell, onOpen });
    [this.across, this.up] = sizeOf(surface);
    this.winner = cellOf(surface, winner);
    this.cell = this.winner ?? 0;
    this.column = columnOf(surface, key);
    this.scale = scaleOf(surface, key, this.column);
    this.element = el("div", { class: `surface${onOpen ? " opens" : ""}`, tabIndex: 0, role: "application",
      "aria-roledescription": "surface", "aria-label": this.#words(key) });
    fitted(this.element, (width) => this.#draw(width));
    this.#listen();
  }

  #words(key) {
    const { x, y } = this.surface, axes = y ? `${x.axis} and ${y.axis}` : x.axis;
    return `Surface over ${axes}, coloured by ${key.replace("_pct", "")}. Arrow keys move from cell to cell${this.onOpen ? ", Enter opens the best variant there" : ""}.`;
  }

  #draw(width) {
    const height = this.surface.y ? Math.min(MOST, Math.max(LEAST, 0.62 * width)) : TOP + PROFILE + BOTTOM;
    this.step = [(width - LEFT - RIGHT) / this.across, (height - TOP - BOTTOM) / this.up];
    this.box = { width, height };
    const id = `hatch-${++drawn}`;
    this.cursor = svg("rect", { class: "cursor", rx: 2 });
    this.element.replaceChildren(picture(width, height, this.element.getAttribute("aria-label"),
      svg("defs", {}, svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "hatch" }))),
      svg("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM, fill: `url(#${id})` }),
      this.#cells(), this.#turn(), this.#ring(), this.cursor, this.#axes()));
    this.#point();
  }

  /** The left upper corner of a cell. */
  #corner(cell) {
    return [LEFT + Math.floor(cell / this.up) * this.step[0], TOP + (this.up - 1 - (cell % this.up)) * this.step[1]];
  }

  #gap() {
    return Math.min(...this.step) >= APART ? 1 : 0;
  }

  /** One path for each colour: cells are up to 40,000. */
  #cells() {
    const paths = new Map(), gap = this.#gap();
    const [wide, high] = this.step.map((size) => Math.max(0.5, size - gap));
    for (const [cell, value] of this.column.entries()) {
      if (!this.surface.variants[cell]) continue;
      const { tone, step } = this.surface.eligible[cell] && value !== null ? this.scale.of(value) : { tone: "few", step: 0 };
      const [x, y] = this.#corner(cell), name = `${tone} ${step}`;
      paths.set(name, `${paths.get(name) ?? ""}M${x.toFixed(2)} ${y.toFixed(2)}h${wide.toFixed(2)}v${high.toFixed(2)}h${(-wide).toFixed(2)}z`);
    }
    const under = [...paths.values()].join("");
    return [svg("path", { d: under, class: "cell under" }), ...[...paths].map(([name, d]) => {
      const [tone, step] = name.split(" ");
      return svg("path", { d, class: `cell ${tone}`, "fill-opacity": tone === "few" ? null : opacity(Number(step)),
        "shape-rendering": gap ? null : "crispEdges" });
    })];
  }

  /** The line between gain and loss: it can be seen without colours. */
  #turn() {
    if (!this.scale.side) return null;
    const side = this.column.map((value) => (value === null ? null : this.scale.side(value)));
    const differ = (one, other) => side[one] !== null && side[other] !== null && side[one] !== side[other];
    const gap = this.#gap();
    let d = "";
    for (const cell of side.keys()) {
      const [x, y] = this.#corner(cell).map((at) => at - gap / 2), [wide, high] = this.step;
      if (cell + this.up < side.length && differ(cell, cell + this.up)) d += `M${(x + wide).toFixed(2)} ${y.toFixed(2)}v${high.toFixed(2)}`;
      if (cell % this.up && differ(cell, cell - 1)) d += `M${x.toFixed(2)} ${(y + high).toFixed(2)}h${wide.toFixed(2)}`;
    }
    return d ? svg("path", { d, class: gap ? "turn" : "turn fine" }) : null;
  }

  #ring() {
    if (this.winner === null) return null;
    const [x, y] = this.#corner(this.winner), room = Math.max(0, (SMALL - Math.min(...this.step)) / 2);
    const around = { x: x - room, y: y - room, width: this.step[0] + 2 * room, height: this.step[1] + 2 * room, rx: 3 };
    return [svg("rect", { ...around, class: "ring halo" }), svg("rect", { ...around, class: "ring winner" }, svg("title", {}, "the winner"))];
  }

  #axes() {
    const { x, y } = this.surface, { width, height } = this.box;
    const every = (at) => Math.max(1, Math.ceil(LABEL[at] / this.step[at]));
    const below = x.values.map((_, at) => (at % every(0) ? null : svg("text", { x: LEFT + (at + 0.5) * this.step[0], y: height - BOTTOM + 16,
      class: "tick", "text-anchor": "middle" }, runText(x, at).split(" ")[0])));
    const beside = !y ? [] : y.values.map((_, at) => (at % every(1) ? null : svg("text", { x: LEFT - 6,
      y: height - BOTTOM - (at + 0.5) * this.step[1] + 4, class: "tick", "text-anchor": "end" }, runText(y, at).split(" ")[0])));
    return [below, beside, svg("text", { x: width - RIGHT, y: height - 8, class: "axis-words", "text-anchor": "end" }, `${x.axis} →`),
      y ? svg("text", { x: LEFT, y: 14, class: "axis-words" }, `↑ ${y.axis}`) : null].flat();
  }

  /** Show which cell is looked at. */
  #point() {
    if (!this.cursor) return;
    const [x, y] = this.#corner(this.cell), least = Math.min(...this.step);
    const room = least > 3 * SMALL ? -4 : Math.max(0, (SMALL - least) / 2); // within the mark of the winner, where there is room
    for (const [name, value] of Object.entries({ x: x - room, y: y - room, width: this.step[0] + 2 * room, height: this.step[1] + 2 * room })) {
      this.cursor.setAttribute(name, value);
    }
    this.onCell(this.cell, cellWords(this.surface, this.cell, this.winner));
  }

  #listen() {
    const at = (event) => {
      const box = this.element.getBoundingClientRect();
      const across = Math.floor((event.clientX - box.left - LEFT) / this.step[0]), down = Math.floor((event.clientY - box.top - TOP) / this.step[1]);
      return across >= 0 && across < this.across && down >= 0 && down < this.up ? across * this.up + (this.up - 1 - down) : null;
    };
    const look = (event) => {
      const cell = at(event);
      if (cell === null || cell === this.cell) return cell;
      this.cell = cell;
      this.#point();
      return cell;
    };
    this.element.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") look(event); });
    // A finger that comes down looks first: the button below opens.
    this.element.addEventListener("click", (event) => { if (look(event) !== null && event.pointerType !== "touch") this.onOpen?.(this.cell); });
    this.element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Enter" || event.key === " ") this.onOpen?.(this.cell);
      else if (KEYS[event.key]) this.#move(...KEYS[event.key]);
      else return;
      event.preventDefault();
    });
  }

  #move(across, up) {
    const to = [Math.floor(this.cell / this.up) + across, (this.cell % this.up) + up];
    if (to[0] < 0 || to[0] >= this.across || to[1] < 0 || to[1] >= this.up) return;
    this.cell = to[0] * this.up + to[1];
    this.#point();
  }
}
