// A box for any variant of the grid: its number, what it is, and its report.

import { submitted, variantAt } from "./one_variant.js";
import { axesOf, phrases } from "./axes.js";
import { debounced, el } from "./dom.js";
import { number } from "./format.js";

/** Show the box. `onStored(key)` and `onComputed(index, jobId)` are told what was found. */
export function showAnyVariant(section, status, { onStored, onComputed }) {
  section.hidden = status.state !== "succeeded" || !status.outcomes;
  if (section.hidden || section.filled) return;
  section.filled = true;
  const axes = axesOf(status.request).filter((axis) => axis.group !== "source" || axis.size > 1);
  const last = lastIndex(status, axes);
  const input = el("input", { id: "any-index", type: "number", min: 0, max: last, step: 1, inputMode: "numeric", required: true, class: "index" });
  const said = el("p", { role: "status", class: "wrap grow" });
  const open = el("button", { class: "primary", disabled: true }, "Show its report");
  let found = null;
  const look = debounced(async () => {
    found = null;
    open.disabled = true;
    if (!input.checkValidity()) return void (said.textContent = input.value ? `There are variants 0 to ${number(last)}.` : "");
    const index = input.value;
    try {
      const variant = await variantAt(status.job_id, index);
      if (input.value !== index) return;
      found = variant;
      open.disabled = false;
      said.textContent = phrases(axes, variant.payload_json).join(" · ") + (variant.row ? ` (stored at rank ${number(variant.row)})` : "");
    } catch (error) {
      if (input.value === index) said.textContent = error.details?.[0]?.message ?? error.message;
    }
  }, 250);
  input.addEventListener("input", look);
  const form = el("form", { class: "row any", on: { submit: async (event) => {
    event.preventDefault();
    if (!found) return;
    if (found.row) return void onStored(found.variant_key);
    open.disabled = true;
    try {
      onComputed(found.index, (await submitted(found)).job_id);
    } catch (error) {
      said.textContent = error.message;
    }
    open.disabled = false;
  } } }, el("label", { htmlFor: "any-index" }, "Variant number"), input, open, said);
  section.replaceChildren(section.querySelector("h2"), el("p", { class: "soft small" },
    `Every variant has a number, 0 to ${number(last)}; it is computed as a job of its own and found again the next time.`), form);
}

/** The number of the last variant: all that stage A tried, each with every stop and target. */
function lastIndex(status, axes) {
  const risk = axes.filter((axis) => axis.group === "risk").reduce((total, axis) => total * axis.size, 1);
  return status.outcomes.tried * risk - 1;
}
