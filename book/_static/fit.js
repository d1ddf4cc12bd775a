/* A formula that is wider than its column is made smaller until it fits: no formula scrolls, and none is cut.
   A figure opens large in a window of its own: a tap, or Enter. Without this script pages are read all the same. */
"use strict";
(() => {
  const room = (box) => {
    const block = box.matches('[display="true"]') ? box.parentElement : box.closest("p, li, td, th, dd, dt, figcaption, div");
    const style = getComputedStyle(block);
    return block.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  };
  const wide = (box) => {
    const drawn = box.querySelector("svg");
    return Math.max(drawn ? drawn.getBoundingClientRect().width : 0, box.matches('[display="true"]') ? box.scrollWidth : 0);
  };
  const fit = (box) => {
    box.style.fontSize = "";
    box.style.minWidth = "";
    let space = room(box);
    if (space <= 0) return;
    for (let turn = 0; turn < 3; turn += 1) {
      const width = wide(box);
      if (width <= space + 0.5) return;
      const size = parseFloat(getComputedStyle(box).fontSize);
      box.style.minWidth = "0";
      box.style.fontSize = `${(size * Math.max(0.2, (space - 1) / width)).toFixed(2)}px`;
      space = room(box);
    }
  };
  const fitAll = (root = document) => root.querySelectorAll("mjx-container").forEach(fit);

  /* A box that scrolls sideways can be reached by the keyboard. */
  const reachable = () => document.querySelectorAll(".bd-article .wide, .bd-article div.cell_output").forEach((box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    if (scrolls) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  });

  /* What a button or a fold is called is what stands on it. */
  const named = () => {
    document.querySelectorAll("summary[aria-label], .search-button-field[aria-label]").forEach((box) => {
      if (box.textContent.trim()) box.removeAttribute("aria-label");
    });
    document.querySelectorAll(".theme-switch-button [title]").forEach((icon) => icon.removeAttribute("title"));
    document.querySelectorAll(".theme-switch-button svg").forEach((icon) => {
      icon.querySelectorAll("title").forEach((text) => text.remove());
      ["role", "aria-labelledby"].forEach((name) => icon.removeAttribute(name));
      icon.setAttribute("aria-hidden", "true");
    });
  };

  const large = (image) => {
    const window_ = document.createElement("dialog");
    window_.className = "figure-large";
    window_.setAttribute("aria-label", image.alt || "Figure");
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    const copy = new Image();
    copy.src = image.src;
    copy.alt = image.alt;
    copy.width = Math.max(image.naturalWidth, 820);
    window_.append(close, copy);
    close.addEventListener("click", () => window_.close());
    window_.addEventListener("click", (event) => { if (event.target === window_) window_.close(); });
    window_.addEventListener("close", () => window_.remove());
    document.body.append(window_);
    window_.showModal();
  };
  const enlargeable = () => document.querySelectorAll(".bd-article div.cell_output img, .bd-article figure img").forEach((image) => {
    if (image.closest("button, a")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.setAttribute("aria-label", `Show large: ${image.alt || "figure"}`);
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => large(image));
  });

  const start = () => {
    enlargeable();
    named();
    const typeset = window.MathJax && MathJax.startup && MathJax.startup.promise;
    Promise.resolve(typeset).then(() => {
      fitAll();
      reachable();
      named();
      document.documentElement.dataset.fitted = "yes";
    });
    let waiting = 0;
    window.addEventListener("resize", () => {
      clearTimeout(waiting);
      document.documentElement.dataset.fitted = "no";
      waiting = setTimeout(() => {
        fitAll();
        reachable();
        document.documentElement.dataset.fitted = "yes";
      }, 120);
    });
    window.addEventListener("beforeprint", () => fitAll());
    document.addEventListener("toggle", (event) => { if (event.target.open) fitAll(event.target); }, true);
    document.addEventListener("click", (event) => {
      if (event.target.closest && event.target.closest(".toggle-button, .toggle")) setTimeout(fitAll, 50);
    });
  };
  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
