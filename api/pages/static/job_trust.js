// The parts of a job's page that tell how far its winner can be believed.

import { request } from "./api.js";
import { el, fill } from "./dom.js";
import { showSurfaces } from "./surfaces.js";
import { proofs, sampled } from "./trust.js";

/**
 * Show what was asked of the search of a job that has succeeded; nothing where nothing was asked.
 * `rows` are its best variants; `onRow(row)` and `onBase(index)` open one of them, or any.
 */
export async function showTrust({ trust, surfaces }, status, rows, axes, { onRow, onBase }) {
  if (trust.filled || !status.validation || !rows.length) return;
  trust.filled = true;
  trust.hidden = false;
  const job = `/backtests/jobs/${status.job_id}`, title = trust.querySelector("h2");
  try {
    const { figures, pictures, surfaces: listed } = await request("GET", `${job}/validation`);
    const { primary_metric: primary } = status.request.ranking, note = sampled(figures);
    fill(trust, title, note && el("p", { class: "soft small" }, note),
      el("div", { class: "proofs" }, proofs({ figures, pictures, rows, primary, axes, onRow, onBase })));
    surfaces.hidden = !listed.length;
    if (surfaces.hidden) return;
    const place = el("div");
    surfaces.append(place);
    showSurfaces(place, listed, { onOpen: onBase, winner: rows.find((row) => row.rank === 1)?.payload_json,
      read: async (number) => (await request("GET", `${job}/surfaces/${number}`)).surface });
  } catch (error) {
    trust.filled = false; // the next news of the job tries again
    fill(trust, title, el("p", { class: "notice bad", role: "alert" }, error.message));
  }
}
