// The top table: sorted, filtered, walked through by keys, and kept still while a job runs.

import { parted, phrases } from "./axes.js";
import { choices, chosenColumns, columnsOf, ordered, rememberColumns } from "./columns.js";
import { el } from "./dom.js";
import { number } from "./format.js";
import { rankingText } from "./asked.js";
import { metricWordsWithUnit } from "./measures.js";

const MOST_COMPARED = 5;

export class TopTable {
  /** `place` is where the table stands, `tools` where its buttons do; `link(row)` is a row's address. */
  constructor(place, tools, { axes, ranking, link, onOpen, onCompare, onColumns }) {
    Object.assign(this, { place, tools, axes, ranking, link, onOpen, onCompare, onColumns });
    this.rows = [];
    this.shown = [];
    this.passes = null;
    this.sort = { key: "rank", reversed: false };
    this.selected = new Set();
    this.lines = new Map(); // variant key -> its table row
    this.head = el("thead");
    this.body = el("tbody");
    this.shared = el("p", { class: "shared small" });
    this.said = el("p", { class: "soft small", role: "status" });
    this.chooser = el("details", { class: "chooser" });
    this.compare = el("button", { type: "button", class: "small", hidden: true, on: { click: () => onCompare(this.#chosen()) } });
    tools.append(this.compare, this.chooser);
    const table = el("table", { class: "top-rows" }, el("caption", { class: "visually-hidden" }, "The best variants"),
      this.head, this.body);
    this.scroller = el("div", { class: "scroll tall", tabIndex: 0, role: "region", "aria-label": "Table of the best variants" }, table);
    place.replaceChildren(this.shared, this.said, this.scroller);
    this.body.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Show other rows; `ended`: they will not change any more, so what all share leaves the table. */
  update(rows, ended) {
    this.rows = rows;
    const { shared, apart } = parted(this.axes, rows, ended && rows.length > 1);
    this.parameters = apart;
    this.shared.hidden = !shared.length || !rows.length;
    if (rows.length) {
      this.shared.replaceChildren(el("b", {}, "all: "), phrases(shared, rows[0].payload_json).join(" · "));
    }
    this.#choose();
    this.#layOut();
  }

  /** Show only rows that pass; null shows all of them. */
  filter(passes) {
    this.passes = passes;
    this.#fill();
  }

  /** Move the focus to the next row (1) or the one before (-1). */
  move(by) {
    const at = this.shown.findIndex((row) => this.lines.get(row.variant_key)?.contains(document.activeElement));
    const next = this.shown[Math.min(Math.max(at + by, 0), this.shown.length - 1)];
    if (next) this.focus(next.variant_key);
  }

  focus(key) {
    this.lines.get(key)?.querySelector("a").focus();
  }

  /** The row that is shown after the one of `key` (1), or before it (-1); undefined at the ends. */
  neighbour(key, by) {
    const at = this.shown.findIndex((row) => row.variant_key === key);
    return at < 0 ? undefined : this.shown[at + by];
  }

  #layOut() {
    const tested = this.rows.some((row) => row.test_metrics_json);
    this.columns = columnsOf(this.ranking, chosenColumns(), this.parameters, tested);
    if (!this.columns.some((column) => column.key === this.sort.key)) this.sort = { key: "rank", reversed: false };
    const heads = this.columns.map((column) => el("th", { scope: "col", class: column.kind, "aria-sort": "none" },
      el("button", { type: "button", class: "sorter", title: column.title, dataset: { key: column.key },
        on: { click: () => this.#sortBy(column.key) } },
      el("span", {}, ...column.heading.flatMap((line, at) => (at ? [el("br"), line] : [line]))))));
    const focused = document.activeElement?.dataset?.key;
    this.head.replaceChildren(el("tr", {}, el("td", { class: "pick" }), heads));
    if (focused) this.head.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#fill();
  }

  #sortBy(key) {
    const reversed = this.sort.key === key && !this.sort.reversed;
    this.sort = { key, reversed };
    this.#fill();
  }

  #fill() {
    const { key, reversed } = this.sort;
    const column = this.columns.find((each) => each.key === key);
    for (const [at, cell] of [...this.head.querySelectorAll("th")].entries()) {
      const own = this.columns[at].key === key;
      const falling = reversed !== column.falls;
      cell.setAttribute("aria-sort", !own ? "none" : falling ? "descending" : "ascending");
    }
    this.shown = ordered(this.passes ? this.rows.filter(this.passes) : this.rows, column, reversed);
    const focus = document.activeElement, kept = new Map();
    const lines = this.shown.map((row) => {
      const line = this.#line(row);
      kept.set(row.variant_key, line);
      return line;
    });
    this.lines = kept;
    if (lines.length !== this.body.children.length || lines.some((line, at) => line !== this.body.children[at])) {
      const { scrollTop, scrollLeft } = this.scroller;
      this.body.replaceChildren(...lines);
      Object.assign(this.scroller, { scrollTop, scrollLeft });
      if (focus !== document.activeElement && focus?.isConnected) focus.focus({ preventScroll: true });
    }
    const all = this.rows.length;
    this.said.textContent = `Ranked ${rankingText(this.ranking)}. ` +
      (this.shown.length < all ? `${number(this.shown.length)} of ${number(all)} rows pass the filter.` : `${number(all)} rows.`);
  }

  /** The table row of a variant: the same element as long as it is listed, so that focus stays. */
  #line(row) {
    const line = this.lines.get(row.variant_key) ?? el("tr", { dataset: { variant: row.variant_key } });
    const texts = this.columns.map((column) => column.text(row));
    const written = `${this.columns.map((column) => column.key).join()}\n${texts.join("\n")}`;
    if (line.written !== written) {
      const picked = el("input", { type: "checkbox", checked: this.selected.has(row.variant_key),
        "aria-label": `compare the variant of rank ${row.rank}`, on: { change: (event) => this.#pick(row, event.target) } });
      const cells = this.columns.map((column, at) => (column.kind === "rank"
        ? el("th", { scope: "row", class: "rank" }, el("a", { href: this.link(row), "aria-label": `Open the variant of rank ${row.rank}` }, texts[at]))
        : el("td", { class: column.kind }, texts[at])));
      const held = line.contains(document.activeElement) && document.activeElement.tagName === "A";
      line.replaceChildren(el("td", { class: "pick" }, picked), ...cells);
      if (held) line.querySelector("a").focus({ preventScroll: true });
      line.written = written;
    }
    return line;
  }

  #clicked(event) {
    if (event.target.closest("input") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest(".pick")) return void event.target.querySelector("input")?.click();
    const line = event.target.closest("tr");
    if (!line || getSelection().toString()) return;
    event.preventDefault();
    this.onOpen(this.rows.find((row) => row.variant_key === line.dataset.variant));
  }

  #pick(row, box) {
    if (box.checked && this.selected.size === MOST_COMPARED) {
      box.checked = false;
      return;
    }
    if (box.checked) this.selected.add(row.variant_key);
    else this.selected.delete(row.variant_key);
    this.compare.hidden = this.selected.size < 2;
    this.compare.textContent = `Compare ${this.selected.size} variants`;
  }

  #chosen() {
    return this.rows.filter((row) => this.selected.has(row.variant_key));
  }

  #choose() {
    const offered = choices(this.rows, this.ranking);
    this.chooser.hidden = !offered.length;
    if (this.chooser.offered === offered.map((each) => each.name).join()) return;
    this.chooser.offered = offered.map((each) => each.name).join();
    const chosen = new Set(chosenColumns());
    this.chooser.replaceChildren(el("summary", { class: "button small" }, "Columns"), el("fieldset", { class: "card" },
      el("legend", { class: "visually-hidden" }, "Columns of the table"), offered.map((each) => el("label", { class: "check" },
        el("input", { type: "checkbox", checked: chosen.has(each.name), on: { change: (event) => {
          if (event.target.checked) chosen.add(each.name);
          else chosen.delete(each.name);
          rememberColumns([...chosen]);
          this.#layOut();
          this.onColumns?.();
        } } }), metricWordsWithUnit(each.name)))));
  }
}
