// Cancelling jobs, after a question: computed hours do not come back.

import { request } from "./api.js";
import { el, find, toast } from "./dom.js";

/** Ask in a dialog; resolves to whether the answer is yes. Needs a <dialog id="confirm">. */
export function confirmed(question, { yes, no = "Keep", explain = "", danger = true }) {
  const dialog = find("#confirm");
  return new Promise((resolve) => {
    dialog.replaceChildren(el("form", { method: "dialog", class: "stack" },
      el("h2", { id: "confirm-title", class: "wrap" }, question),
      explain && el("p", { class: "soft" }, explain),
      el("div", { class: "row" },
        el("button", { value: "yes", class: danger ? "danger" : "primary" }, yes),
        el("button", { value: "no" }, no))));
    dialog.returnValue = "no";
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
  });
}

/** Cancel these jobs if the user confirms it; resolves to their statuses afterwards. */
export async function cancelled(items) {
  const one = items.length === 1;
  const what = one ? `Cancel ${items[0].name ?? `${items[0].symbol} ${items[0].timeframe}`}?` : `Cancel ${items.length} jobs?`;
  const sure = await confirmed(what, { yes: one ? "Cancel the job" : "Cancel them", no: "Go on computing",
    explain: "What was found so far stays readable; the computation cannot be resumed." });
  if (!sure) return [];
  try {
    if (one) return [await request("POST", `/backtests/jobs/${items[0].job_id}/cancel`)];
    const answer = await request("POST", "/backtests/jobs/cancel", { ids: items.map((item) => item.job_id) });
    return answer.items ?? answer;
  } catch (error) {
    toast(error.message, "bad");
    return [];
  }
}
