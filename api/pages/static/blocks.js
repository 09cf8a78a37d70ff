// The blocks of a request: one indicator each, with the values to try. `grids` is where they stand in the
// template: "indicator_grids" or "exit_grids".

import { el, find } from "./dom.js";
import { axisField, choiceField } from "./fields.js";
import { setAt } from "./document.js";
import { EXIT, LARGER } from "./request_words.js";

const SOURCES = "close";

/** Draw all blocks. `edit(restructured)` is called after the document was changed here. */
export function drawBlocks(place, document_, grids, catalogue, edit) {
  const found = document_.template?.[grids];
  const known = new Map(catalogue.map((indicator) => [indicator.indicator_id, indicator]));
  place.replaceChildren(...(Array.isArray(found) ? found : []).map((grid, at) =>
    block(document_, grids, grid ?? {}, at, known.get(grid?.indicator_id), edit)));
}

/** Add a block for an indicator, under a name of its own where it is there already. */
export function addBlock(document_, grids, indicator) {
  document_.template ??= {};
  const found = (document_.template[grids] ??= []);
  const taken = new Set(found.map((grid) => grid.name ?? grid.indicator_id));
  const grid = { indicator_id: indicator.indicator_id };
  for (let number = 2; taken.has(grid.name ?? grid.indicator_id); number += 1) {
    grid.name = `${indicator.indicator_id}-${number}`;
  }
  found.push(grid);
  return found.length - 1;
}

function block(document_, grids, grid, at, indicator, edit) {
  const path = `template.${grids}[${at}]`, id = `${grids}-${at}`, exit = grids === "exit_grids" ? EXIT : "";
  const heading = el("h3", { class: "grow mono wrap", id }, `${exit}${grid.indicator_id ?? "?"}`);
  const remove = el("button", { type: "button", class: "small quiet", "aria-label": `Remove ${exit}${grid.name ?? grid.indicator_id}`,
    on: { click: () => { document_.template[grids].splice(at, 1); edit(true); } } }, "Remove");
  const made = el("fieldset", { class: "block", "aria-labelledby": id, dataset: { path } },
    el("div", { class: "row" }, heading, remove));
  if (!indicator) {
    made.append(el("p", { class: "error" }, "The catalogue does not know this indicator."));
    return made;
  }
  made.append(el("p", { class: "soft small" }, indicator.description));
  const output = indicator.outputs.find((one) => one.name === grid.output) ?? indicator.outputs[0];
  made.append(el("div", { class: "fields" }, ...head(document_, grid, path, indicator, output, edit)));
  const axes = indicator.params.filter((param) => output.params.includes(param.name))
    .map((param) => field(document_, grid, path, "params", param, edit));
  axes.push(...output.signals.map((param) => field(document_, grid, path, "signals", param, edit)));
  if (axes.length) made.append(el("div", { class: "fields" }, axes));
  const notes = [output.rule_description, ...indicator.conditions].filter(Boolean);
  made.append(el("p", { class: "hint" }, notes.join(" · ")));
  return made;
}

/** What stands above the axes: a name, the output, the price series, the timeframe; each only where there is a choice. */
function head(document_, grid, path, indicator, output, edit) {
  const fields = [];
  if (grid.name !== undefined && grid.name !== grid.indicator_id) {
    fields.push(text(path, "name", "Name", grid.name));
  }
  if (indicator.outputs.length > 1) {
    const id = `${path}-output`.replace(/\W+/g, "-");
    const select = el("select", { id, on: { change: () => choose(document_, path, grid, indicator, select.value, edit) } },
      indicator.outputs.map((one) => el("option", { value: one.name, selected: one === output }, one.name.replaceAll("_", " "))));
    fields.push(el("div", { class: "field", dataset: { path: `${path}.output` } }, el("label", { htmlFor: id }, "Output"), select));
  }
  if (indicator.sources.length) {
    fields.push(choiceField(`${path}.source`, "Price series", { value: grid.source ?? undefined, choices: indicator.sources,
      byDefault: SOURCES, changed: (value) => { setAt(document_, `${path}.source`, value); edit(false); } }));
  }
  const own = document_.template?.timeframe, larger = LARGER[own] ?? [];
  if (larger.length || grid.timeframe) fields.push(timeframe(document_, path, grid.timeframe, own, larger, edit));
  return fields;
}

/** On which bars it is computed. What the document names is shown, also where the API refuses it. */
function timeframe(document_, path, value, own, larger, edit) {
  const id = `${path}-timeframe`.replace(/\W+/g, "-"), chosen = value === own ? undefined : value;
  const names = chosen && !larger.includes(chosen) ? [chosen, ...larger] : larger;
  const select = el("select", { id, on: { change: () => { setAt(document_, `${path}.timeframe`, select.value || undefined); edit(false); } } },
    el("option", { value: "", selected: !chosen }, own ? `${own} (the job's)` : "the job's"),
    names.map((name) => el("option", { value: name, selected: name === chosen }, String(name))));
  return el("div", { class: "field", dataset: { path: `${path}.timeframe` } }, el("label", { htmlFor: id }, "Timeframe"), select);
}

function text(path, name, label, value) {
  const id = `${path}-${name}`.replace(/\W+/g, "-");
  return el("div", { class: "field", dataset: { path: `${path}.${name}` } }, el("label", { htmlFor: id }, label),
    el("input", { id, value: String(value), dataset: { kind: "text" }, maxLength: 64 }));
}

/** Take another output: what the new one does not use goes, for it would be refused. */
function choose(document_, path, grid, indicator, name, edit) {
  const output = indicator.outputs.find((one) => one.name === name);
  setAt(document_, `${path}.output`, output === indicator.outputs[0] ? undefined : name);
  const used = { params: output.params, signals: output.signals.map((param) => param.name) };
  for (const group of ["params", "signals"]) {
    for (const key of Object.keys(grid[group] ?? {})) {
      if (!used[group].includes(key)) setAt(document_, `${path}.${group}.${key}`, undefined);
    }
  }
  edit(true);
  find(`[data-path="${path}.output"] select`)?.focus();
}

function field(document_, grid, path, group, param, edit) {
  const place = `${path}.${group}.${param.name}`;
  const value = grid[group]?.[param.name];
  const label = param.name.replaceAll("_", " ");
  const byDefault = param.default ?? undefined;
  if (param.choices.length) {
    return choiceField(place, label, { value, choices: param.choices, byDefault,
      changed: (chosen) => { setAt(document_, place, chosen); edit(false); } });
  }
  const least = param.minimum === null ? "" : `at least ${param.minimum}`;
  return axisField(place, label, { value, byDefault, hint: byDefault === undefined ? `must be given${least && `, ${least}`}` : "" });
}
