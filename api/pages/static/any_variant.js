// A box for any variant of the grid: its number, what it is, and its report.

import { submitted, variantAt } from "./one_variant.js";
import { axesOf, phrases } from "./axes.js";
import { debounced, el } from "./dom.js";
import { number } from "./format.js";

/** How many variants the grid has; the last index is one less. Unknown: null. */
export function showAnyVariant(section, status, { onStored, onComputed }) {
  section.hidden = status.state !== "succeeded";
  if (section.hidden || section.filled) return;
  section.filled = true;
  const axes = axesOf(status.request).filter((axis) => axis.group !== "source" || axis.size > 1);
  const input = el("input", { id: "any-index", type: "number", min: 0, step: 1, inputMode: "numeric", required: true, class: "index" });
  const said = el("p", { role: "status", class: "wrap grow" });
  const open = el("button", { class: "primary", disabled: true }, "Show its report");
  let found = null;
  const look = debounced(async () => {
    found = null;
    open.disabled = true;
    if (input.value === "" || !input.checkValidity()) return void (said.textContent = "");
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
    "Every variant has a number, from 0; it is computed as a job of its own and found again the next time."), form);
}
