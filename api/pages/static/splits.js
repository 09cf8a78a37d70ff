// What became of the winners of one half of the data in the other half.

import { number, percent } from "./format.js";
import { histogram } from "./histogram.js";
import { scatter } from "./scatter.js";

const RANKS = [0.5, 0.1, 0.9, 0.01, 0.99, 0.001, 0.999]; // shares of the variants that are worse, as they are wanted
const ROOM = 0.06; // of the range, beside the outermost bins

/** A function that draws how many splits left their winner at which rank: `pictures.overfitting.logits`. */
export function ranksAfterwards({ edges, counts }) {
  const low = Math.min(edges[0], logit(0.4)), high = Math.max(edges.at(-1), logit(0.6)), room = ROOM * (high - low);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const below = counts.reduce((sum, count, at) => sum + (edges[at + 1] <= 0 ? count : 0), 0);
  const words = `Where ${number(total)} winners of one half ranked in the other: ${number(below)} were no better than the median`;
  const view = { low: low - room, high: high + room };
  return (width) => histogram(width, { edges, counts }, view, {
    marks: [{ at: 0, kind: "held", words: "median" }], words, tone: (at) => (edges[at + 1] <= 0 ? "loss" : "gain"),
    scale: placed(view, width).map((share) => ({ at: logit(share), words: `${number(100 * share, 1)} %` })),
    told: (at) => `better than ${rank(edges[at])} to ${rank(edges[at + 1])} % of the variants: ${number(counts[at])} splits`,
  });
}

/** The ranks that have room below the picture, the median among them. */
function placed({ low, high }, width) {
  const apart = 46 * ((high - low) / width);
  const kept = [];
  for (const share of RANKS) {
    const at = logit(share);
    if (at > low + apart / 2 && at < high - apart / 2 && kept.every((other) => Math.abs(logit(other) - at) > apart)) kept.push(share);
  }
  return kept;
}

function logit(share) {
  return Math.log(share / (1 - share));
}

function rank(edge) {
  return number(100 / (1 + Math.exp(-edge)), 1);
}

/** A function that draws the return of each winner in both halves: `pictures.overfitting.pairs_pct`. */
export function pairsOfHalves(pairs) {
  const finite = pairs.filter((pair) => pair.every((value) => value !== null));
  if (!finite.length) return null;
  const points = finite.map(([x, y]) => ({ x, y, class: y < 0 ? "loss" : "",
    told: `${percent(x)} on the half it was chosen on, ${percent(y)} on the other` }));
  const lost = finite.filter(([, y]) => y < 0).length;
  const words = `Returns of ${number(finite.length)} winners on the half they were chosen on and on the other: ${number(lost)} lost money there`;
  return (width) => scatter(width, points, { from: "return where chosen", to: "return on the other half", words, neutral: 0,
    text: (value) => `${number(value, 4)} %` });
}
