// The colours of the page for pictures that are not CSS.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** The value of a colour of the theme: `color("equity")`. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Call when the theme has changed; returns a function that ends it. */
export function onTheme(redraw) {
  dark.addEventListener("change", redraw);
  return () => dark.removeEventListener("change", redraw);
}
