// Small pictures as SVG elements: their colours are classes, so they follow the theme by themselves.

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Make an SVG element with attributes and children; text stays text. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A picture of `width` × `height` that says in words what it shows. */
export function picture(width, height, words, ...children) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words, class: "picture" }, ...children);
}

/** Draw now and whenever the element becomes wider or narrower; `draw(width)`. */
export function fitted(element, draw) {
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== drawn) draw((drawn = width));
  }).observe(element);
}

/** At most about `count` round numbers in [low, high]. */
export function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step + 0); // no −0
  return found;
}
