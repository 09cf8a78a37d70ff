// Saving a variant as a strategy: a small form for its name.

import { request } from "./api.js";
import { el } from "./dom.js";

/** A button that becomes the form. `source()` gives `{job_id, variant_key}`, `name()` a proposal. */
export function saveButton(source, name) {
  const place = el("div", { class: "saving" });
  const button = el("button", { type: "button", class: "small", on: { click: () => ask(place, button, source(), name()) } },
    "Save as strategy");
  place.append(button);
  return place;
}

function ask(place, button, source, proposal) {
  const input = el("input", { value: proposal, maxLength: 120, required: true, "aria-label": "Name of the strategy" });
  const trouble = el("p", { class: "error", role: "alert" });
  const back = () => { place.replaceChildren(button); button.focus(); };
  const form = el("form", { class: "stack tight", on: { submit: async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    try {
      const saved = await request("POST", "/strategies", { name: input.value.trim(), ...source });
      const link = el("a", { href: "/strategies" }, saved.name);
      place.replaceChildren(el("p", { role: "status", class: "wrap" }, "Saved as ", link, "."));
      link.focus();
    } catch (error) {
      trouble.textContent = error.details?.length ? error.details.map((detail) => detail.message).join("; ") : error.message;
      input.focus();
    }
  }, keydown: (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    back();
  } } }, el("div", { class: "row" }, input, el("button", { class: "small primary" }, "Save"),
    el("button", { type: "button", class: "small", on: { click: back } }, "Not now")), trouble);
  place.replaceChildren(form);
  input.focus();
  input.select();
}
