// Elements are made here, and text stays text: nothing that a user wrote is ever read as HTML.

/**
 * Make an element. Properties: `class`, `dataset`, `on` (listeners by event), names of DOM
 * properties, otherwise attributes; null and false leave one out.
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...shown(children));
  return made;
}

/** Put these in place of what an element holds; null, undefined and false are nothing. */
export function fill(parent, ...children) {
  parent.replaceChildren(...shown(children));
}

function shown(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

export function find(selector, within = document) {
  return within.querySelector(selector);
}

/** Show a passing message; `kind` "bad" is read out at once. */
export function toast(text, kind = "") {
  const shown = el("div", { class: `toast ${kind}`, role: kind === "bad" ? "alert" : null }, text);
  find("#toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 9000 : 4000);
}

export async function copy(text, said = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { value: text, class: "visually-hidden", readOnly: true });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(said);
}

/** A button that copies what `text()` returns. */
export function copyButton(words, text, said) {
  return el("button", { type: "button", class: "small", on: { click: () => copy(text(), said) } }, words);
}

/** Run `work` when nothing was asked for `wait` milliseconds. */
export function debounced(work, wait) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), wait);
  };
}

/** True while a key belongs to what the user types, not to the page. */
export function typing(event) {
  return event.ctrlKey || event.metaKey || event.altKey ||
    event.target.closest("input, textarea, select, dialog, [contenteditable]") !== null;
}
