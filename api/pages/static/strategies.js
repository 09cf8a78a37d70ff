// Saved strategies: run, rename, delete.

import { request } from "./api.js";
import { modesText } from "./asked.js";
import { riskWords, titled } from "./axes.js";
import { axisText } from "./axis_text.js";
import { confirmed } from "./cancel.js";
import { el, fill, find, toast } from "./dom.js";
import { ago } from "./format.js";
import { FIRST } from "./request_words.js";

const place = find("#strategies"), pager = find("#pager");

async function load() {
  const asked = new URLSearchParams(location.search);
  const query = asked.get("cursor") ? `?cursor=${encodeURIComponent(asked.get("cursor"))}` : "";
  try {
    const { items, next_cursor: next } = await request("GET", `/strategies${query}`);
    place.replaceChildren(items.length ? el("div", { class: "list" }, items.map(card)) : none());
    fill(pager, query && el("a", { class: "button", href: "/strategies" }, "← Newest"),
      next && el("a", { class: "button", href: `/strategies?cursor=${encodeURIComponent(next)}` }, "Older →"));
  } catch (error) {
    place.replaceChildren(el("div", { class: "card empty stack" }, el("p", {}, error.message),
      el("p", {}, el("button", { type: "button", on: { click: load } }, "Try again"))));
  }
  place.setAttribute("aria-busy", "false");
}

function none() {
  return el("div", { class: "card empty stack" }, el("p", {}, "No strategy is saved yet."),
    el("p", {}, "Open a finished job, choose a variant and press “Save as strategy”."),
    el("p", {}, el("a", { class: "button", href: "/?state=succeeded" }, "Finished jobs")));
}

/** The blocks of a template; one without a name is called as its indicator. */
function blocks({ indicator_grids: entries = [], exit_grids: exits = [] }) {
  return titled(...[entries, exits].map((grids) => grids.map((grid) => ({ name: grid.indicator_id, ...grid }))));
}

function card(strategy) {
  const { template } = strategy, modes = modesText({ execution: {}, ...template });
  return el("article", { class: "card", dataset: { strategy: strategy.strategy_id } },
    el("h2", {}, strategy.name),
    el("p", { class: "small soft" }, template.instrument_id?.symbol ?? "", ` · ${template.timeframe ?? ""} · saved `, ago(strategy.created_at),
      strategy.source_job_id && [" from ", el("a", { href: `/jobs/${strategy.source_job_id}` }, "a job")]),
    strategy.note && el("p", { class: "note" }, strategy.note),
    ...[...blocks(template)].map(([title, grid]) => el("div", { class: "stack-small" },
      el("h3", { class: "mono" }, title), chips({ ...grid.params, ...grid.signals }))),
    risk(template),
    modes && el("p", { class: "small soft" }, modes[0].toUpperCase() + modes.slice(1)),
    el("div", { class: "row" },
      el("a", { class: "button small primary", href: `/new?strategy=${strategy.strategy_id}` }, "Run"),
      el("button", { type: "button", class: "small", on: { click: () => rename(strategy) } }, "Rename"),
      el("button", { type: "button", class: "small quiet", on: { click: () => remove(strategy) } }, "Delete")));
}

function chips(axes) {
  return el("ul", {}, Object.entries(axes).map(([name, axis]) =>
    el("li", {}, `${name.replaceAll("_", " ")} `, el("b", {}, axisText(axis)))));
}

function risk({ risk_grid: grid, sizing_mode: sizing, execution }) {
  const levels = Object.fromEntries(Object.entries(grid ?? {}).filter(([, axis]) => axis !== null && axisText(axis) !== "off")
    .map(([name, axis]) => [`${riskWords(name)} %`, axis]));
  if (sizing === "percent") levels.percent = execution?.percent ?? FIRST.percent;
  return Object.keys(levels).length > 0 && el("div", {}, el("h3", { class: "mono" }, "risk"), chips(levels));
}

function rename(strategy) {
  const dialog = find("#edit"), said = find("#edit-said"), name = find("#edit-name"), note = find("#edit-note");
  name.value = strategy.name;
  note.value = strategy.note ?? "";
  said.hidden = true;
  find("#edit-form").onsubmit = async (event) => {
    if (event.submitter?.value !== "save") return;
    event.preventDefault();
    try {
      await request("PUT", `/strategies/${strategy.strategy_id}`,
        { name: name.value.trim(), note: note.value.trim() || null, template: strategy.template });
      dialog.close();
      toast("Saved");
      load();
    } catch (error) {
      said.textContent = error.details?.[0]?.message ?? error.message;
      said.hidden = false;
    }
  };
  dialog.showModal();
}

async function remove(strategy) {
  const sure = await confirmed(`Delete ${strategy.name}?`, { yes: "Delete it", no: "Keep it",
    explain: "Jobs that were run with it stay as they are." });
  if (!sure) return;
  try {
    await request("DELETE", `/strategies/${strategy.strategy_id}`);
    toast("Deleted");
    load();
  } catch (error) {
    toast(error.message, "bad");
  }
}

load();
