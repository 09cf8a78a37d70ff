// The axes of a request: the parameters that a sweep tries, and the value that a variant has of each.

import { number } from "./format.js";
import { EXIT, FIRST } from "./request_words.js";

const RISK = "risk", PERCENT = "percent";
const RISK_WORDS = { sl: "stop loss", tp: "take profit", tsl: "trailing stop" };
const OFF = { mode: "explicit", values: [null] };
const LISTED = 6;

/** Blocks by what people call them, those that open and those that close: {"rsi 1h": …, "exit rsi": …}. */
export function titled(entries, exits = []) {
  return new Map([...entries.map((block) => [title(block), block]), ...exits.map((block) => [`${EXIT}${title(block)}`, block])]);
}

function title({ name, timeframe }) {
  return timeframe ? `${name} ${timeframe}` : name;
}

/** The blocks of a variant by what they are called. */
export function blocksOf(payload) {
  return titled(payload.blocks, payload.exit_blocks);
}

/** How much of the equity the positions of a variant take; null where they are not sized by it. */
export function percentOf(payload) {
  return payload.sizing_mode === "percent" ? payload.execution.percent ?? FIRST.percent : null;
}

/**
 * All axes of an effective request, blocks first, then the risk levels and the percent. Each: `key`,
 * `block`, `label`, `unit`, `heading` (lines of a column), `size`, `usual` (one value that is not
 * worth a word), `of(payload)` its value in a variant, `values()` all of it in words.
 */
export function axesOf(request) {
  const template = request.template;
  const found = [], blocks = titled(template.indicator_grids, template.exit_grids);
  for (const [title, block] of blocks) {
    if (block.source) found.push(axis(title, "source", "source", block.source));
    for (const group of ["params", "signals"]) {
      for (const [name, grid] of Object.entries(block[group])) found.push(axis(title, group, name, grid));
    }
  }
  for (const [name, grid] of Object.entries(template.risk_grid)) found.push(axis(RISK, RISK, name, grid ?? OFF));
  if (template.sizing_mode === "percent") {
    const { percent } = template.execution;
    found.push(axis(RISK, RISK, PERCENT, typeof percent === "object" ? percent : { mode: "explicit", values: [percent] }));
  }
  const names = shortNames([...blocks.keys()]);
  for (const each of found) {
    each.short = each.block === RISK ? "" : names.get(each.block);
    each.heading = each.block === RISK ? (each.label + each.unit).split(/ (?=\w)/) : [each.short, each.label];
  }
  return found;
}

function axis(block, group, name, grid) {
  return {
    key: `${block}.${name}`, block, group, label: RISK_WORDS[name] ?? name.replace("_threshold", ""), size: sizeOf(grid),
    unit: group === RISK && name !== PERCENT ? " %" : "",
    usual: group === "source" || (group === RISK && grid.mode === "explicit" && grid.values.every((one) => one === null)),
    of: (payload) => valueOf(payload, block, group, name),
    values: () => valuesText(grid),
  };
}

function valueOf(payload, block, group, name) {
  if (group === RISK) return name === PERCENT ? percentOf(payload) : payload.risk[name];
  const held = blocksOf(payload).get(block);
  return group === "source" ? held.source : held[group][name];
}

function sizeOf(grid) {
  if (grid.mode === "explicit") return grid.values.length;
  return Math.floor((grid.stop_incl - grid.start) / grid.step + 1e-9) + 1;
}

function valuesText(grid) {
  const size = sizeOf(grid);
  let text;
  if (grid.mode === "explicit") {
    const texts = grid.values.map(valueText);
    text = (size > LISTED ? [...texts.slice(0, LISTED - 2), "…", texts[size - 1]] : texts).join(", ");
  } else {
    text = `${valueText(grid.start)}..${valueText(grid.stop_incl)}`;
    if (grid.step !== 1) text += ` step ${valueText(grid.step)}`;
  }
  return size === 1 ? text : `${text} (${number(size)})`;
}

/** The last part of each name where no other one ends alike. */
function shortNames(names) {
  const last = names.map((name) => (name.startsWith(EXIT) ? EXIT : "") + name.replace(EXIT, "").split(".").at(-1));
  return new Map(names.map((name, at) => [name, last.filter((one) => one === last[at]).length === 1 ? last[at] : name]));
}

/** A parameter as a person would write it. */
export function valueText(value) {
  if (value === null || value === undefined) return "off";
  return typeof value === "number" ? String(Number(value.toPrecision(15))) : String(value);
}

/** What a level of risk is called: "stop loss". */
export function riskWords(name) {
  return RISK_WORDS[name];
}

/** Why a trade ended. */
export function exitWords(reason) {
  return RISK_WORDS[reason] ?? reason.replaceAll("_", " ");
}

/** Axes whose values a list of rows shares, and those that tell its rows apart. */
export function parted(axes, rows, collapsing) {
  const shared = [], apart = [];
  for (const each of axes) {
    const values = collapsing ? new Set(rows.map((row) => each.of(row.payload_json))) : null;
    if (each.size > 1 && values?.size !== 1) apart.push(each);
    else if (each.size > 1 || !each.usual) shared.push(each);
  }
  return { shared, apart };
}

/** Values in their own order: off first, then numbers, then texts. */
export function compareValues(a, b) {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

/** The parameters of a variant in words, block by block. */
export function phrases(axes, payload) {
  const blocks = new Map();
  for (const each of axes) {
    const value = each.of(payload), unit = value === null ? "" : each.unit;
    const words = `${each.label} ${valueText(value)}${unit}`;
    blocks.set(each.block, [...(blocks.get(each.block) ?? []), words]);
  }
  return [...blocks].map(([block, words]) => {
    const name = axes.find((each) => each.block === block).short;
    return name ? `${name} ${words.join(", ")}` : words.join(", ");
  });
}
