// What the page does beyond links and forms: search as you type, and what is under way. Without it both take a click.
"use strict";

// Puts a part of a page, as the server wrote it, into a place. Where that is another page, such as the one for signing in,
// the whole page is asked for again.
async function bring(address, place, signal) {
  const answer = await fetch(address, { credentials: "same-origin", signal });
  if (answer.redirected) {
    location.reload();
    return;
  }
  if (!answer.ok) return;
  const part = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(...part.body.childNodes);
}

const quiet = (error) => {
  if (error.name !== "AbortError") console.warn(error.name);
};

const search = document.querySelector("input[data-live]");
if (search) {
  const place = document.getElementById(search.getAttribute("aria-controls"));
  let timer = 0;
  let running = null;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (running) running.abort();
      running = new AbortController();
      const words = new URLSearchParams({ q: search.value });
      bring(`${search.dataset.live}?${words}`, place, running.signal).catch(quiet);
      history.replaceState(null, "", search.value ? `${search.form.getAttribute("action")}?${words}` : search.form.getAttribute("action"));
    }, 150);
  });
}

const live = document.querySelector("[data-refresh]");
if (live) {
  document.documentElement.classList.add("scripted");
  setInterval(() => {
    if (!document.hidden) bring(live.dataset.refresh, live).catch(quiet);
  }, 2000);
}
