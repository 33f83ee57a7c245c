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

// Slices to leaf through. Without this script the three planes are there all the same.
for (const box of document.querySelectorAll("[data-slices]")) {
  const [range, told, picture] = ["input", "output", "img"].map((name) => box.querySelector(name));
  const show = () => {
    picture.src = `${box.dataset.slices}/${range.value}.png`;
    told.textContent = `${Number(range.value) + 1} of ${Number(range.max) + 1}`;
  };
  range.addEventListener("input", show);
  fetch(box.dataset.slices, { credentials: "same-origin" })
    .then((answer) => (answer.ok ? answer.json() : { slices: 0 }))
    .then(({ slices }) => {
      if (!slices) return;
      range.max = slices - 1;
      range.value = Math.floor(slices / 2);
      show();
      box.hidden = false;
    })
    .catch(() => {});
}
