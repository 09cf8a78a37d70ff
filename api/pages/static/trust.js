// How far the winner of a search can be believed: what was asked of the search, in pictures and words.

import { el } from "./dom.js";
import { number, percent } from "./format.js";
import { figure, figureWithUnit, metricWords, neutral, testFigure } from "./measures.js";
import { nullDraws } from "./null_draws.js";
import { scatter } from "./scatter.js";
import { pairsOfHalves, ranksAfterwards } from "./splits.js";
import { fitted } from "./svg.js";
import { deflatedWords, lucky, neighboursWords, overfittingWords, searchWords, shareText, testWords, walkForwardWords } from "./trust_words.js";
import { foldsTable, walkForward, walkForwardLegend } from "./walk_forward.js";

/**
 * Everything there is of a search with `figures` and `pictures`, as elements; `rows` are its best
 * variants, ranked by `primary`, and `axes` those of its request. `onRow(row)` opens one of the rows,
 * `onBase(index)` any variant of the grid; null where none can be. `more` are other elements without a picture.
 */
export function proofs({ figures, pictures, rows, primary, axes, onRow = null, onBase = null, more = [] }) {
  return [ofSearch(figures.search, pictures.search), ofOverfitting(figures.overfitting, pictures.overfitting),
    ofTest(rows, primary, onRow), ofWalkForward(figures.walk_forward, pictures.walk_forward, axes, onBase),
    besides([ofNeighbours(figures.neighbours), ofDeflated(figures.deflated_sharpe), ...more].filter(Boolean))].filter(Boolean);
}

/** What is missing, since not all variants had room; null where nothing is. */
export function sampled({ stride }) {
  return stride > 1 ? `Of all variants one in ${number(stride)} is counted here: more had no room in memory.` : null;
}

function ofSearch(found, drawn) {
  if (!found) return null;
  const title = "The same search in data without an edge";
  if (found.unknown) return unknown(title, found);
  return proof(title, { key: `p = ${shareText(found.p)}`, tone: lucky(found) ? "loss" : "gain", label: "how often luck finds as much",
    words: searchWords(found), drawings: drawn ? [nullDraws(found, drawn)] : [] });
}

function ofOverfitting(found, drawn) {
  if (!found) return null;
  const title = "Winners of one half on the other half";
  if (found.unknown) return unknown(title, found);
  const drawings = drawn?.pairs_pct ? [pairsOfHalves(drawn.pairs_pct), ranksAfterwards(drawn.logits)] : [];
  return proof(title, { key: `PBO ${shareText(found.pbo)}`, tone: found.pbo >= 0.5 ? "loss" : "", label: "probability of backtest overfitting",
    words: overfittingWords(found), drawings, captions: ["each point is a split", "share of variants that the winner beat on the other half"] });
}

function ofTest(rows, primary, onRow) {
  const tested = rows.filter((row) => row.test_metrics_json);
  if (!tested.length) return null;
  const name = metricWords(primary), made = tested.map((row) => [figure(row, "total_return_pct"), testFigure(row, "total_return_pct")]);
  const points = tested.map((row) => ({ row, x: figure(row, primary), y: testFigure(row, primary) }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)).reverse() // the best is drawn last
    .map(({ row, x, y }) => ({ row, x, y, best: row.rank === 1, class: `${y < (neutral(primary) ?? -Infinity) ? "loss" : ""}${onRow ? " opens" : ""}`,
      told: `rank ${row.rank}: ${figureWithUnit(primary, x)} in training, ${figureWithUnit(primary, y)} in the test` }));
  const missing = tested.length - points.length;
  const [words] = testWords(made);
  const unit = primary.endsWith("_pct") ? " %" : "";
  const draw = points.length && ((width) => scatter(width, points, { from: `${name} in training`, to: `${name} in the test`, neutral: neutral(primary),
    text: (value) => `${number(value, 4)}${unit}`, words: `${name} of ${number(points.length)} variants in training and in the test. ${words}` }));
  const best = tested.find((row) => row.rank === 1), shown = best && testFigure(best, "total_return_pct");
  const element = proof("The best variants in training and in the test", { key: best ? percent(shown, 2, true) : null,
    tone: shown === null || shown === undefined ? "" : shown < 0 ? "loss" : "gain", label: "of the winner, where it was not chosen",
    words: [words, missing ? `${number(missing)} without a finite ${name} in both are not drawn.` : null], drawings: [draw],
    captions: [`ringed: the winner; dashed: as much in both${onRow ? "; a click opens a variant" : ""}`] });
  if (onRow) {
    element.addEventListener("click", (event) => {
      const at = event.target.closest?.("[data-at]")?.dataset.at;
      if (at !== undefined) onRow(points[Number(at)].row);
    });
  }
  return element;
}

function ofWalkForward(found, drawn, axes, onBase) {
  if (!found) return null;
  const title = "Walk-forward: chosen anew by what was known";
  if (found.unknown) return unknown(title, found);
  const there = drawn?.times && drawn.folds.length > 0;
  const element = proof(title, { key: percent(found.return_pct, 2, true), tone: found.return_pct < 0 ? "loss" : "gain", label: "in the tests, one after the other",
    words: walkForwardWords(found), drawings: there ? [walkForward(drawn)] : [] });
  if (there) {
    element.querySelector(".drawings").before(walkForwardLegend(drawn));
    element.append(foldsTable(drawn, axes, onBase));
  }
  return element;
}

function ofNeighbours(found) {
  if (!found) return null;
  if (found.unknown) return unknown("Neighbours of the winner", found);
  const { median_return: median } = found, known = median !== null && median !== undefined;
  return proof("Neighbours of the winner", { key: known ? percent(median, 2, true) : null, tone: known && median < 0 ? "loss" : "", label: "median return",
    words: neighboursWords(found) });
}

function ofDeflated(found) {
  if (!found) return null;
  if (found.unknown) return unknown("Deflated Sharpe ratio", found);
  return proof("Deflated Sharpe ratio", { key: shareText(found.probability), tone: "", label: "probability of more than luck", words: deflatedWords(found) });
}

/** What has no picture stands together. */
function besides(found) {
  return found.length ? el("div", { class: "besides" }, found) : null;
}

function unknown(title, { unknown: why }) {
  return proof(title, { words: [why, null] });
}

/** One question with its key figure, pictures and sentences; `drawings` are functions of a width. */
function proof(title, { key = null, tone = "", label = "", words: [said, more], drawings = [], captions = [] }) {
  const pictures = drawings.map((draw, at) => [draw, captions[at]]).filter(([draw]) => draw).map(([draw, caption]) => {
    const drawing = el("div", { class: "drawing" });
    fitted(drawing, (width) => drawing.replaceChildren(draw(width)));
    return el("div", {}, drawing, caption ? el("p", { class: "soft" }, caption) : null);
  });
  return el("article", { class: pictures.length > 1 ? "proof wide" : "proof" }, el("h3", {}, title),
    key === null ? null : el("p", { class: "key" }, el("b", { class: tone }, key), label), el("div", { class: "drawings" }, pictures), el("p", { class: "said" }, said), more ? el("p", { class: "soft" }, more) : null);
}
