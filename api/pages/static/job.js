// The page of one job.

import { request, stream } from "./api.js";
import { showAnyVariant } from "./any_variant.js";
import { showAsked } from "./asked.js";
import { axesOf } from "./axes.js";
import { rankingNames } from "./columns.js";
import { showDistribution } from "./distribution.js";
import { debounced, el, find, toast } from "./dom.js";
import { Drawer } from "./drawer.js";
import { showActions, showFacts, showName, showNote, showTrouble, showVerdict, whyEmpty } from "./job_head.js";
import { showTrust } from "./job_trust.js";
import { showMultiples } from "./multiples.js";
import { baseVariantAt, submitted } from "./one_variant.js";
import { Parallel } from "./parallel.js";
import { showProgress, titleOf } from "./progress.js";
import { onRenamed } from "./renames.js";
import { TopTable } from "./table.js";
import { showTimeline } from "./timeline.js";

const MOST_ROWS = 300;
const page = find("#job"), away = new Set();
const asked = decodeURIComponent(location.pathname.split("/")[2]);
let status = null, axes = [], rows = [], events = [], table = null, parallel = null, drawer = null, snapshot = null, opener = null;

async function readStatus() {
  status = await request("GET", `/backtests/jobs/${status?.job_id ?? asked}?include=distribution`);
}

async function readRows() {
  ({ items: rows } = await request("GET", `/backtests/jobs/${status.job_id}/top?limit=${MOST_ROWS}&include=none`));
}

async function readEvents() {
  ({ items: events } = await request("GET", `/backtests/jobs/${status.job_id}/events`));
}

function ended() {
  return status.finished_at !== null;
}

/** What depends on the job's state. */
function showJob() {
  document.title = titleOf(status);
  showName(find("#naming"), status, renamed);
  showFacts(find("#facts"), status);
  showActions(find("#actions"), status, (after) => { Object.assign(status, after); showJob(); });
  showVerdict(find("#verdict"), status, rows.find((row) => row.rank === 1));
  showTrouble(find("#trouble"), status);
  showProgress(find("#progress"), status);
  showTimeline(find("#timeline"), events, status.state);
  showDistribution(find("#distribution"), status);
  showAsked(find("#asked"), status, axes);
  showNote(find("#note"), status, renamed);
  showAnyVariant(find("#any"), status, { onStored: (key) => visit({ variant: key }), onComputed: (index, report) => visit({ index, report }) });
}

function renamed(after) {
  Object.assign(status, { name: after.name, note: after.note });
  showName(find("#naming"), status, renamed);
  showNote(find("#note"), status, renamed);
}

function showRows() {
  if (!rows.length) {
    table = null;
    find("#top-tools").replaceChildren();
    find("#table").replaceChildren(el("p", { class: "soft empty-rows" }, whyEmpty(status)));
    find("#parallel").hidden = true;
    find("#multiples").hidden = true;
    return;
  }
  const { ranking } = status.request, [primary] = rankingNames(ranking);
  table ??= new TopTable(find("#table"), find("#top-tools"), { axes, ranking, link: (row) => address({ variant: row.variant_key }),
    onOpen: (row) => visit({ variant: row.variant_key }),
    onCompare: (chosen) => location.assign(`/compare?variants=${chosen.map((row) => `${status.job_id}:${row.rank}`).join(",")}`) });
  table.update(rows, status.state === "succeeded");
  parallel ??= new Parallel(find("#parallel"), (passes) => table?.filter(passes));
  parallel.update(rows, table.parameters, primary);
  showMultiples(find("#multiples"), rows, table.parameters, primary);
  if (status.state === "succeeded") {
    showTrust({ trust: find("#trust"), surfaces: find("#surfaces") }, status, rows, axes, { onRow: (row) => visit({ variant: row.variant_key }), onBase: visitBase });
  }
}

// --- the drawer, and its place in the URL

function address(wanted) {
  const query = new URLSearchParams(wanted);
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

/** Show a variant; the way back closes the drawer again. */
function visit(wanted) {
  const how = drawer.open ? "replaceState" : "pushState";
  history[how]({ drawn: drawer.open ? history.state?.drawn : true }, "", address(wanted));
  showDrawer();
}

/** Show a variant of stage A: the row that is stored, or a job of its own. */
async function visitBase(index) {
  opener = document.activeElement;
  try {
    const variant = await baseVariantAt(status.job_id, index);
    visit(variant.row ? { variant: variant.variant_key } : { base: index, report: (await submitted(variant)).job_id });
  } catch (error) {
    toast(error.message, "bad");
  }
}

function leave() {
  if (history.state?.drawn) return void history.back();
  history.replaceState(null, "", address({}));
  showDrawer();
}

function showDrawer() {
  const wanted = new URLSearchParams(location.search);
  const key = wanted.get("variant"), base = wanted.get("base"), index = wanted.get("index") ?? base, report = wanted.get("report");
  if (key) drawer.showStored(status, key, report);
  else if (index !== null && report) drawer.showIndex(status, Number(index), report, base !== null);
  else if (drawer.open) {
    const before = drawer.shown?.replace(/^variant:/, "");
    drawer.close();
    if (opener) opener.focus();
    else table?.focus(before);
    opener = null;
  }
}

function walk(by) {
  opener = null; // it is in the table that one walks
  const key = new URLSearchParams(location.search).get("variant");
  const next = key && table?.neighbour(key, by);
  if (next) visit({ variant: next.variant_key });
}

// --- keys

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, #confirm")) return;
  const keys = {
    j: () => (drawer.open ? walk(1) : table?.move(1)), k: () => (drawer.open ? walk(-1) : table?.move(-1)),
    n: () => drawer.step(1), p: () => drawer.step(-1), c: () => find("[data-action=cancel]")?.click(),
    Escape: () => drawer.open && leave(),
  };
  if (!drawer || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

// --- while it runs

const again = debounced(() => persistently(again, async () => {
  await Promise.all([readStatus(), readEvents()]);
  await readRows();
  showJob();
  showRows();
}), 200);

const newRows = debounced(() => persistently(newRows, async () => {
  await readRows();
  showRows();
}), 100);

/** Do `work`; where the API is not reached, say so and do it once more later: its stream may have ended. */
async function persistently(retry, work) {
  try {
    await work();
    reached("reads", true);
  } catch (error) {
    if (error.status !== 0 && error.status !== 503) throw error;
    reached("reads", false);
    setTimeout(retry, 1000);
  }
}

/** Keep whether "reads" or the "stream" reach the API: what stands here is fresh while both do. */
function reached(what, well) {
  if (well) away.delete(what);
  else away.add(what);
  find("#lost").hidden = away.size === 0;
}

function follow() {
  if (ended()) return;
  stream(`/backtests/jobs/${status.job_id}/stream`, {
    lifecycle: (event) => {
      if (events.some((known) => known.event_id === event.event_id)) return;
      again();
    },
    progress: (news) => {
      const { snapshot_at: at, ...changes } = news;
      Object.assign(status, changes);
      document.title = titleOf(status);
      showProgress(find("#progress"), status);
      if (at !== snapshot) newRows();
      snapshot = at;
    },
    end: () => again(),
    lost: () => reached("stream", false),
    found: () => { reached("stream", true); again(); },
    refused: () => reached("stream", false),
  });
}

async function begin() {
  try {
    await readStatus();
    axes = axesOf(status.request);
    await Promise.all([readRows(), readEvents()]);
  } catch (error) {
    find("#trouble").hidden = false;
    find("#trouble").replaceChildren(el("div", { class: "notice bad", role: "alert" }, el("p", {}, error.message),
      el("p", {}, el("a", { href: "/" }, "All your jobs"))));
    for (const part of page.querySelectorAll(".card")) part.hidden = true;
    page.setAttribute("aria-busy", "false");
    return;
  }
  drawer = new Drawer(find("#drawer"), { onClose: leave, onNext: walk,
    onComputed: (report) => history.replaceState(history.state, "", address({ variant: new URLSearchParams(location.search).get("variant"), report })) });
  showJob();
  showRows();
  showDrawer();
  window.addEventListener("popstate", showDrawer);
  onRenamed((after) => { if (after.job_id === status.job_id) renamed(after); });
  page.setAttribute("aria-busy", "false");
  follow();
}

begin();
