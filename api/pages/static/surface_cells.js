// The cells of a surface: which there are, where a variant lies, and what is said of one.

import { blocksOf, valueText } from "./axes.js";
import { number } from "./format.js";
import { cellText } from "./surface_scale.js";

const NEAR = 1e-9; // of a value: the same number written twice

/** How many cells a surface has across and up; a profile is one row. */
export function sizeOf({ x, y }) {
  return [x.values.length, y ? y.values.length : 1];
}

/** The number of the cell that has the parameters of a variant; null where it lies in none. */
export function cellOf({ x, y }, payload) {
  if (!payload) return null;
  const across = runOf(x, payload), up = y ? runOf(y, payload) : 0;
  return across === null || up === null ? null : across * (y ? y.values.length : 1) + up;
}

function runOf(side, payload) {
  const value = blocksOf(payload).get(side.block)?.[side.part]?.[side.parameter];
  if (typeof value !== "number") return null;
  const near = NEAR * Math.abs(value), last = side.last ?? side.values;
  const found = side.values.findIndex((first, at) => first - near <= value && value <= last[at] + near);
  return found < 0 ? null : found;
}

/** The values of a run in words: "20", of several "20 to 24". */
export function runText(side, at) {
  const first = valueText(side.values[at]), last = side.last ? valueText(side.last[at]) : first;
  return first === last ? first : `${first} to ${last}`;
}

/** What there is to say of a cell. */
export function cellWords(surface, cell, winner) {
  const { x, y } = surface, up = y ? y.values.length : 1;
  const place = [`${x.axis} ${runText(x, Math.floor(cell / up))}`, y && `${y.axis} ${runText(y, cell % up)}`].filter(Boolean).join(", ");
  const mark = cell === winner ? "; the winner is here" : "";
  if (!surface.variants[cell]) return `${place}: no variant${mark}`;
  const eligible = surface.eligible[cell], all = surface.variants[cell];
  if (!eligible) return `${place}: none of ${number(all)} variant${all === 1 ? "" : "s"} counts: ruined, or of too few trades${mark}`;
  const infinite = (key) => (surface.infinite?.[key]?.includes(cell) ? Infinity : surface[key][cell]);
  return `${place}: best ${cellText(surface, "best", infinite("best"))}, median ${cellText(surface, "median", infinite("median"))}, ` +
    `${cellText(surface, "profitable_pct", surface.profitable_pct[cell])} of ${number(eligible)} make money${mark}`;
}
