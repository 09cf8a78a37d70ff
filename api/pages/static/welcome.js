// What the list shows while there is no job: the way to the first one.

import { request } from "./api.js";
import { copyButton, el, toast } from "./dom.js";
import { example, VARIANTS } from "./example.js";
import { moment, number } from "./format.js";

const IMPORT = "backtest candles import BTCUSDT-1m-2024-01.csv --market-id 1 --symbol BTCUSDT";

/**
 * Fill `place`; `again()` is called when the list should be read anew.
 * What is found out later goes into a box of its own: by then `place` may show a list.
 */
export async function welcome(place, again) {
  const box = el("div", {}, el("p", { class: "card empty" }, "Looking for candles…"));
  place.replaceChildren(box);
  try {
    const { items } = await request("GET", "/backtests/instruments");
    box.replaceChildren(items.length ? firstSweep(items[0], items.length) : howToImport(again));
  } catch (error) {
    box.replaceChildren(el("div", { class: "welcome card" }, el("h2", {}, "No jobs yet"),
      el("p", { class: "notice bad" }, error.message),
      el("button", { type: "button", on: { click: again } }, "Look again")));
  }
}

function firstSweep(instrument, count) {
  const request_ = example(instrument);
  const { start, end } = request_.time_range;
  const run = el("button", { type: "button", class: "primary", on: { click: () => submit(run, request_) } },
    "Run the example sweep");
  return el("div", { class: "welcome card" },
    el("h2", {}, "No jobs yet"),
    el("p", {}, `There are candles of ${number(count)} ${count === 1 ? "instrument" : "instruments"}. The example tries `,
      el("b", {}, `${number(VARIANTS)} variants`), " of one idea: price above a moving average while RSI is strong, with and without a stop " +
      "and a target."),
    el("p", { class: "soft" }, el("b", {}, instrument.symbol),
      ` · ${request_.template.timeframe} · ${moment(start)} – ${moment(end)} UTC`),
    el("div", { class: "row" }, run, el("a", { class: "button", href: "/new?example" }, "Open it in the form"),
      el("a", { class: "button quiet", href: "/new" }, "Begin with an empty form")));
}

async function submit(button, request_) {
  button.disabled = true;
  try {
    const job = await request("POST", "/backtests/jobs", request_);
    location.assign(`/jobs/${job.job_id}`);
  } catch (error) {
    toast(error.details?.[0]?.message ? `${error.message}: ${error.details[0].message}` : error.message, "bad");
    button.disabled = false;
  }
}

function howToImport(again) {
  return el("div", { class: "welcome card" },
    el("h2", {}, "No jobs yet, and no candles"),
    el("p", {}, "A sweep needs 1-minute candles. Three steps:"),
    el("ol", {},
      el("li", {}, "Get a file of 1-minute candles: .csv, .csv.gz or .parquet, for example a month of klines from ",
        el("span", { class: "wrap" }, "data.binance.vision"), "."),
      el("li", {}, "Import it, in the folder of this product:",
        el("pre", { tabIndex: 0 }, IMPORT), copyButton("Copy the command", () => IMPORT)),
      el("li", {}, "Come back: ", el("button", { type: "button", class: "small primary", on: { click: again } },
        "Look again"))));
}
