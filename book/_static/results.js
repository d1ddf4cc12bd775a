/* Filters above the tables of claims: by part of the book and by verdict. Without this script all rows are shown. */
"use strict";
(() => {
  const PARTS = {
    foundations: "Foundations", statistical: "Statistical separation", approximation: "Approximation separation",
    pruning: "Pruning", control: "Control", landscape: "Landscape", your_own_model: "Your own model",
  };
  const VERDICTS = ["holds", "holds in part", "differs", "not decided", "not run"];
  const text = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

  const select = (id, label, options) => {
    const box = document.createElement("div");
    box.className = "field-filter";
    const name = document.createElement("label");
    name.htmlFor = id;
    name.textContent = label;
    const list = document.createElement("select");
    list.id = id;
    list.append(new Option("all", ""));
    options.forEach(([value, words]) => list.append(new Option(words, value)));
    box.append(name, list);
    return [box, list];
  };

  const start = () => {
    document.querySelectorAll(".results table").forEach((table) => {
      const heads = [...table.querySelectorAll("thead th")].map(text);
      table.querySelectorAll("tbody tr").forEach((row) => [...row.cells].forEach((cell, i) => { cell.dataset.label = heads[i] || ""; }));
    });
    const boxes = [...document.querySelectorAll(".results.claims")];
    if (!boxes.length) return;
    const rows = boxes.flatMap((box) => [...box.querySelectorAll("tbody tr")]).map((row) => {
      const cells = [...row.cells];
      const verdict = cells.find((cell) => cell.dataset.label === "Verdict");
      const where = cells.find((cell) => cell.dataset.label === "Where to look");
      const words = [...verdict.querySelectorAll(".verdict")].map((one) => text(one).replace(/^\S+ /, ""));
      const parts = [...where.querySelectorAll("a")].map((link) => Object.keys(PARTS).find((part) => link.getAttribute("href").includes(`/${part}/`)));
      return { row, words: words.length ? words : ["not run"], parts };
    });
    const form = document.createElement("form");
    form.className = "results-filter";
    form.setAttribute("role", "search");
    form.setAttribute("aria-label", "Filter the claims");
    const [partBox, part] = select("results-part", "Part", Object.entries(PARTS));
    const [verdictBox, verdict] = select("results-verdict", "Verdict", VERDICTS.map((word) => [word, word]));
    const count = document.createElement("p");
    count.className = "field-count";
    count.setAttribute("role", "status");
    form.append(partBox, verdictBox, count);
    const show = () => {
      let shown = 0;
      rows.forEach(({ row, words, parts }) => {
        row.hidden = !((!part.value || parts.includes(part.value)) && (!verdict.value || words.includes(verdict.value)));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = `${shown} of ${rows.length} claims`;
    };
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    const section = boxes[0].closest("section");
    section.before(form);
    show();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
