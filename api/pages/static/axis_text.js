// Axes as people type them: "10..200 step 5", "5, 10, 20", "off, 2, 4", one value.

const RANGE = /^(-?[\d.]+)\s*(?:\.\.|…|to)\s*(-?[\d.]+)(?:\s*(?:step|by|:)?\s*([\d.]+))?$/i;
const OFF = /^(off|null|none)$/i;

/**
 * Read an axis. Returns undefined for an empty text (the default applies), otherwise the axis of
 * the request; a text that is none is returned as it is, so that the API says what is wrong.
 */
export function parseAxis(text) {
  const clean = text.trim().replace(/^\[(.*)\]$/, "$1").trim();
  if (clean === "") return undefined;
  const range = RANGE.exec(clean);
  if (range && [range[1], range[2], range[3] ?? "1"].every(isNumber)) {
    return { mode: "range", start: Number(range[1]), stop_incl: Number(range[2]), step: Number(range[3] ?? "1") };
  }
  const parts = clean.split(/\s*[,;]\s*|\s+/).filter((part) => part !== "");
  const values = parts.map(value);
  return values.length === 1 ? values[0] : values;
}

function value(text) {
  if (OFF.test(text)) return null;
  return isNumber(text) ? Number(text) : text.replace(/^["'](.*)["']$/, "$1");
}

function isNumber(text) {
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

/** Write an axis as one types it. */
export function axisText(axis) {
  if (axis === undefined) return "";
  if (axis === null) return "off";
  if (Array.isArray(axis)) return axis.map(valueText).join(", ");
  if (typeof axis !== "object") return valueText(axis);
  if (axis.mode === "range") {
    return `${axis.start}..${axis.stop_incl}${axis.step === 1 ? "" : ` step ${axis.step}`}`;
  }
  return Array.isArray(axis.values) ? axis.values.map(valueText).join(", ") : JSON.stringify(axis);
}

function valueText(item) {
  return item === null ? "off" : String(item);
}

/** How many values an axis has, by the arithmetic of decimals; null where it is no axis. */
export function axisCount(axis) {
  if (axis === undefined || typeof axis === "string") return null; // a text is none
  if (axis === null || typeof axis !== "object") return 1;
  if (Array.isArray(axis)) return axis.length;
  if (axis.mode === "explicit") return Array.isArray(axis.values) ? axis.values.length : null;
  const { start, stop_incl: stop, step } = axis;
  if (![start, stop, step].every((number) => typeof number === "number") || step <= 0) return null;
  const scale = 10 ** Math.max(...[start, stop, step].map(decimals));
  const [first, last, by] = [start, stop, step].map((number) => Math.round(number * scale));
  return last < first ? 0 : Math.floor((last - first) / by) + 1;
}

function decimals(number) {
  const [mantissa, exponent = "0"] = String(number).toLowerCase().split("e");
  return Math.max(0, (mantissa.split(".")[1] ?? "").length - Number(exponent));
}
