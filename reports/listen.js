// Keeps the list of messages up to date and takes files that are dropped on the page. All else works without it.
"use strict";
(() => {
  const list = () => document.getElementById("messages");
  const live = document.getElementById("live");
  const form = document.getElementById("upload");
  const field = document.getElementById("message");
  let asked = false;

  async function renew() {
    if (asked) return;
    asked = true;
    // Several messages often come at once: one look at the list serves all of them.
    await new Promise((done) => setTimeout(done, 150));
    asked = false;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("messages");
    if (!fresh) return;
    const chosen = new Set([...list().querySelectorAll("input:checked")].map((each) => each.value));
    const focused = document.activeElement?.closest("#messages") ? document.activeElement.getAttribute("aria-label") : null;
    for (const each of fresh.querySelectorAll("input[type=checkbox]")) each.checked = chosen.has(each.value);
    list().replaceWith(fresh);
    if (focused) fresh.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  const events = new EventSource(list().dataset.events);
  events.onmessage = renew;
  events.onopen = () => {
    live.textContent = list().dataset.live;
    renew();
  };
  events.onerror = () => {
    live.textContent = "";
  };

  document.getElementById("drop").hidden = false;
  const files = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.add("l-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("l-over");
  });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    document.body.classList.remove("l-over");
    if (!event.dataTransfer.files.length) return;
    field.files = event.dataTransfer.files;
    form.requestSubmit();
  });
})();
