// Walking through the trades of a variant: a list, two buttons, and the keys n and p.

import { exitWords } from "./axes.js";
import { decimal } from "./measures.js";
import { el } from "./dom.js";
import { minute, number } from "./format.js";

/** What only trades have that are levered, or cost something to hold. */
const CHARGES = [["Margin", "margin"], ["Carry", "carry"]];
const LISTED = 300; // as many as one scrolls through; the keys reach all of them

export class Trades {
  /** `onStep(at)` is told which trade is wanted (from 0), `onReset()` that none is. */
  constructor(trades, { onStep, onReset }) {
    Object.assign(this, { trades, onStep, onReset, at: -1 });
    const step = (by) => () => this.step(by);
    this.said = el("p", { class: "grow", role: "status" }, trades.length
      ? `${number(trades.length)} trades` : "This variant never traded.");
    this.back = el("button", { type: "button", class: "small", title: "key p", on: { click: step(-1) } }, "← previous", el("span", { class: "word" }, " trade"));
    this.next = el("button", { type: "button", class: "small", title: "key n", on: { click: step(1) } }, "next", el("span", { class: "word" }, " trade"), " →");
    this.whole = el("button", { type: "button", class: "small", on: { click: () => this.reset() } }, "whole range");
    this.stepper = el("div", { class: "row stepper" }, this.said, this.back, this.next, this.whole);
    this.list = el("details", { class: "trades" }, el("summary", {}, "List of trades"));
    this.list.addEventListener("toggle", () => { if (this.list.open) this.#fill(); }, { once: true });
    this.#enable();
  }

  /** Go to the next trade (1) or the one before (-1). */
  step(by) {
    this.go(this.at < 0 && by < 0 ? this.trades.length - 1 : this.at + by);
  }

  go(at) {
    if (at < 0 || at >= this.trades.length) return;
    this.at = at;
    this.#enable();
    const trade = this.trades[at];
    this.said.textContent = `Trade ${number(at + 1)} of ${number(this.trades.length)}${trade.test ? ", on the test" : ""}: ${trade.direction}, ` +
      `${minute(trade.entry_time)} to ${minute(trade.exit_time)} UTC, ${priceText(trade.entry_price)} to ${priceText(trade.exit_price)}, ` +
      `${decimal(trade.return_pct, 2)} % (${decimal(trade.net_pnl, 2)}), left by ${exitWords(trade.exit_reason)}`;
    this.onStep(at);
  }

  reset() {
    this.at = -1;
    this.said.textContent = `${number(this.trades.length)} trades`;
    this.#enable();
    this.onReset();
  }

  #enable() {
    this.back.disabled = !this.trades.length || this.at === 0;
    this.next.disabled = !this.trades.length || this.at === this.trades.length - 1;
    this.whole.disabled = this.at < 0;
    for (const line of this.list.querySelectorAll("tr[data-at]")) {
      line.toggleAttribute("aria-current", Number(line.dataset.at) === this.at);
    }
  }

  #fill() {
    const charges = CHARGES.filter(([, name]) => this.trades.some((trade) => name in trade));
    const amounts = [...charges.map(([head]) => head), "Net", "Return %"];
    const heads = ["#", "Direction", "Entry (UTC)", "Exit (UTC)", "Entry price", "Exit price", ...amounts, "Exit by"];
    const lines = this.trades.slice(0, LISTED).map((trade, at) => el("tr", { dataset: { at }, class: trade.net_pnl > 0 ? "won" : "lost" },
      el("td", {}, el("button", { type: "button", class: "quiet small", "aria-label": `Show trade ${at + 1}`,
        on: { click: () => this.go(at) } }, trade.test ? `test ${trade.id}` : String(trade.id))),
      ...[trade.direction, minute(trade.entry_time), minute(trade.exit_time)].map((text) => el("td", { class: "nowrap" }, text)),
      ...[priceText(trade.entry_price), priceText(trade.exit_price), ...charges.map(([, name]) => decimal(trade[name], 2)),
        decimal(trade.net_pnl, 2), decimal(trade.return_pct, 3)]
        .map((text, place, all) => el("td", { class: place > all.length - 3 ? "number money" : "number" }, text)),
      el("td", { class: "nowrap" }, exitWords(trade.exit_reason))));
    const more = this.trades.length - lines.length;
    this.list.append(el("div", { class: "scroll tall", tabIndex: 0, role: "region", "aria-label": "List of trades" }, el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: at > 3 && at < heads.length - 1 ? "number" : "" }, head)))),
      el("tbody", {}, lines))));
    if (more > 0) {
      this.list.append(el("p", { class: "soft small" }, `${number(more)} more: the buttons above reach them, the copied JSON has all of them.`));
    }
    this.#enable();
  }
}

/** A price with the digits that tell it apart. */
function priceText(price) {
  return price === null ? "–" : number(Number(price.toPrecision(8)), 10);
}
