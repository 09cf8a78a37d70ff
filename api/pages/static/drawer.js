// The drawer: one variant with its report, over the right side of the page.

import { request } from "./api.js";
import { axesOf, blocksOf } from "./axes.js";
import { copyButton, el } from "./dom.js";
import { number } from "./format.js";
import { reportOf, submitted, variantAt } from "./one_variant.js";
import { Report } from "./report.js";
import { saveButton } from "./save_strategy.js";

export class Drawer {
  /** `onClose()`, `onNext(by)` are told what its buttons want, `onComputed(jobId)` which job shows the report. */
  constructor(dialog, { onClose, onNext, onComputed }) {
    Object.assign(this, { dialog, onNext, onComputed });
    this.title = el("h2", { id: "drawer-title", tabIndex: -1 });
    this.body = el("div", { class: "stack" });
    this.tools = el("div", { class: "row" });
    this.walk = el("div", { class: "row walk" },
      el("button", { type: "button", class: "small", title: "key k", "aria-label": "variant before", on: { click: () => onNext(-1) } }, "↑"),
      el("button", { type: "button", class: "small", title: "key j", "aria-label": "next variant", on: { click: () => onNext(1) } }, "↓"));
    dialog.replaceChildren(el("div", { class: "drawer-head" }, this.title, this.walk,
      el("button", { type: "button", class: "small close", title: "key Esc", "aria-label": "close", on: { click: onClose } }, "✕")), this.tools, this.body);
  }

  get open() {
    return this.dialog.open;
  }

  close() {
    this.#forget();
    this.dialog.close();
    document.body.classList.remove("drawn");
    this.shown = null;
  }

  /** Show a stored variant of the job of `status`; `computed` is the job that computed its report. */
  async showStored(status, key, computed) {
    const { signal } = this.#begin(`variant:${key}`, "Variant", true);
    try {
      const row = await request("GET", `/backtests/jobs/${status.job_id}/variants/${key}`, undefined, { signal });
      this.title.textContent = `Rank ${number(row.rank)}`;
      if (row.twins > 1) this.title.append(el("span", { class: "soft twins" }, ` ${number(row.twins)} variants share this outcome`));
      if (computed) await this.#follow(computed, signal);
      else this.#report(status, row, row.trades && row.equity ? null : this.#compute(status, row));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Show any variant of the grid by its index; `base`: one that goes without stops and targets. */
  async showIndex(status, index, computed, base = false) {
    const title = base ? `Variant ${number(index)} without stops and targets` : `Variant ${number(index)} of the grid`;
    const { signal } = this.#begin(`${base ? "base" : "index"}:${index}`, title, false);
    try {
      await this.#follow(computed, signal);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Step through trades, where there are some. */
  step(by) {
    this.report?.trades?.step(by);
  }

  #begin(shown, title, walks) {
    this.#forget();
    this.shown = shown;
    this.aborter = new AbortController();
    this.title.textContent = title;
    this.walk.hidden = !walks;
    this.tools.replaceChildren();
    this.body.replaceChildren(el("p", { class: "soft" }, "Reading the variant …"));
    if (!this.dialog.open) {
      this.dialog.show();
      document.body.classList.add("drawn");
    }
    this.dialog.scrollTop = 0;
    this.title.focus({ preventScroll: true });
    return this.aborter;
  }

  #forget() {
    this.aborter?.abort();
    this.report?.close();
    this.report = null;
  }

  #failed(error) {
    if (error.name !== "AbortError") this.body.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message));
  }

  #report(status, row, missing) {
    this.report = new Report(status, row, axesOf(status.request));
    const { symbol } = status.request.template.instrument_id;
    this.tools.replaceChildren(
      copyButton("Copy as JSON", () => JSON.stringify(row, null, 2), "The variant is copied as JSON"),
      saveButton(() => ({ job_id: status.job_id, variant_key: row.variant_key }),
        () => `${symbol} ${status.request.template.timeframe} ${[...blocksOf(row.payload_json).keys()].join(" + ")} ${row.variant_key.slice(0, 6)}`.slice(0, 120)));
    this.body.replaceChildren(...(missing ? [missing] : []), this.report.element);
  }

  /** What stands in the place of charts that are not stored: why, and what to do. */
  #compute(status, row) {
    if (status.state !== "succeeded") return el("p", { class: "notice" }, "Report, trades and charts come when the job has succeeded.");
    const { top_trades_n: kept, result_bytes_max: most } = status.request;
    const why = row.trades_omitted ? `Its trades had no room in the result (${number(most / 2 ** 20)} MiB).`
      : `Trades and charts are kept of the best ${number(kept)} variants.`;
    const button = el("button", { type: "button", class: "small primary" }, "Open as one-variant job");
    const said = el("p", { role: "status" }, why);
    button.addEventListener("click", async () => {
      button.disabled = true;
      const { signal } = this.aborter;
      try {
        const job = await submitted(await variantAt(status.job_id, row.variant_index));
        if (signal.aborted) return;
        this.onComputed(job.job_id);
        await this.#follow(job.job_id, signal, said);
      } catch (error) {
        if (error.name === "AbortError") return;
        said.textContent = error.message;
        button.disabled = false;
      }
    });
    return el("div", { class: "notice spread" }, said, button);
  }

  /** Wait for the job that computes the report, and show it in place. */
  async #follow(jobId, signal, said = null) {
    const line = said ?? el("p", { role: "status" });
    if (!said) this.body.replaceChildren(line);
    const { status, row } = await reportOf(jobId, (words) => { line.textContent = `Computing this variant: ${words}`; }, signal);
    if (signal.aborted) return;
    const link = el("a", { href: `/jobs/${status.job_id}` }, "a job of its own");
    this.report?.close();
    this.#report(status, row, el("p", { class: "soft small" }, "Computed as ", link, ", on the candles of today and with the costs of this job."));
  }
}
