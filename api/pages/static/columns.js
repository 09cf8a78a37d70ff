// The columns of the top table: which there are, which are chosen, and the order that each gives.

import { compareValues, valueText } from "./axes.js";
import { number } from "./format.js";
import { MEASURES, ascending, figure, figureText, measure, metricWordsWithUnit, testFigure } from "./measures.js";

const KEY = "backtest.columns";
const USUAL = ["total_return_pct", "max_drawdown_pct", "num_trades", "win_rate_pct", "profit_factor", "sharpe"];

/** The chosen figures, as they were left the last time. */
export function chosenColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (Array.isArray(kept)) return kept.filter((name) => typeof name === "string");
  } catch { /* what is kept there is not ours, or nothing may be kept */ }
  return USUAL;
}

export function rememberColumns(names) {
  try {
    localStorage.setItem(KEY, JSON.stringify(names));
  } catch { /* the choice holds for this page only */ }
}

/** All figures that can be chosen: those of the product that some row has. */
export function choices(rows, ranking) {
  const always = rankingNames(ranking);
  return MEASURES.filter((each) => !always.includes(each.name) && rows.some((row) => figure(row, each.name) !== null));
}

/** The metrics that variants are ranked by; they are always shown. */
export function rankingNames(ranking) {
  return [...new Set([ranking.primary_metric, ranking.secondary_metric].filter(Boolean))];
}

/**
 * The columns for a request, the chosen figures and the parameters that tell rows apart. Each: `key`,
 * `heading` (lines), `title`, `kind`, `text(row)`, `order(a, b)` best or smallest first, `falls`: this is
 * from the largest down, `missing(row)`. `tested`: rows have figures of bars that they were not chosen on.
 */
export function columnsOf(ranking, chosen, parameters, tested = false) {
  const first = rankingNames(ranking);
  const names = [...first, ...MEASURES.map((each) => each.name).filter((name) => chosen.includes(name) && !first.includes(name))];
  return [
    { key: "rank", heading: ["#"], title: "rank", kind: "rank", falls: false, text: (row) => String(row.rank),
      order: (a, b) => a.rank - b.rank, missing: () => false },
    figureColumn(names[0], 0), ...(tested ? testNames(ranking).map(testColumn) : []),
    ...names.slice(1).map((name) => figureColumn(name, first.indexOf(name))),
    ...(ranking.distinct ? [{ key: "twins", heading: ["twins"], title: "how many variants share this outcome", kind: "twins",
      falls: true, text: (row) => number(row.twins), order: (a, b) => b.twins - a.twins, missing: () => false }] : []),
    ...parameters.map((axis) => ({ key: axis.key, heading: axis.heading, title: `${axis.block} ${axis.label}`, kind: "parameter",
      falls: false, text: (row) => valueText(axis.of(row.payload_json)),
      order: (a, b) => compareValues(axis.of(a.payload_json), axis.of(b.payload_json)), missing: () => false })),
  ];
}

function figureColumn(name, place) {
  const { column } = measure(name), words = metricWordsWithUnit(name), sign = ascending(name) ? 1 : -1;
  const mark = [ascending(name) ? "▲" : "▼", ascending(name) ? "△" : "▽"][place] ?? "";
  return {
    key: name, kind: place === 0 ? "ranked" : "figure", falls: !ascending(name),
    heading: mark ? [...column.slice(0, -1), `${column.at(-1)} ${mark}`] : column,
    title: place === 0 ? `${words}: variants are ranked by it` : place === 1 ? `${words}: decides between equals` : words,
    text: (row) => figureText(name, figure(row, name)),
    order: (a, b) => sign * compareFigures(figure(a, name), figure(b, name)),
    missing: (row) => figure(row, name) === null,
  };
}

/** What is shown of the test: the metric that variants are ranked by, and their return. */
function testNames(ranking) {
  return [...new Set([ranking.primary_metric, "total_return_pct"])];
}

function testColumn(name) {
  const column = figureColumn(name, -1), sign = ascending(name) ? 1 : -1;
  return {
    ...column, key: `test.${name}`, heading: ["test", column.heading.join(" ")],
    title: `${metricWordsWithUnit(name)} on the bars that variants were not chosen on`,
    text: (row) => figureText(name, testFigure(row, name)),
    order: (a, b) => sign * compareFigures(testFigure(a, name), testFigure(b, name)),
    missing: (row) => testFigure(row, name) === null,
  };
}

function compareFigures(a, b) {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Rows in the order of a column, `reversed` or not; rows without a figure come last either way. */
export function ordered(rows, column, reversed) {
  const sign = reversed ? -1 : 1;
  return [...rows].sort((a, b) => {
    const missing = column.missing(a) - column.missing(b);
    return missing || sign * column.order(a, b) || a.rank - b.rank;
  });
}
