// The list of jobs: filters in the URL, live figures, keys.

import { request, stream } from "./api.js";
import { cancelled } from "./cancel.js";
import { debounced, el, fill, find, toast, typing } from "./dom.js";
import { ago, number } from "./format.js";
import { progressText, row, STATES, title } from "./job_row.js";
import { onRenamed } from "./renames.js";
import { welcome } from "./welcome.js";

const FILTERS = ["state", "symbol", "q"];
const COMPARED = 5;

const place = find("#jobs");
const rows = new Map(); // job_id -> {item, element}
const selected = new Set();
const ASK_AGAIN = 15_000;
let counts = {}, nextCursor = null, body = null, asked = 0;

function filters() {
  const given = new URLSearchParams(location.search);
  const kept = new URLSearchParams();
  for (const name of [...FILTERS, "cursor"]) if (given.get(name)) kept.set(name, given.get(name));
  return kept;
}

/** Change filters: they live in the URL, so that reload, back and a sent link show the same. */
function go(changes, replace = false) {
  const wanted = filters();
  if (!("cursor" in changes)) wanted.delete("cursor");
  for (const [name, value] of Object.entries(changes)) {
    if (value) wanted.set(name, value);
    else wanted.delete(name);
  }
  const text = wanted.toString();
  history[replace ? "replaceState" : "pushState"](null, "", text ? `/?${text}` : "/");
  load();
}

async function load() {
  const mine = ++asked;
  const wanted = filters();
  showFilters();
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await request("GET", `/backtests/jobs?${wanted}`);
    if (mine !== asked) return; // the filters have changed since
    counts = answer.counts;
    nextCursor = answer.next_cursor;
    showPause(answer.paused);
    selected.clear();
    draw(answer.items);
  } catch (error) {
    if (mine !== asked) return;
    const again = el("button", { type: "button", on: { click: load } }, "Try again");
    place.replaceChildren(el("div", { class: "card empty" }, el("p", {}, error.message), again));
  }
  place.setAttribute("aria-busy", "false");
}

function draw(items) {
  rows.clear();
  body = el("tbody");
  showStates();
  showSelection();
  showPager();
  if (items.length === 0) {
    if ([...filters()].length === 0) welcome(place, load);
    else place.replaceChildren(el("p", { class: "card empty" }, "No job matches. ",
      el("a", { href: "/" }, "Show all jobs")));
    showTitle();
    return;
  }
  for (const item of items) body.append(made(item));
  const names = ["", "Name", "State", "Instrument", "Range", "Best", "Progress", "Created", ""];
  const head = el("thead", {}, el("tr", {}, names.map((name, at) =>
    el("th", { scope: "col", class: at === 0 ? "pick" : at === 5 ? "best number" : "" },
      name || el("span", { class: "visually-hidden" }, at ? "Actions" : "Select")))));
  place.replaceChildren(el("div", { class: "card jobs-card" }, el("table", { class: "jobs" }, head, body)));
  showTitle();
}

function made(item) {
  const element = row(item, { selected: selected.has(item.job_id), select, cancel });
  rows.set(item.job_id, { item, element });
  return element;
}

/** Take in what the stream says of one job. */
function changed(item) {
  const known = rows.get(item.job_id);
  if (!known) {
    if (body && !filters().get("cursor") && matches(item)) {
      if (rows.size === 0) return load();
      insert(item);
    }
  } else if (!matches(item)) {
    known.element.remove();
    rows.delete(item.job_id);
    selected.delete(item.job_id);
    showSelection();
  } else {
    update(known, item);
  }
  showTitle();
}

/** Replace the cells that say something else now: a click that has begun must end where it began. */
function update(known, item) {
  const before = known.item;
  const fresh = row(item, { selected: selected.has(item.job_id), select, cancel });
  for (const cell of [...known.element.children]) {
    if (cell.isEqualNode(fresh.children[0])) fresh.children[0].remove();
    else {
      const focused = cell.contains(document.activeElement) && document.activeElement.dataset.role;
      cell.replaceWith(fresh.children[0]);
      if (focused) (find(`[data-role="${focused}"]:not(:disabled)`, known.element) ?? find("[data-role=open]", known.element)).focus();
    }
  }
  known.item = item;
  if (before.state !== item.state && item.finished_at) toast(`${title(item)}: ${item.state}`);
}

/** Put a new row in its place, newest first: jobs of one moment are told of in any order. */
function insert(item) {
  const older = [...body.children].find((element) => rows.get(element.dataset.job).item.created_at < item.created_at);
  if (older) older.before(made(item));
  else if (!nextCursor) body.append(made(item)); // otherwise it belongs to a later page
}

function matches(item) {
  const wanted = filters();
  const q = (wanted.get("q") ?? "").toLowerCase();
  return (!wanted.get("state") || wanted.get("state") === item.state) &&
    (!wanted.get("symbol") || wanted.get("symbol") === item.symbol) &&
    (!q || (item.name ?? "").toLowerCase().startsWith(q) || item.job_id.startsWith(q));
}

function showFilters() {
  const wanted = filters();
  for (const name of ["q", "symbol"]) {
    const input = find(`#${name}`);
    if (document.activeElement !== input) input.value = wanted.get(name) ?? "";
  }
  showStates();
}

function showStates() {
  const chosen = filters().get("state");
  const focused = document.activeElement?.dataset?.state;
  find("#states").replaceChildren(...["", ...STATES].map((state) => el("button", {
    type: "button", class: "chip", dataset: { state: state || "all" }, "aria-pressed": String((chosen ?? "") === state),
    on: { click: () => go({ state }) },
  }, state || "all", state ? el("b", {}, shown(counts[state])) : null)));
  if (focused) find(`#states [data-state="${focused}"]`)?.focus();
}

function shown(count) {
  return typeof count === "number" ? number(count) : count ?? "";
}

/** Say that no job starts. Nothing tells when that changes, so it is asked again now and then. */
function showPause(paused) {
  const banner = find("#paused");
  banner.hidden = !paused;
  if (paused) fill(banner, "No job starts now: the queue is paused since ", ago(paused.since),
    paused.reason ? `: ${paused.reason}` : ".", " Jobs that run go on, and new ones wait.");
}

async function askForPause() {
  if (document.hidden) return;
  try {
    showPause((await request("GET", "/backtests/jobs?limit=1")).paused);
  } catch {
    // the stream says when the connection is lost
  }
}

function showPager() {
  const older = nextCursor &&
    el("button", { type: "button", on: { click: () => { go({ cursor: nextCursor }); scrollTo(0, 0); } } }, "Older →");
  const first = filters().get("cursor") &&
    el("button", { type: "button", on: { click: () => go({ cursor: "" }) } }, "← Newest");
  find("#pager").replaceChildren(...[first, older].filter(Boolean));
}

function select(item, wanted) {
  if (wanted) selected.add(item.job_id);
  else selected.delete(item.job_id);
  const { element } = rows.get(item.job_id);
  element.setAttribute("aria-selected", String(wanted));
  find("input", element).checked = wanted;
  showSelection();
}

function showSelection() {
  const bar = find("#selection");
  bar.hidden = selected.size === 0;
  if (bar.hidden) return bar.replaceChildren();
  const ids = [...selected];
  const open = ids.filter((id) => !rows.get(id)?.item.finished_at);
  const few = ids.length >= 2 && ids.length <= COMPARED;
  fill(bar,
    el("b", { class: "grow" }, `${ids.length} selected`),
    few ? el("a", { class: "button small primary", href: `/compare?jobs=${ids.join(",")}` }, "Compare")
      : el("span", { class: "small soft" }, `Compare takes 2 to ${COMPARED} jobs`),
    open.length > 0 && el("button", { type: "button", class: "small danger",
      on: { click: () => cancel(...open.map((id) => rows.get(id).item)) } }, `Cancel ${open.length}`),
    el("button", { type: "button", class: "small", on: { click: clear } }, "Clear"),
  );
}

function clear() {
  for (const id of [...selected]) select(rows.get(id).item, false);
}

async function cancel(...items) {
  for (const status of await cancelled(items)) {
    const known = rows.get(status.job_id);
    if (known) changed({ ...known.item, state: status.state, cancel_requested_at: status.cancel_requested_at,
      finished_at: status.finished_at, progress: status.progress });
  }
}

function showTitle() {
  const running = [...rows.values()].map((known) => known.item).filter((item) => item.state === "running");
  const more = running.length > 1 ? ` +${running.length - 1}` : "";
  document.title = running.length ? `${progressText(running[0])} · ${running[0].symbol}${more}` : "Jobs";
}

function key(event) {
  if (event.key === "Escape" && event.target.matches("#search input")) return void event.target.blur();
  if (typing(event) && event.target.type !== "checkbox") return;
  const elements = [...(body?.children ?? [])];
  const at = elements.indexOf(document.activeElement?.closest?.("tbody tr"));
  const item = at >= 0 ? rows.get(elements[at].dataset.job).item : null;
  const move = (to) => find("[data-role=open]", elements[Math.max(0, Math.min(to, elements.length - 1))])?.focus();
  if (event.key === "/") find("#q").focus();
  else if (event.key === "j" && elements.length) move(at + 1);
  else if (event.key === "k" && elements.length) move(at < 0 ? 0 : at - 1);
  else if (event.key === "x" && item) select(item, !selected.has(item.job_id));
  else if (event.key === "c" && item && !item.finished_at) cancel(item);
  else return;
  event.preventDefault();
}

const typed = debounced(() => go({ q: find("#q").value.trim(), symbol: find("#symbol").value.trim() }, true), 250);
find("#search").addEventListener("input", typed);
find("#search").addEventListener("submit", (event) => { event.preventDefault(); typed(); });
document.addEventListener("keydown", key);
addEventListener("popstate", load);
onRenamed(({ job_id, name }) => {
  const known = rows.get(job_id);
  if (known) changed({ ...known.item, name });
});

await load();
setInterval(askForPause, ASK_AGAIN);
stream("/backtests/stream", {
  snapshot: (answer) => {
    counts = answer.counts;
    showStates();
    for (const item of answer.items.toReversed()) changed(item);
  },
  job: changed,
  counts: (fresh) => { counts = fresh; showStates(); },
  lost: () => { find("#lost").hidden = false; },
  found: () => { find("#lost").hidden = true; },
});
