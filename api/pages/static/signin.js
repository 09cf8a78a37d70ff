// A token becomes the session's cookie; then back to where one wanted to be.

import { request } from "./api.js";
import { find } from "./dom.js";

const given = new URLSearchParams(location.search);
const said = find("#said");

/** Only an address of this site: a link must not lead elsewhere after the sign-in. */
function next() {
  const wanted = new URL(given.get("next") ?? "/", location.origin);
  return wanted.origin === location.origin ? wanted.pathname + wanted.search + wanted.hash : "/";
}

async function signIn(body) {
  try {
    await request("POST", "/session", body);
    location.replace(next());
  } catch (error) {
    said.textContent = error.status === 429 ? `${error.message}. Wait a minute.` : error.message;
    said.hidden = false;
    find("#token").focus();
  }
}

find("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ token: find("#token").value.trim() });
});

find("#local").addEventListener("click", () => signIn({}));

// In dev, on this machine, no token is needed; who has just signed out is asked first.
if ("local" in find("#form").dataset && !given.has("out")) signIn({});
else find("#token").focus();
