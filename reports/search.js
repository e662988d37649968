// Search over the site. The index is loaded when somebody begins to type; without script the box stays hidden.
"use strict";

{
  const box = document.getElementById("search");
  const input = box.querySelector("input");
  const status = box.querySelector("[role=status]");
  const list = box.querySelector("ul");
  const MOST = 30;

  const folded = (text) => text.normalize("NFKC").toLowerCase().trim();

  // How well an entry fits one word of the question; 0: not at all.
  const fit = (word, [, , , title, names, words]) => {
    if (names.includes(word)) return 100;
    if (title.startsWith(word)) return 50;
    if (title.includes(word)) return 30;
    if (names.some((name) => name.includes(word))) return 20;
    return words.includes(word) ? 1 : 0;
  };

  const find = (question) => {
    const words = folded(question).split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    // A code of two numbers is one name; as words of their own they would mean less.
    const whole = words.join(" ");
    return globalThis.delivIndex
      .map((entry) => {
        const fits = words.map((word) => fit(word, entry));
        const all = fits.every(Boolean) ? fits.reduce((sum, one) => sum + one, 0) : 0;
        return [Math.max(all, words.length > 1 ? fit(whole, entry) * words.length : 0), entry];
      })
      .filter(([score]) => score)
      .sort(([a], [b]) => b - a)
      .map(([, entry]) => entry);
  };

  const show = () => {
    const found = find(input.value);
    status.textContent = folded(input.value) ? box.dataset.hits.replace("{n}", found.length) : "";
    list.replaceChildren(
      ...found.slice(0, MOST).map(([kind, title, href]) => {
        const item = document.createElement("li");
        const link = document.createElement("a");
        const small = document.createElement("small");
        link.href = box.dataset.home + href;
        link.textContent = title;
        small.textContent = kind;
        item.append(link, " ", small);
        return item;
      }),
    );
  };

  let asked = false;
  const load = () => {
    if (globalThis.delivIndex) return show();
    if (asked) return undefined;
    asked = true;
    const script = document.createElement("script");
    script.src = box.dataset.index;
    script.addEventListener("load", show);
    document.head.append(script);
    return undefined;
  };

  input.addEventListener("input", load);
  input.addEventListener("keydown", (event) => {
    const first = list.querySelector("a");
    if (event.key === "Enter" && !event.isComposing && first) first.click();
    if (event.key === "Escape") {
      input.value = "";
      show();
    }
  });
  box.hidden = false;
  if (input.value) load();
}
