// The report of one variant: key figures, parameters, charts, trades, all its figures.

import { phrases } from "./axes.js";
import { el } from "./dom.js";
import { number } from "./format.js";
import { figure, figureWithUnit, metricWords, testFigure } from "./measures.js";
import { replaysOf } from "./replays.js";
import { Trades } from "./trades.js";
import { VariantChart } from "./variant_chart.js";

const CARDS = ["total_return_pct", "benchmark_return_pct", "max_drawdown_pct", "sharpe", "profit_factor", "win_rate_pct", "num_trades"];
const SIGNED = new Set(["total_return_pct", "benchmark_return_pct"]);

export class Report {
  /** `row` is one of the job of `status`, with its report, trades and equity; `axes` are the job's. */
  constructor(status, row, axes) {
    Object.assign(this, { status, row });
    this.parts = [this.#cards(), this.#parameters(axes)];
    if (row.trades && row.equity) this.#charts();
    const replays = replaysOf(row.beside_json);
    if (replays) this.parts.push(replays);
    if (row.report_table_md) this.parts.push(this.#table());
    this.element = el("div", { class: "stack report" }, this.parts);
  }

  close() {
    this.chart?.close();
  }

  #cards() {
    const primary = this.status.request.ranking.primary_metric;
    const names = CARDS.includes(primary) ? CARDS : [primary, ...CARDS];
    return el("div", { class: "figures" }, names.map((name) => {
      const value = figure(this.row, name);
      const tone = SIGNED.has(name) && value !== null ? (value >= 0 ? "gain" : "loss") : "";
      return el("div", { class: "figure" }, el("b", { class: tone }, figureWithUnit(name, value)),
        el("span", {}, metricWords(name), name === primary ? " · ranked by it" : ""),
        this.row.test_metrics_json ? el("span", {}, `test ${figureWithUnit(name, testFigure(this.row, name))}`) : null);
    }));
  }

  #parameters(axes) {
    return el("section", {}, el("h3", {}, "Parameters"), el("ul", { class: "phrases" },
      phrases(axes.filter((axis) => axis.group !== "source" || axis.size > 1), this.row.payload_json).map((text) => el("li", {}, text))));
  }

  #charts() {
    const place = el("div", { class: "chart" });
    const trouble = el("p", { class: "notice warn", hidden: true });
    const trades = [...this.row.trades, ...(this.row.test_trades ?? []).map((trade) => ({ ...trade, test: true }))];
    this.trades = new Trades(trades, { onStep: (at) => this.chart.step(at), onReset: () => this.chart.reset() });
    const told = CARDS.map((name) => `${metricWords(name)} ${figureWithUnit(name, figure(this.row, name))}`).join(", ");
    const failed = (error) => {
      trouble.hidden = false;
      trouble.textContent = error.code === "candles_changed"
        ? "The candles have changed since this job read them: price and buy and hold are not shown. Duplicate the job to see it on the candles of today."
        : `Price and buy and hold cannot be shown: ${error.message}`;
    };
    this.chart = new VariantChart(place, this.status, this.row,
      `Equity beside buy and hold, drawdown, and price with ${number(trades.length)} trades: ${told}`, failed);
    this.chart.ready.catch(failed);
    this.parts.push(el("section", { class: "stack tight" },
      el("div", { class: "spread" }, el("h3", {}, "Equity, drawdown, price and trades"),
        el("span", { class: "soft small pointer" }, "drag to zoom, double-click for all of it; ", el("kbd", {}, "n"), " ", el("kbd", {}, "p"), " step through trades")),
      trouble, this.trades.stepper, narrowLegend(), place, this.trades.list));
  }

  #table() {
    const [heads, , ...lines] = this.row.report_table_md.split("\n").filter(Boolean)
      .map((line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
    const tested = heads.length > 2;
    return el("section", {}, el("h3", {}, "All figures"), el("div", { class: tested ? "all-figures tested" : "all-figures" },
      el("table", {}, tested ? el("thead", {}, el("tr", {}, el("td", {}), heads.slice(1).map((head) => el("th", { scope: "col", class: "number" }, head)))) : null,
        el("tbody", {}, lines.map(([name, ...values]) =>
          el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", { class: "number" }, value))))))));
  }
}

/** What the curves and marks are, where the chart has no room to say it itself. */
function narrowLegend() {
  const kinds = [["equity", "equity"], ["hold", "buy and hold"]].map(([kind, words]) => el("li", {}, el("i", { class: `swatch ${kind}` }), words));
  const marks = [["▲", "long entry", "gain"], ["▼", "short entry", "loss"], ["×", "exit", ""]].map(([mark, words, tone]) =>
    el("li", {}, el("b", { class: tone }, mark), ` ${words}`));
  return el("ul", { class: "legend narrow-only small", "aria-label": "What the chart shows" }, kinds, marks);
}
