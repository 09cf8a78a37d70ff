// What every page does: sign out, and relative times that stay true.

import { request } from "./api.js";
import { find, toast } from "./dom.js";
import { tick } from "./format.js";

find("#sign-out").addEventListener("click", async () => {
  try {
    await request("DELETE", "/session");
    location.assign("/signin?out");
  } catch (error) {
    toast(error.message, "bad");
  }
});

setInterval(() => { if (!document.hidden) tick(); }, 10_000);
