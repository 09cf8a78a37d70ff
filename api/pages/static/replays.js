// The trades of one variant again, in other orders and at other places: what was luck in them.

import { el } from "./dom.js";
import { number, percent } from "./format.js";
import { shareText } from "./trust_words.js";

/** What there is to say of the replays of `beside_json`, as elements; null where there are none. */
export function replaysOf(beside) {
  const found = beside?.replays;
  if (!found) return null;
  const said = found.unknown ? [found.unknown] : sentences(found);
  return el("article", { class: "proof" }, el("h3", {}, "Its trades, had they come otherwise"), el("ul", { class: "replays" }, said.map((text) => el("li", {}, text))));
}

function sentences({ runs, drawdown_at_trades_pct: own, shuffles, bootstraps, random_entries: random }) {
  const { p95: deep } = shuffles.drawdown_at_trades_pct, { p5: low, p95: high } = bootstraps.return_pct;
  return [
    `In another order they had a drawdown of up to ${percent(deep)} in 19 of 20 cases; in their own it was ${percent(own)}, at closes of trades.`,
    `Drawn anew from its own trades, the return is ${percent(low)} to ${percent(high)} in 18 of 20 cases, and a loss in ${number(100 * bootstraps.loss_share)} % of all.`,
    `As many trades of the same lengths and directions at random places did as well in ${number(random.as_good)} of ${number(runs)} tries ` +
      `(naive p = ${shareText(random.naive_p)}: it knows nothing of the search that chose this variant).`,
  ];
}
