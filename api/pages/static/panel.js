// Beside the form: what the request comes to, what is wrong with it, and the button that runs it.

import { request } from "./api.js";
import { copyButton, debounced, el, find, toast } from "./dom.js";
import { bytes, duration, number } from "./format.js";
import { showProblems } from "./problems.js";

/**
 * Make the panel work. `body()` is what is to be sent, `done()` is called once it was accepted, and `answered(estimate)`
 * after each estimate that is shown.
 */
export function panel(form, body, done, answered) {
  const size = find("#size"), problems = find("#problems"), button = find("#submit"), state = find("#state");
  let asked = 0, limit = null, key = null;

  const estimate = debounced(async (wanted, mine) => {
    limit?.abort();
    limit = new AbortController();
    try {
      const answer = await request("POST", "/backtests/estimate", wanted, { signal: limit.signal });
      if (mine === asked) show(answer);
    } catch (error) {
      if (mine !== asked || error.name === "AbortError") return;
      size.replaceChildren(el("p", { class: "soft" }, "Not yet a request that can run."));
      refuse(error.status === 422 ? heading(error.details.length) : error.message, error.details);
    }
  }, 250);

  function ask(wanted) {
    key = null;
    asked += 1;
    button.disabled = true;
    state.textContent = "checking…";
    estimate(wanted, asked);
  }

  function show(answer) {
    size.replaceChildren(...sizes(answer));
    const refused = !answer.accepted;
    showProblems(form, problems, refused ? heading(answer.errors.length) : "", answer.errors, answer.warnings);
    if (answer.same_as) {
      problems.append(el("p", { class: "notice good" }, "Exactly this has been computed: ",
        el("a", { href: `/jobs/${answer.same_as}` }, "open that job")));
    }
    button.disabled = refused;
    state.textContent = refused ? short(answer.errors.length) : inShort(answer);
    answered(answer);
  }

  function refuse(words, details = []) {
    asked += 1;
    showProblems(form, problems, words, details, []);
    button.disabled = true;
    state.textContent = details.length ? short(details.length) : "";
  }

  /** Nothing to ask yet: say what is to be done first. */
  function wait(words) {
    refuse("");
    size.replaceChildren(el("p", { class: "soft" }, words));
  }

  async function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    state.textContent = "submitting…";
    key ??= randomKey(); // a second try after a lost answer is the same job
    try {
      const job = await request("POST", "/backtests/jobs", body(), { headers: { "Idempotency-Key": key } });
      done();
      location.assign(`/jobs/${job.job_id}`);
    } catch (error) {
      showProblems(form, problems, error.message, error.details ?? [], []);
      toast(error.message, "bad");
      button.disabled = false;
      state.textContent = "";
    }
  }

  form.addEventListener("submit", submit);
  for (const [id, words, text] of [
    ["#copy-json", "JSON copied", () => JSON.stringify(body(), null, 2)],
    ["#copy-curl", "curl command copied", () => curl(body())],
    ["#copy-cli", "Command copied", () => command(body())],
  ]) find(id).replaceWith(named(copyButton(find(id).textContent, text, words), id.slice(1)));
  return { ask, refuse, wait };
}

function sizes({ stage_a_variants: base, risk_combinations: exits, stage_b_variants: all, seconds, bytes: memory, request: asked, coverage }) {
  if (base === null || base === undefined) return [el("p", { class: "soft" }, "Not yet a request that can run.")];
  const product = [el("b", {}, number(base)), base === 1 ? " variant × " : " variants × ", el("b", {}, number(exits)), exits === 1 ? " exit" : " exits",
    typeof asked?.template.execution.percent === "object" && " and sizes"];
  return [el("p", { class: "product" }, product), el("div", { class: "figures" },
    figure(number(all), "scored with exits"),
    seconds !== null && seconds !== undefined && figure(seconds < 1 ? "< 1 s" : `≈ ${duration(seconds)}`, "of one worker"),
    figure(bytes(memory), "of memory"),
    coverage?.funding && figure(number(coverage.funding.rates), "funding rates"))];
}

/** What stands beside the button. */
function inShort({ stage_b_variants: all, seconds }) {
  const time = seconds === null || seconds === undefined ? "" : `, ${seconds < 1 ? "less than a second" : `about ${duration(seconds)}`}`;
  return `${number(all)} to score${time}`;
}

function figure(value, words) {
  return el("div", { class: "figure" }, el("b", {}, value), el("span", {}, words));
}

/** Beside the button, which on a phone is far from the list of them. */
function short(count) {
  return count === 1 ? "One thing is wrong" : `${count} things are wrong`;
}

function heading(count) {
  return count === 1 ? "One thing is missing or wrong:" : `${count} things are missing or wrong:`;
}

function named(button, id) {
  button.id = id;
  return button;
}

function randomKey() {
  const bytes_ = crypto.getRandomValues(new Uint8Array(16));
  return `page:${[...bytes_].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function curl(body) {
  return `curl -sS -b cookies.txt ${quoted(`${location.origin}/backtests/jobs`)} -H 'Content-Type: application/json' -d ` +
    quoted(JSON.stringify(body));
}

export function command(body) {
  return `echo ${quoted(JSON.stringify(body))} | backtest submit - --watch`;
}
