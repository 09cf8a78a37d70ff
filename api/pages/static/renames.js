// Pages of one browser tell each other what a job is called now: ended jobs have no stream that would.

const CHANNEL = "backtest.renames";

/** Tell all other pages; `status` is the job's after the change. */
export function tellRenamed({ job_id, name, note }) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage({ job_id, name, note });
  channel.close();
}

/** Call `renamed({job_id, name, note})` when another page has changed them. */
export function onRenamed(renamed) {
  new BroadcastChannel(CHANNEL).addEventListener("message", (event) => renamed(event.data));
}
