// What operators look at: the queue, what is stuck, leases, events; and the pause.

import { request } from "./api.js";
import { el, fill, find, toast } from "./dom.js";
import { ago, duration, number } from "./format.js";
import { progressText } from "./job_row.js";

const EVERY = 5000;
const AGES = { 60: "up to a minute", 600: "up to 10 minutes", 3600: "up to an hour", 86400: "up to a day" };

let timer = 0, asking = false;

/** Ask for everything, and again in a while; a page that nobody sees asks for nothing. */
async function look() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  try {
    const names = ["queue", "stuck", "workers", "leases", "events"];
    const [queue, stuck, workers, leases, events] = await Promise.all(
      names.map((name) => request("GET", `/operate/${name}`)));
    showSwitch(queue.paused);
    showQueue(queue);
    showStuck(stuck);
    showLeases(workers.items, leases.items);
    showEvents(events.items);
    find("#lost").hidden = true;
  } catch (error) {
    find("#lost").textContent = `${error.message} Figures may be old.`;
    find("#lost").hidden = false;
  }
  asking = false;
  find("#operate").setAttribute("aria-busy", "false");
  timer = setTimeout(look, EVERY);
}

function showSwitch(paused) {
  const banner = find("#paused"), place = find("#switch"), wanted = paused ? "resume" : "pause";
  banner.hidden = !paused;
  if (paused) fill(banner, "The queue is paused since ", ago(paused.since), ` by ${paused.by}`, paused.reason ? `: ${paused.reason}` : ".");
  if (place.dataset.shown === wanted) return; // a click that has begun must end where it began
  place.dataset.shown = wanted;
  fill(place, paused ? el("button", { type: "button", class: "primary", on: { click: resume } }, "Resume")
    : el("button", { type: "button", class: "danger", on: { click: pause } }, "Pause"));
}

function showQueue({ queued, running, ended }) {
  const figure = (value, words) => el("div", { class: "figure" }, el("b", {}, value), el("span", {}, words));
  fill(find("#figures"),
    figure(number(queued.number), "queued"), figure(number(running.number), "running"),
    figure(queued.oldest ? ago(queued.oldest) : "–", "oldest queued"),
    figure(number(ended.succeeded), "succeeded in an hour"), figure(number(ended.failed), "failed in an hour"),
    figure(number(ended.cancelled), "cancelled in an hour"));
  const rows = queued.ages.map((age, at) => [AGES[age.up_to] ?? "older", number(age.number), number(running.ages[at].number)]);
  table(find("#ages"), ["Submitted", "Queued", "Running"], rows);
}

function showStuck({ items, found }) {
  const groups = Map.groupBy ? Map.groupBy(items, (item) => item.problem) : grouped(items);
  const more = found - items.length;
  fill(find("#stuck"), items.length === 0 && el("p", { class: "soft" }, "Nothing is stuck."),
    [...groups.values()].map((jobs) => el("div", { class: "problem", dataset: { problem: jobs[0].problem } },
      el("b", {}, `${jobs[0].said.charAt(0).toUpperCase()}${jobs[0].said.slice(1)}`),
      el("ul", {}, jobs.map((job) => el("li", {}, el("code", {}, job.job_id), ` ${job.state}, for ${duration(job.seconds)}`,
        job.owner && [", owner ", el("code", {}, job.owner)]))),
      el("p", {}, jobs[0].advice), el("p", { class: "soft small" }, jobs[0].runbook))),
    more > 0 && el("p", { class: "soft" }, `and ${number(more)} more`));
}

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(item.problem, [...(groups.get(item.problem) ?? []), item]);
  return groups;
}

function showLeases(hosts, leases) {
  const words = hosts.map((host) => `${host.host}: ${number(host.jobs)}`);
  find("#hosts").textContent = words.length ? `Jobs by machine – ${words.join(", ")}` : "No worker owns a job.";
  table(find("#leases"), ["Owner", "Job", "Stage", "Attempt", "Last beat", "Lease"], leases.map((lease) => [
    el("code", {}, lease.owner ?? "released"), el("code", {}, lease.job_id),
    progressText({ state: "running", progress: lease.progress }), number(lease.attempt), ago(lease.heartbeat_at),
    lease.expired ? el("b", { class: "loss" }, "expired") : "holds"]));
}

function showEvents(events) {
  find("#no-events").hidden = events.length > 0;
  table(find("#events"), ["When", "What", "Job", "By"], events.map((event) => [
    ago(event.at), event.event.replaceAll("_", " "), el("code", {}, event.job_id), event.actor]));
}

function table(place, names, rows) {
  place.hidden = rows.length === 0;
  fill(place, el("table", {}, el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", names.join(", "));
}

function pause() {
  const dialog = find("#pause"), said = find("#pause-said"), reason = find("#reason");
  said.hidden = true;
  reason.value = "";
  find("#pause-form").onsubmit = async (event) => {
    if (event.submitter?.value !== "pause") return;
    event.preventDefault();
    try {
      await request("POST", "/operate/pause", { reason: reason.value.trim() || null });
      dialog.close();
      toast("Paused");
      look();
    } catch (error) {
      said.textContent = error.details?.[0]?.message ?? error.message;
      said.hidden = false;
    }
  };
  dialog.showModal();
}

async function resume() {
  try {
    await request("POST", "/operate/resume");
    toast("Resumed");
    look();
  } catch (error) {
    toast(error.message, "bad");
  }
}

document.addEventListener("visibilitychange", look);
look();
