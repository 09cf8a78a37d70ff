// What was asked of a search, in sentences for whoever trades by it.

import { number, percent } from "./format.js";
import { figureWithUnit, metricWords } from "./measures.js";

const SURE = 0.1; // the share of searches in data without an edge from which on luck is no bad explanation

/** Two digits of a share: 0.6 -> "0.6", 0.0251 -> "0.025". */
export function shareText(share) {
  return String(Number(share.toPrecision(2)));
}

/** A share of many: "52 %"; one that is nearly none or nearly all is not called so. */
function percentOf(share) {
  const rounded = Math.round(100 * share);
  if (rounded === 0 && share > 0) return "less than 1 %";
  if (rounded === 100 && share < 1) return "more than 99 %";
  return `${rounded} %`;
}

/** "made 3.20 %", "lost 1.00 %". */
export function moved(value) {
  if (value === null || value === undefined) return "made more than can be told";
  return value < 0 ? `lost ${percent(-value)}` : `made ${percent(value)}`;
}

function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** Whether luck finds as much. */
export function lucky({ p }) {
  return p > SURE;
}

/** [what it means, what was done]: of `figures.search`. */
export function searchWords(search) {
  const { p, draws, as_good: asGood, metric, best } = search;
  const share = asGood === 0 ? `in none of ${counted(draws, "try", "tries")}` : `in ${number(asGood)} of ${counted(draws, "try", "tries")}`;
  const judged = lucky(search) ? "What it found is what luck finds." : "Luck alone seldom finds as much.";
  return [`A search like this finds as much in data without an edge ${share} (p = ${shareText(p)}). ${judged}`,
    `Each try searched the same variants in the same bars with their moves turned up or down at random. ` +
    `Its best by ${metricWords(metric)} is compared with what was found, ${best === null ? "which is no finite number" : figureWithUnit(metric, best)}.`];
}

/** The same of `figures.overfitting`. */
export function overfittingWords({ pbo, loss_share: losses, median_in_sample_pct: inside, median_out_of_sample_pct: outside, splits, variants, blocks }) {
  const share = percentOf(pbo), begin = share === "50 %" ? "Half" : share.charAt(0).toUpperCase() + share.slice(1);
  return [`${begin} of the search's winners on one half of the data were no better than the median on the other half ` +
    `(PBO ${shareText(pbo)}); they lost money there in ${percentOf(losses)} of the splits.`,
  `The median winner ${moved(inside)} on the half it was chosen on and ${moved(outside)} on the other. ` +
    `${counted(splits, "split")} of ${number(blocks)} blocks, ${counted(variants, "outcome")} to choose from.`];
}

/** The same of `figures.walk_forward`. */
export function walkForwardWords({ mode, folds, return_pct: made, hindsight_return_pct: best, benchmark_return_pct: held }) {
  const times = folds === 1 ? "Chosen once" : `Chosen anew ${number(folds)} times`;
  const beside = held === null || held === undefined ? "" : `, buy and hold ${moved(held)}`;
  const known = mode === "rolling" ? "by the blocks just before it" : "by everything before it";
  return [`${times}, each time ${known}, the winners ${moved(made)} in what came next. The best in hindsight ${moved(best)}${beside}.`,
    "Ranked by total return, without stops and targets; to change from one winner to the next costs nothing here."];
}

/** The same of `figures.deflated_sharpe`. */
export function deflatedWords({ probability, expected_highest_sharpe: expected, sharpe, days, variants }) {
  return [`With a probability of ${percentOf(probability)} the best variant's Sharpe ratio is more than what the best of ` +
    `${number(variants)} lucky ones would show: it has ${number(sharpe, 3)} a day, luck ${number(expected, 3)}.`,
  `Of ${counted(days, "day")}, without stops and targets. It takes all ${number(variants)} variants for independent tries, ` +
    "which neighbours on a grid are not: their number decides it."];
}

/** The same of `figures.neighbours`. */
export function neighboursWords({ number: count, twins, ruined, median_return: median, worst_return: worst }) {
  if (!count) return ["The winner has no neighbours: no axis of the grid is a row of numbers.", null];
  const more = [twins ? `${number(twins)} trade${twins === 1 ? "s" : ""} exactly as it does` : "", ruined ? `${number(ruined)} lost everything` : ""].filter(Boolean);
  const who = count === 1 ? "The only variant" : `The ${number(count)} variants`;
  return [`${who} one step away from the winner: median ${percent(median ?? null)}, worst ${percent(worst ?? null)}.`,
    more.length ? `Of them, ${more.join(" and ")}.` : null];
}

/** The same of the rows of the top list: `made` are their total returns, [where chosen, where not]. */
export function testWords(made) {
  const kept = made.filter(([train]) => train > 0), held = kept.filter(([, test]) => test > 0);
  if (!kept.length) return [`None of the ${number(made.length)} best variants made money where they were chosen.`, null];
  return [`${counted(kept.length, "variant")} of the best ${number(made.length)} made money where they were chosen; ` +
    `${number(held.length)} of them did so on the bars they were not chosen on.`, null];
}
