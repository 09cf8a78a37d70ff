// Fields that stand for one place of the request each: data-path says which.

import { axisCount, axisText, parseAxis } from "./axis_text.js";
import { el, find } from "./dom.js";
import { setAt, valueAt } from "./document.js";
import { number } from "./format.js";

/** Write what the document says into every field of the form. */
export function show(form, document_) {
  for (const input of form.querySelectorAll("[data-kind]")) {
    const value = valueAt(document_, pathOf(input));
    if (input.dataset.kind === "option") input.checked = input.value === (value ?? input.dataset.default);
    else if (input.dataset.kind === "axis") input.value = axisText(value === null ? undefined : value);
    else input.value = value === undefined || value === null ? "" : String(value);
    count(input, value);
  }
}

/** Put what a field says into the document; true where the field is one of ours. */
export function take(input, document_) {
  const kind = input.dataset.kind;
  if (!kind) return false;
  const text = input.value.trim();
  const value = kind === "option" && text === input.dataset.default ? undefined : read(kind, text);
  setAt(document_, pathOf(input), value);
  count(input, value);
  return true;
}

function read(kind, text) {
  if (text === "") return undefined;
  if (kind === "axis") return parseAxis(text);
  if (kind === "boolean") return text === "true";
  // What is no number goes to the API as it is: it says what is wrong.
  if (kind === "number") return Number.isFinite(Number(text)) ? Number(text) : text;
  return text;
}

export function pathOf(input) {
  return input.closest("[data-path]").dataset.path;
}

/** Say how many values an axis has, those of its default where it is left out. */
export function count(input, value) {
  const shown = find("output", input.closest(".field"));
  if (!shown) return;
  const byDefault = input.dataset.default ? JSON.parse(input.dataset.default) : undefined;
  const size = axisCount(value === undefined || value === null ? byDefault : value);
  shown.textContent = size === null ? "" : `→ ${number(size)}`;
}

/** A field for an axis of a block. */
export function axisField(path, label, { value, byDefault, hint }) {
  const id = path.replace(/[^\w]+/g, "-");
  const input = el("input", { id, autocomplete: "off", spellcheck: false, placeholder: axisText(byDefault),
    value: axisText(value), dataset: { kind: "axis", default: byDefault === undefined ? "" : JSON.stringify(byDefault) },
    "aria-describedby": hint ? `${id}-hint` : null });
  const field = el("div", { class: "field axis", dataset: { path } },
    el("label", { htmlFor: id }, label),
    el("div", { class: "axis-line" }, input, el("output", { class: "count" })),
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
  count(input, value);
  return field;
}

/** The names of an axis: one, a list, or an object with its values (a list has a method of that name). */
function names(axis) {
  if (axis === undefined) return [];
  return Array.isArray(axis) ? axis : [axis?.values ?? axis].flat();
}

/** Chips for an axis of names; none pressed means the default. */
export function choiceField(path, label, { value, choices, byDefault, changed }) {
  const standard = names(byDefault), chosen = new Set(names(value));
  const field = el("div", { class: "field", dataset: { path } });
  const draw = () => {
    field.replaceChildren(el("span", { class: "label", id: `${path}-label` }, label),
      el("div", { class: "row names", role: "group", "aria-labelledby": `${path}-label` }, choices.map((name) => {
        const pressed = chosen.size ? chosen.has(name) : standard.includes(name);
        return el("button", { type: "button", class: "chip", "aria-pressed": String(pressed),
          dataset: { name }, on: { click: () => press(name) } }, name);
      })));
  };
  const press = (name) => {
    if (chosen.size === 0) standard.forEach((one) => chosen.add(one));
    if (chosen.has(name)) chosen.delete(name);
    else chosen.add(name);
    const values = choices.filter((one) => chosen.has(one));
    draw();
    find(`[data-name="${name}"]`, field).focus();
    changed(values.length ? values : undefined);
  };
  draw();
  return field;
}
