// Equity beside buy and hold, drawdown, and price with entries and exits: one chart, one time axis.

import { request } from "./api.js";
import { exitWords } from "./axes.js";
import { around, drawdowns, extent, held, paths, timed } from "./curves.js";
import { debounced } from "./dom.js";
import { number, percent } from "./format.js";
import { Chart, line, times, upright } from "./plotting.js";
import { color } from "./theme.js";

const POINTS = 700; // candles that can be told apart on a wide screen
const NARROW = 720; // px: below this the legend would take the room of the curves
const MANY = 200; // trades: more of them get smaller marks

export class VariantChart {
  /** `row` has its trades and equity; `status` is its job's. `failed(error)` is told when bars are not to be had. */
  constructor(place, status, row, words, failed) {
    const { execution } = status.request.template;
    Object.assign(this, { status, row, failed, cash: execution.init_cash_quote });
    const test = row.test_equity ?? [];
    this.trades = timed([...row.trades, ...(row.test_trades ?? [])]);
    this.border = test.length ? row.equity.at(-1)[0] : null;
    // Each part begins with the initial cash: two lines, with nothing between them.
    const parts = test.length ? [row.equity, [[this.border, null]], test] : [row.equity];
    this.equityAt = parts.flat().map(([time]) => time);
    this.equity = parts.flat().map(([, value]) => value);
    this.drawdown = parts.flatMap((part) => drawdowns(part.map(([, value]) => value), this.cash));
    this.whole = [this.equityAt[0], this.equityAt.at(-1)];
    this.current = -1;
    this.bars = null;
    this.drawn = null; // the bars that the chart shows
    this.asked = 0;
    this.chart = new Chart(place, words, { traces: () => this.#traces(), layout: (range) => this.#layout(range),
      moved: debounced((range) => this.#moved(range), 150) });
    // Bars are mostly there before plotly is: then all of it was drawn at once.
    this.ready = Promise.all([this.chart.ready, this.#read(null)]).then(() => (this.drawn === this.bars ? null : this.chart.draw()));
  }

  /** Show trade `at` (from 0) and what was around it; returns the trade. */
  step(at) {
    this.current = at;
    const trade = this.trades[at];
    const range = around(trade, this.#barMs(), this.whole);
    this.chart.show(range);
    this.#moved(range);
    return trade;
  }

  /** Show the whole range again. */
  reset() {
    this.current = -1;
    this.bars = this.all;
    this.asked += 1;
    this.chart.show(null);
  }

  close() {
    this.closed = true;
    this.chart.close();
  }

  async #moved(range) {
    if (range && (this.all?.every ?? 1) > 1) await this.#read(range);
    else this.bars = this.all;
    this.chart.draw();
  }

  /** Bars of a time range, or of all of it: as fine as there is room for. */
  async #read(range) {
    const mine = ++this.asked;
    const query = new URLSearchParams({ points: POINTS });
    if (range) {
      query.set("from", new Date(Math.floor(range[0])).toISOString());
      query.set("to", new Date(Math.ceil(range[1])).toISOString());
    }
    try {
      const bars = await request("GET", `/backtests/jobs/${this.status.job_id}/bars?${query}`);
      if (mine !== this.asked || this.closed || !bars.times.length) return;
      this.bars = bars;
      if (!range) this.all = bars;
    } catch (error) {
      if (!this.closed) this.failed(error);
    }
  }

  #barMs() {
    const bars = this.all;
    return bars && bars.times.length > 1 ? (bars.times.at(-1) - bars.times[0]) / (bars.times.length - 1) / (bars.every || 1) : 60_000;
  }

  #traces() {
    this.drawn = this.bars;
    const at = times(this.equityAt);
    const found = [
      line("equity", color("equity"), { x: at, y: this.equity, hovertemplate: "%{y:,.2f}", line: { color: color("equity"), width: 2.2 } }),
      line("drawdown", color("loss"), { x: at, y: this.drawdown, yaxis: "y2", fill: "tozeroy", fillcolor: `${color("loss")}33`,
        hovertemplate: "%{y:.2f} %", showlegend: false }),
    ];
    if (this.all) {
      found.unshift(line("buy and hold", color("hold"), { x: times(this.all.times), hovertemplate: "%{y:,.2f}", y: this.#held() }));
    }
    if (this.bars) {
      const { times: at_, open, high, low, close } = this.bars;
      const side = (shade) => ({ line: { color: color(shade), width: 1 }, fillcolor: `${color(shade)}66` });
      found.push({ name: "price", type: "candlestick", x: times(at_), open, high, low, close, yaxis: "y3", showlegend: false,
        increasing: side("hold"), decreasing: side("edge"), hoverinfo: "x+y" });
    }
    return [...found, ...this.#marks()];
  }

  /** Buy and hold, which begins with the initial cash in each part. */
  #held() {
    const { times: at, close } = this.all, last = this.border === null ? at.length : at.findIndex((time) => time >= this.border);
    const after = last < 0 ? at.length : last;
    const made = (metrics) => metrics?.benchmark_return_pct ?? null;
    const first = held(close.slice(0, after), this.cash, made(this.row.metrics_json));
    return after === at.length ? first : [...first, ...held(close.slice(after), this.cash, made(this.row.test_metrics_json))];
  }

  #marks() {
    const trail = { yaxis: "y3", hoverinfo: "skip", showlegend: false };
    const size = this.trades.length > MANY ? 8 : 11;
    const longs = this.trades.filter((trade) => trade.long), shorts = this.trades.filter((trade) => !trade.long);
    const told = (trade) => [trade.direction, exitWords(trade.exit_reason), percent(trade.return_pct), number(trade.net_pnl, 2)];
    const entries = (name, symbol, shade, chosen) => ({ name, type: "scatter", mode: "markers", yaxis: "y3",
      x: times(chosen.map((trade) => trade.entered)), y: chosen.map((trade) => trade.entry_price), customdata: chosen.map(told),
      hovertemplate: "%{customdata[0]} entry %{y:,.6~g}<extra></extra>",
      marker: { symbol, size, color: color(shade), line: { color: color("panel"), width: 1 } } });
    return [
      line("won", color("gain"), { ...trail, ...paths(this.trades, true) }),
      line("lost", color("loss"), { ...trail, ...paths(this.trades, false) }),
      { name: "exit", type: "scatter", mode: "markers", yaxis: "y3", x: times(this.trades.map((trade) => trade.left)),
        y: this.trades.map((trade) => trade.exit_price), customdata: this.trades.map(told),
        hovertemplate: "%{customdata[0]} exit by %{customdata[1]} %{y:,.6~g}<br>%{customdata[2]}, %{customdata[3]}<extra></extra>",
        marker: { symbol: "x-thin", size: 0.8 * size, line: { color: color("ink"), width: 1.6 } } },
      entries("long entry", "triangle-up", "gain", longs), entries("short entry", "triangle-down", "loss", shorts),
    ];
  }

  #layout(range) {
    const [from, to] = range ?? this.whole;
    const fit = (at, values) => (range ? extent(at, values, from, to) : null);
    const fitted = (ends) => (ends ? { range: ends, autorange: false } : { autorange: true });
    const trade = this.trades[this.current];
    const shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: this.cash, y1: this.cash,
      line: { color: color("edge"), width: 1, dash: "dot" } }];
    if (this.border !== null) {
      shapes.push({ type: "line", xref: "x", x0: times([this.border])[0], x1: times([this.border])[0], yref: "paper", y0: 0, y1: 1,
        line: { color: color("soft"), width: 1.2, dash: "dash" }, label: { text: "test →", textposition: "end", textangle: 0, xanchor: "left",
          font: { color: color("soft"), size: 12 } } });
    }
    if (trade) {
      shapes.push({ type: "rect", xref: "x", x0: times([trade.entered])[0], x1: times([trade.left])[0], yref: "paper", y0: 0, y1: 1,
        layer: "below", line: { width: 0 }, fillcolor: `${color(trade.won ? "gain" : "loss")}22` });
    }
    return {
      shapes, uirevision: "kept", showlegend: window.innerWidth >= NARROW,
      xaxis: { anchor: "y3", type: "date", gridcolor: color("grid"), zeroline: false, range: times([from, to]), rangeslider: { visible: false } },
      yaxis: upright([0.68, 1], "Equity", fitted(fit(this.equityAt, this.equity))),
      yaxis2: upright([0.5, 0.64], "Drawdown %", range ? fitted(fit(this.equityAt, this.drawdown)) : { rangemode: "tozero" }),
      yaxis3: upright([0, 0.46], "Price", fitted(this.#priceRange(range))),
    };
  }

  #priceRange(range) {
    if (!range || !this.bars) return null;
    const low = extent(this.bars.times, this.bars.low, ...range), high = extent(this.bars.times, this.bars.high, ...range);
    return low && high && [low[0], high[1]];
  }
}
