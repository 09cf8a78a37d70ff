// The only way from a page to the API.

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message.charAt(0).toUpperCase() + error.message.slice(1));
    this.name = "ApiError";
    this.status = status;
    this.code = error.code;
    /** [{path, code, message, hint}] */
    this.details = error.details ?? [];
  }
}

/**
 * Call the API; resolves to the answer's JSON (null where there is none), rejects with ApiError.
 * `headers` are added; `signal` aborts. Without a session the sign-in page follows.
 */
export async function request(method, path, body, { headers = {}, signal } = {}) {
  const answer = await send(method, path, body, headers, signal);
  if (answer.status === 401 && path !== "/session") return askForSignIn();
  return read(answer);
}

async function send(method, path, body, headers, signal) {
  const sent = { Accept: "application/json", "Backtest-Client": "page", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  try {
    return await fetch(path, { method, headers: sent, body: text, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "unreachable", message: "The API does not answer. Is `backtest up` running?" });
  }
}

async function read(answer) {
  const text = await answer.text();
  let document_ = null;
  try {
    document_ = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(answer.status, { code: "no_json", message: `The answer (${answer.status}) is no JSON.` });
  }
  if (answer.ok) return document_;
  throw new ApiError(answer.status, document_?.error ??
    { code: "unexpected_error", message: `The API answered ${answer.status}.` });
}

/** In dev, on this machine, the sign-in page needs no token and leads back at once. */
function askForSignIn() {
  const here = location.pathname + location.search + location.hash;
  location.assign(`/signin?next=${encodeURIComponent(here)}`);
  return new Promise(() => {}); // the page is being left
}

/**
 * Listen to server-sent events. `handlers` maps event names to functions of the parsed data (and
 * the event); `lost()` and `found()` tell when the connection breaks and comes back, `refused(status)`
 * when the API will not serve it.
 * The stream is closed while the page is hidden and opened anew afterwards, so a handler must bear
 * to be told a thing again. The event `end` closes it for good. Returns a function that closes it.
 */
export function stream(url, handlers) {
  let source = null, timer = 0, wait = 1000, closed = false, broken = false;

  function open() {
    if (closed || source || document.hidden) return;
    source = new EventSource(url);
    source.onopen = () => {
      wait = 1000;
      if (broken) handlers.found?.();
      broken = false;
    };
    source.onerror = () => {
      if (!broken) handlers.lost?.();
      broken = true;
      if (source.readyState === EventSource.CLOSED) again();
    };
    for (const [name, run] of Object.entries(handlers)) {
      if (["lost", "found", "refused"].includes(name)) continue;
      source.addEventListener(name, (event) => run(JSON.parse(event.data), event));
    }
    source.addEventListener("end", stop);
  }

  function pause() {
    source?.close();
    source = null;
    clearTimeout(timer);
  }

  async function again() {
    pause();
    const status = await refusal(url);
    if (closed) return;
    if (status === 401) return void askForSignIn();
    if (status >= 400 && status < 500 && status !== 429) {
      stop();
      handlers.refused?.(status);
      return;
    }
    timer = setTimeout(open, wait);
    wait = Math.min(2 * wait, 30_000);
  }

  function seen() {
    if (document.hidden) pause();
    else open();
  }

  function stop() {
    closed = true;
    pause();
    document.removeEventListener("visibilitychange", seen);
  }

  document.addEventListener("visibilitychange", seen);
  open();
  return stop;
}

/** Why a stream cannot be had: EventSource does not tell. */
async function refusal(url) {
  const limit = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: limit.signal });
    return answer.status;
  } catch {
    return 0;
  } finally {
    limit.abort();
  }
}
