// A request as a JSON document: reaching into it by path, and merge patches (RFC 7396).

/** "template.indicator_grids[0].params.window" -> ["template", "indicator_grids", 0, "params", "window"] */
function keys(path) {
  return path.split(/[.[\]]+/).filter((key) => key !== "").map((key) => (/^\d+$/.test(key) ? Number(key) : key));
}

export function valueAt(document_, path) {
  return keys(path).reduce((place, key) => (isObject(place) || Array.isArray(place) ? place[key] : undefined), document_);
}

/** Put a value at a path; undefined removes it, and objects that are empty then. */
export function setAt(document_, path, value) {
  const way = keys(path), last = way.at(-1);
  const chain = [document_];
  for (const key of way.slice(0, -1)) {
    const place = chain.at(-1);
    if (!isObject(place[key]) && !Array.isArray(place[key])) {
      if (value === undefined) return;
      place[key] = {};
    }
    chain.push(place[key]);
  }
  if (value !== undefined) {
    chain.at(-1)[last] = value;
    return;
  }
  delete chain.at(-1)[last];
  for (let at = chain.length - 1; at > 0; at -= 1) {
    if (!isObject(chain[at]) || Object.keys(chain[at]).length) break;
    delete chain[at - 1][way[at - 1]];
  }
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The document that a merge patch makes of another. */
export function patched(target, patch) {
  if (!isObject(patch)) return structuredClone(patch);
  const made = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete made[key];
    else made[key] = patched(made[key], value);
  }
  return made;
}

/** The merge patch that makes one document of another. */
export function patchOf(from, to) {
  const patch = {};
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [before, after] = [from[key], to[key]];
    if (after === undefined || after === null) {
      if (before !== undefined && before !== null) patch[key] = null;
    } else if (isObject(before) && isObject(after)) {
      const inner = patchOf(before, after);
      if (Object.keys(inner).length) patch[key] = inner;
    } else if (JSON.stringify(before) !== JSON.stringify(after)) {
      patch[key] = after;
    }
  }
  return patch;
}
