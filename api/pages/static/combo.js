// A typed search in the catalogue of indicators.

import { el, find } from "./dom.js";

const SHOWN = 12;

/** Indicators that fit what was typed, best first: every word must occur. */
export function search(catalogue, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = [];
  for (const indicator of catalogue) {
    const id = indicator.indicator_id.toLowerCase(), short = id.split(".").at(-1);
    const said = `${indicator.description} ${indicator.formula}`.toLowerCase().split(/[^a-z0-9]+/);
    if (!words.every((word) => id.includes(word) || said.some((one) => one.startsWith(word)))) continue;
    const first = words[0] ?? "";
    const rank = short === first ? 0 : short.startsWith(first) ? 1 : id.includes(first) ? 2 : 3;
    scored.push([rank, indicator]);
  }
  return scored.sort((a, b) => a[0] - b[0]).map(([, indicator]) => indicator);
}

/** Make the search field and its list work; `chosen(indicator)` is told. */
export function combo(input, list, catalogue, chosen) {
  let found = [], at = -1;

  function draw() {
    found = search(catalogue, input.value);
    const more = found.length - SHOWN;
    if (input.value.trim()) found = found.slice(0, SHOWN);
    at = found.length ? 0 : -1;
    list.replaceChildren(...found.map((indicator, number) => el("li", {
      id: `${list.id}-${number}`, role: "option", "aria-selected": String(number === at),
      on: { mousedown: (event) => { event.preventDefault(); take(indicator); } },
    }, el("b", { class: "mono" }, indicator.indicator_id), el("span", {}, indicator.description))));
    if (found.length === 0) {
      list.append(el("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" },
        `Nothing fits “${input.value}”.`));
    } else if (more > 0 && input.value.trim()) {
      list.append(el("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "soft" },
        `and ${more} more: type on`));
    }
    open(true);
  }

  function open(wanted) {
    list.hidden = !wanted;
    input.setAttribute("aria-expanded", String(wanted));
    if (wanted && at >= 0) input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function move(step) {
    if (list.hidden) return draw();
    if (!found.length) return;
    at = (at + step + found.length) % found.length;
    for (const [number, option] of [...list.children].entries()) {
      option.setAttribute("aria-selected", String(number === at));
    }
    find(`#${list.id}-${at}`, list).scrollIntoView({ block: "nearest" });
    open(true);
  }

  function take(indicator) {
    input.value = "";
    open(false);
    chosen(indicator);
  }

  input.addEventListener("input", (event) => { event.stopPropagation(); draw(); });
  input.addEventListener("focus", draw);
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Escape" && !list.hidden) open(false);
    else if (event.key === "Enter") {
      if (!list.hidden && found[at]) take(found[at]);
    } else return;
    event.preventDefault();
  });
}
