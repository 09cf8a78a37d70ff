// How a stage stands that several workers compute: in words, as a strip of its shards, and by worker.

import { el, fill } from "./dom.js";
import { number } from "./format.js";
import { svg } from "./svg.js";

const MOST_NAMED = 12;
const FIRST_HUE = 60, GOLDEN_ANGLE = 137.508; // so the next one is far from all before, however many there are

const hues = new Map();

/** The hue of a worker, which keeps it as long as the page stands. */
function hueOf(worker) {
  if (!hues.has(worker)) hues.set(worker, (FIRST_HUE + hues.size * GOLDEN_ANGLE) % 360);
  return hues.get(worker);
}

function coloured(element, worker) {
  if (worker !== null) element.style.setProperty("--hue", hueOf(worker).toFixed(1));
  return element;
}

/** Show it, or nothing where the stage is not shared. */
export function showSharing(place, sharing) {
  place.hidden = !sharing;
  if (!sharing) return;
  fill(place, strip(sharing), el("p", { class: "small" }, sharing.said), legend(sharing.workers));
}

/** One row as wide as there is room; what it shows is said in words below it. */
function strip({ strip: runs, shards }) {
  let at = 0;
  return svg("svg", { viewBox: `0 0 ${shards} 1`, preserveAspectRatio: "none", class: "strip", "aria-hidden": "true" },
    runs.map(([state, worker, length]) => {
      const run = coloured(svg("rect", { x: at, width: length, height: 1, class: state }), worker);
      at += length;
      return run;
    }));
}

function legend(workers) {
  const named = workers.slice(0, MOST_NAMED), more = workers.length - named.length;
  return el("ul", { class: "legend small" },
    named.map(({ worker, running, done }) => el("li", {},
      coloured(el("i", { class: "dot worker", "aria-hidden": "true" }), worker), ` ${worker} `,
      el("span", { class: "soft" }, [running && `${number(running)} running`, done && `${number(done)} done`].filter(Boolean).join(", ")))),
    more > 0 && el("li", { class: "soft" }, `and ${number(more)} more`));
}
