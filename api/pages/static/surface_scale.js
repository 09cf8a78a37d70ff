// How the figures of a surface become colours: around what is neither gain nor loss, or from least to most.

import { number } from "./format.js";
import { figureWithUnit, metricWords, neutral } from "./measures.js";

export const STEPS = 10; // of one colour
const FAINTEST = 0.14; // opacity of the first step: it can be told from nothing
const OUTER = 0.98; // of the cells get colours of their own; those far out must not flatten the rest

/** What can be shown of the cells of a surface by its metric. */
export function figuresOf({ metric }) {
  const name = metricWords(metric);
  return [["best", `best ${name}`], ["median", `median ${name}`], ["profitable_pct", "share that makes money"], ["eligible", "eligible variants"]]
    .map(([key, words]) => ({ key, words }));
}

/** Write a figure of a cell. */
export function cellText({ metric }, key, value) {
  if (value === null) return "–";
  if (key === "eligible") return number(value);
  return key === "profitable_pct" ? `${number(value, 1)} %` : figureWithUnit(metric, value);
}

/** The figures of all cells: numbers, Infinity, or null. */
export function columnOf(surface, key) {
  const infinite = new Set(surface.infinite?.[key] ?? []);
  return surface[key].map((value, at) => (infinite.has(at) ? Infinity : value));
}

/**
 * The scale of a column: `of(value)` is its colour `{tone, step}`, `side(value)` tells on which side of
 * neutral it lies (null where there is none), `legend` lists `{tone, step, words}` from low to high.
 */
export function scaleOf(surface, key, column) {
  const values = column.filter((value) => value !== null && Number.isFinite(value));
  const middle = key === "best" || key === "median" ? neutral(surface.metric) : null;
  const text = (value) => cellText(surface, key, value);
  return middle === null ? rising(values, key, text) : parted(values, middle, text);
}

function parted(values, middle, text) {
  const far = values.map((value) => Math.abs(value - middle)).sort((a, b) => a - b);
  const most = far.at(-1) ?? 0, reach = far[Math.ceil(OUTER * (far.length - 1))] || most || 1, more = most > reach;
  const step = (value) => Math.min(STEPS, Math.max(1, Math.ceil((STEPS * Math.abs(value - middle)) / reach)));
  const of = (value) => ({ tone: value >= middle ? "gain" : "loss", step: step(value) });
  const ends = [`${more ? "≤ " : ""}${text(middle - reach)}`, text(middle), `${more ? "≥ " : ""}${text(middle + reach)}`];
  const down = steps("loss").reverse(), up = steps("gain");
  return { of, side: (value) => value >= middle, legend: [...down, ...up], ends };
}

function rising(values, key, text) {
  const low = key === "profitable_pct" ? 0 : Math.min(...values, Infinity), high = key === "profitable_pct" ? 100 : Math.max(...values, -Infinity);
  const span = high - low || 1;
  const step = (value) => Math.min(STEPS, Math.max(1, Math.ceil((STEPS * (value - low)) / span)));
  const ends = values.length ? [text(low), "", text(high)] : ["", "", ""];
  return { of: (value) => ({ tone: "amount", step: step(value) }), side: null, legend: steps("amount"), ends };
}

function steps(tone) {
  return Array.from({ length: STEPS }, (_, at) => ({ tone, step: at + 1 }));
}

/** How strong a step is drawn. */
export function opacity(step) {
  return (FAINTEST + ((1 - FAINTEST) * step) / STEPS).toFixed(3);
}
