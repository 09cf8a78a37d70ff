// What the API says about a request: at the fields it names, and in a list.

import { parseAxis } from "./axis_text.js";
import { el, find } from "./dom.js";

/** Show details `[{path, message, hint}]`: each at its field, or at the nearest one around it. */
export function showProblems(form, place, heading, details, warnings) {
  for (const old of form.querySelectorAll(".error[data-said]")) old.remove();
  for (const marked of form.querySelectorAll("[aria-invalid]")) {
    marked.removeAttribute("aria-invalid");
    describe(marked, marked.dataset.saidBy, false);
  }
  details.forEach((detail, number) => mark(form, detail, `said-${number}`));
  place.replaceChildren(...[
    heading && el("div", { class: "notice bad" }, el("b", {}, heading),
      details.length > 0 && el("ul", { class: "list" }, details.map((detail) => el("li", {}, line(form, detail))))),
    ...warnings.map((warning) => el("p", { class: "notice warn" }, warning.message[0].toUpperCase() + warning.message.slice(1))),
  ].filter(Boolean));
}

function sentence(detail, field) {
  const axis = field?.classList.contains("axis") && find("input", field);
  // The API speaks of JSON, which nobody has typed here.
  if (axis && typeof parseAxis(axis.value) === "string") return `cannot be read: write a range like 10..200 step 5, values like 5, 10, 20, or one value, not “${axis.value}”`;
  return detail.hint ? `${detail.message}; ${detail.hint}` : detail.message;
}

function mark(form, detail, id) {
  const field = fieldOf(form, detail.path);
  if (!field) return;
  const input = find("input, select, textarea", field);
  const own = field.dataset.path === detail.path || detail.path.startsWith(`${field.dataset.path}`);
  field.append(el("p", { class: "error", id, dataset: { said: "" } }, sentence(detail, field)));
  if (input && own && field.classList.contains("field")) {
    input.setAttribute("aria-invalid", "true");
    input.dataset.saidBy = id;
    describe(input, id, true);
  }
}

function describe(input, id, wanted) {
  const ids = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((one) => one && one !== id);
  if (wanted) ids.push(id);
  if (ids.length) input.setAttribute("aria-describedby", ids.join(" "));
  else input.removeAttribute("aria-describedby");
}

/** The field of a path, or of the longest beginning of it that has one. */
function fieldOf(form, path) {
  for (let part = path; part; part = part.replace(/(\.[^.[\]]*|\[\d*\]|^[^.[\]]+)$/, "")) {
    const field = [...form.querySelectorAll("[data-path]")].find((one) => one.dataset.path === part);
    if (field) return field;
  }
  return null;
}

/** What a field is called on the page, with its block; the path where the field is a larger part. */
function named(field, path) {
  const label = find("label, .label", field)?.firstChild?.textContent.trim();
  if (!label || field.dataset.path !== path) return path;
  const block = find("h3", field.closest("fieldset.block") ?? field)?.textContent;
  return [block, label].filter(Boolean).join(" ");
}

function line(form, detail) {
  const field = fieldOf(form, detail.path);
  const input = field && find("input, select, textarea, button", field);
  const words = [detail.path && el("code", {}, detail.path), detail.path ? " " : "", sentence(detail, field)];
  if (!input) return words;
  return [detail.path ? el("a", { href: `#${input.id}`, title: detail.path, on: { click: (event) => {
    event.preventDefault();
    input.closest("details")?.setAttribute("open", "");
    input.focus();
  } } }, named(field, detail.path)) : null, " ", sentence(detail, field)];
}
