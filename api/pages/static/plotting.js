// Plotly, loaded when a chart is wanted, and what all its charts have in common.

import { color, onTheme } from "./theme.js";

const OPTIONS = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: "reset" };

let loading = null;

/** Load plotly's own script once; its address stands on the page. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector("[data-plotly]").dataset.plotly;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("The charts could not be loaded. Is the API still running?"));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * Draw a chart in an element: `traces()` and `layout()` give it in the colours of the theme, and are
 * asked again when that changes. `moved(range)` is told of a new time range [ms, ms], null for all.
 */
export class Chart {
  constructor(place, words, { traces, layout, moved = () => {} }) {
    Object.assign(this, { place, traces, layout });
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", words);
    this.range = null;
    this.endTheme = onTheme(() => this.draw());
    this.ready = loadPlotly().then(async (plotly) => {
      if (this.closed) return;
      this.plotly = plotly;
      await this.draw();
      place.on("plotly_relayout", (change) => {
        const ends = [change["xaxis.range[0]"] ?? change["xaxis.range"]?.[0], change["xaxis.range[1]"] ?? change["xaxis.range"]?.[1]];
        if (ends[0] !== undefined) this.range = ends.map(milliseconds);
        else if (change["xaxis.autorange"]) this.range = null;
        else return;
        moved(this.range);
      });
    });
  }

  /** Draw it as it is now. */
  draw() {
    if (!this.plotly || this.closed) return null;
    return this.plotly.react(this.place, this.traces(), { ...common(), ...this.layout(this.range) }, OPTIONS);
  }

  /** Show a time range [ms, ms], or all of it (null); the vertical axes fit themselves. */
  show(range) {
    this.range = range;
    return this.draw();
  }

  close() {
    this.closed = true;
    this.endTheme();
    this.plotly?.purge(this.place);
  }
}

/** Times of plotly's axes are UTC without saying so. */
function milliseconds(text) {
  return typeof text === "number" ? text : Date.parse(`${String(text).replace(" ", "T").replace(/Z$/, "")}${String(text).length > 10 ? "Z" : ""}`);
}

/** A text in which plotly finds no markup. */
export function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Times as plotly reads them. */
export function times(values) {
  return values.map((ms) => new Date(ms).toISOString());
}

export function line(name, shade, more) {
  return { name, type: "scatter", mode: "lines", line: { color: shade, width: 1.6 }, ...more };
}

/** A vertical axis over a part of the height. */
export function upright(domain, title, more = {}) {
  return { domain, title: { text: title, font: { size: 12 }, standoff: 6 }, gridcolor: color("grid"),
    zerolinecolor: color("line"), automargin: true, ...more };
}

function common() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: "zoom", hovermode: "x",
    font: { color: color("soft"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    margin: { l: 8, r: 8, t: 8, b: 40 },
    hoverlabel: { bgcolor: color("panel"), bordercolor: color("edge"), font: { color: color("ink") } },
    legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
  };
}
