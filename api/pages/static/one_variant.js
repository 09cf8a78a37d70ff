// The report of a variant that a job has not stored: computed as a job of one variant, found again later.

import { request, stream } from "./api.js";
import { progressWords } from "./progress.js";

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** Parameters of a variant of a job's grid by its index, and the request that computes it alone. */
export function variantAt(jobId, index) {
  return request("GET", `/backtests/jobs/${jobId}/variants/by-index/${index}`);
}

/** The same of a variant of stage A, which goes without stops and targets. */
export function baseVariantAt(jobId, index) {
  return request("GET", `/backtests/jobs/${jobId}/variants/base/${index}`);
}

/** Submit it; the same variant of the same job is always the same job. Resolves to its status. */
export function submitted(variant) {
  return request("POST", "/backtests/jobs", variant.request, { headers: { "Idempotency-Key": variant.idempotency_key } });
}

/**
 * Wait for a one-variant job and resolve to `{status, row}`; `say(text)` hears how it goes. Rejects
 * when the job ends otherwise. `signal` ends the waiting; the job goes on.
 */
export async function reportOf(jobId, say, signal) {
  let status = await request("GET", `/backtests/jobs/${jobId}`, undefined, { signal });
  if (!ENDED.has(status.state)) {
    say(progressWords(status));
    await ended(jobId, say, signal);
    status = await request("GET", `/backtests/jobs/${jobId}`, undefined, { signal });
  }
  if (status.state !== "succeeded") throw new Error(`The job of this variant ${status.state === "failed" ? `failed: ${status.last_error}` : "was cancelled."}`);
  const { items } = await request("GET", `/backtests/jobs/${jobId}/top?limit=1&include=report,trades,equity`, undefined, { signal });
  return { status, row: items[0] };
}

function ended(jobId, say, signal) {
  return new Promise((resolve, reject) => {
    const stop = stream(`/backtests/jobs/${jobId}/stream`, {
      progress: (data) => say(progressWords(data)),
      end: ({ reason }) => (reason === "gone" ? reject(new Error("The job of this variant is gone.")) : resolve()),
      refused: () => reject(new Error("The job of this variant cannot be followed: reload the page.")),
    });
    signal.addEventListener("abort", () => {
      stop();
      reject(new DOMException("not wanted any more", "AbortError"));
    });
  });
}
