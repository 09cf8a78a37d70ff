// Surfaces of a search: a choice of the pair of axes and of the figure, the picture, and what a cell says.

import { el, fill } from "./dom.js";
import { svg } from "./svg.js";
import { Surface } from "./surface.js";
import { figuresOf, opacity } from "./surface_scale.js";

const USUAL = "median"; // a good region is broad: the median shows it, the best alone may be luck
const BAR = 260; // px that all colours take

/**
 * Show the surfaces that `listed` names, `{number, axis_x, axis_y}`; `read(number)` resolves to one.
 * `winner` is the payload of the best variant; `onOpen(index)` opens a base variant, null where none can be.
 */
export function showSurfaces(place, listed, { read, winner, onOpen }) {
  const kept = new Map(), id = `surface-${listed[0].number}`;
  const pair = el("select", { id: `${id}-pair`, on: { change: () => choose() } },
    listed.map((each) => el("option", { value: each.number }, each.axis_y ? `${each.axis_x} × ${each.axis_y}` : each.axis_x)));
  const shown = el("select", { id: `${id}-figure`, on: { change: () => choose() } });
  const picture = el("div"), legend = el("p", { class: "surface-legend" });
  const said = el("p", { class: "surface-said", role: "status" });
  const open = onOpen ? el("button", { type: "button", class: "small", on: { click: () => opening(view.cell) } }, "Open the best variant there") : null;
  const trouble = el("p", { class: "notice bad", role: "alert", hidden: true });
  let view = null, surface = null;
  fill(place, el("div", { class: "surface-tools" }, el("label", { htmlFor: pair.id }, "Parameters", pair), el("label", { htmlFor: shown.id }, "Figure", shown)),
    trouble, picture, legend, el("div", { class: "spread" }, said, open));

  async function choose() {
    const number = Number(pair.value);
    try {
      if (!kept.has(number)) kept.set(number, await read(number));
      if (Number(pair.value) === number) show(kept.get(number));
      trouble.hidden = true;
    } catch (error) {
      trouble.hidden = false;
      trouble.textContent = error.message;
    }
  }

  function show(found) {
    surface = found;
    const key = shown.value || USUAL;
    shown.replaceChildren(...figuresOf(surface).map(({ key: each, words }) => el("option", { value: each, selected: each === key }, words)));
    view = new Surface(surface, key, { winner, onOpen: onOpen && opening, onCell: (cell, words) => {
      said.textContent = `${words}.`;
      if (open) open.disabled = best(cell) === null;
    } });
    picture.replaceChildren(view.element);
    fill(legend, ...legendOf(view));
  }

  function best(cell) {
    return surface.best_index[cell];
  }

  function opening(cell) {
    if (best(cell) !== null) onOpen(best(cell));
  }

  choose();
}

/** What the colours and marks are. */
function legendOf({ scale, winner, surface, column }) {
  const wide = BAR / scale.legend.length, [low, middle, high] = scale.ends;
  const end = (x, anchor, words) => svg("text", { x, y: 27, class: "tick", "text-anchor": anchor }, words);
  const bar = svg("svg", { viewBox: `0 0 ${BAR} 32`, width: BAR, class: "picture scale", role: "img", "aria-label": `Colours from ${low} to ${high}` },
    scale.legend.map(({ tone, step }, at) => svg("rect", { x: at * wide, y: 0, width: wide, height: 14, class: `cell ${tone}`, "fill-opacity": opacity(step) })),
    end(0, "start", low), end(BAR / 2, "middle", middle), end(BAR, "end", high));
  const box = (...parts) => svg("svg", { viewBox: "0 0 18 14", width: 18, height: 14, "aria-hidden": "true" }, parts);
  const sides = scale.side && new Set(column.filter((value) => value !== null).map(scale.side)).size === 2;
  return [
    bar,
    winner === null ? null : el("span", {}, box(svg("rect", { x: 3, y: 1.5, width: 12, height: 11, rx: 2, class: "ring" })), "the winner"),
    sides ? el("span", {}, box(svg("path", { d: "M1 7h16", class: "turn" })), "gain on one side, loss on the other") : null,
    surface.eligible.some((count) => count === 0) ? el("span", {}, box(svg("rect", { width: 18, height: 14, class: "cell few" })), "too few trades, or ruined") : null,
    surface.variants.some((count) => !count) ? el("span", {}, box(svg("path", { d: "M0 14L14 0M6 14L18 2M0 7L7 0", class: "hatch" })), "no variant") : null,
  ];
}
