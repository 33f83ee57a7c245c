"use strict";
// Brings what is shown up to date, without taking the place or the focus of who reads it.
const seconds = Number(document.body.dataset.refresh);

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { credentials: "same-origin", headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    const read = part !== document.activeElement && part.contains(document.activeElement);
    if (now && !read && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
  }
}

if (seconds) setInterval(() => refresh().catch(() => {}), seconds * 1000);
