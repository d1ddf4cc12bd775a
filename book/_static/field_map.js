/* Filters above the table of works. Without this file the table is a table. Nothing is loaded, nothing is kept. */
(function () {
  "use strict";
  const LEAF = 1, HERE = 4; // columns
  const VERDICTS = { "✓": "holds", "◐": "holds in part", "✗": "differs", "○": "not decided" };

  function element(tag, attributes, text) {
    const made = document.createElement(tag);
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    if (text) made.textContent = text;
    return made;
  }

  function plain(text) { // without case and accents, so that "mezard" finds Mézard
    return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }

  function field(form, label, control, id) {
    const box = element("div", { class: "field-filter" });
    control.id = id;
    box.append(element("label", { for: id }, label), control);
    form.append(box);
    return control;
  }

  function choice(form, label, options, id) {
    const select = element("select", {});
    for (const [value, text] of options) select.append(element("option", { value: value }, text));
    return field(form, label, select, id);
  }

  function start() {
    const box = document.querySelector(".field-map");
    const table = box && box.querySelector("table");
    if (!table || box.querySelector("form")) return;
    const rows = Array.from(table.querySelectorAll("tbody tr")).map(function (row) {
      const cells = row.cells, here = cells[HERE].textContent, leaf = cells[LEAF].querySelector("strong");
      const found = Object.keys(VERDICTS).filter(function (mark) { return here.includes(mark); });
      return { row: row, text: plain(row.textContent), leaf: leaf ? leaf.textContent : "", found: found };
    });
    const leaves = Array.from(new Set(rows.map(function (one) { return one.leaf; })));

    const form = element("form", { role: "search", "aria-label": "Filter the works" });
    const text = field(form, "Words", element("input", { type: "search", autocomplete: "off", placeholder: "author, title, claim" }), "field-words");
    const leaf = choice(form, "Leaf", [["", "all"]].concat(leaves.map(function (name) { return [name, name]; })), "field-leaf");
    const tested = choice(form, "Tested here", [["", "all"], ["yes", "with a verdict"], ["no", "without"]], "field-tested");
    const verdict = choice(form, "Verdict", [["", "any"]].concat(Object.entries(VERDICTS).map(function (one) {
      return [one[0], one[0] + " " + one[1]];
    })), "field-verdict");
    form.append(element("button", { type: "reset" }, "Clear"));
    const count = element("p", { class: "field-count", role: "status" });

    function show() {
      const words = plain(text.value).split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const one of rows) {
        const fits = words.every(function (word) { return one.text.includes(word); }) &&
          (!leaf.value || one.leaf === leaf.value) &&
          (!tested.value || (one.found.length > 0) === (tested.value === "yes")) &&
          (!verdict.value || one.found.includes(verdict.value));
        one.row.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown + " of " + rows.length + " works shown";
    }

    form.addEventListener("input", show);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("reset", function () { setTimeout(show); });
    box.before(form, count);
    show();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
