/* What the live figures share: a place in the page, canvases that follow the theme, sliders, buttons, drags by mouse, touch and keys.
   A page holds <div class="live" data-live="NAME">one static sentence</div>; the script of NAME calls liveStage.figure(NAME, build).
   Nothing is loaded, nothing is kept, nothing moves before the reader asks for it. */
(function () {
  "use strict";
  const LIGHT = { truth: "#0072b2", empirical: "#d55e00", learned: "#009e73", train: "#222222", sample: "#56b4e9", memorized: "#b3001b",
    other: "#cc79a7", extra: "#b97f00", muted: "#767676", ink: "#222222", back: "#ffffff" };
  const DARK = { truth: "#4db2f0", empirical: "#ff8a3d", learned: "#2fd0a0", train: "#eeeeee", sample: "#8fd0f7", memorized: "#ff6b7d",
    other: "#e4a3c5", extra: "#f0b93a", muted: "#a6a6a6", ink: "#e8e8e8", back: "#14181e" };
  const builders = {}, figures = [];
  let printing = false;

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const name in attributes || {}) made.setAttribute(name, attributes[name]);
    made.append(...children);
    return made;
  }

  function colors() {
    const text = getComputedStyle(document.body).color.match(/[\d.]+/g) || [0, 0, 0];
    return !printing && +text[0] + +text[1] + +text[2] > 384 ? DARK : LIGHT;
  }

  function calm() { return matchMedia("(prefers-reduced-motion: reduce)").matches; }

  let serial = 0;
  function labelled(box, label, control, output) {
    control.id = "live-" + ++serial;
    const row = element("div", { class: "live-row" }, element("label", { for: control.id }, label), control);
    if (output) row.append(output);
    box.append(row);
    return row;
  }

  // A slider over [low, high]; text(v) stands beside it; changed(v) is called on input. Returns {value, set, row}.
  function slider(box, options) {
    const steps = options.steps || 200, span = options.high - options.low;
    const input = element("input", { type: "range", min: 0, max: steps, step: 1, autocomplete: "off" }), output = element("output", {});
    const made = { value: options.value, row: labelled(box, options.label, input, output), set: set };
    function show() {
      output.textContent = options.text(made.value);
      input.setAttribute("aria-valuetext", output.textContent);
    }
    function set(v) {
      made.value = Math.min(options.high, Math.max(options.low, v));
      input.value = Math.round((made.value - options.low) / span * steps);
      show();
    }
    input.addEventListener("input", function () {
      made.value = options.low + span * input.value / steps;
      if (options.whole) made.value = Math.round(made.value);
      show();
      options.changed(made.value);
    });
    made.show = show;
    set(options.value);
    return made;
  }

  function choice(box, label, options, changed) { // options: [value, text]
    const select = element("select", { autocomplete: "off" });
    for (const [value, text] of options) select.append(element("option", { value: value }, text));
    const row = labelled(box, label, select);
    select.addEventListener("change", function () { changed(select.value); });
    return { get value() { return select.value; }, set: function (v) { select.value = v; }, row: row };
  }

  function buttons(box, entries) { // [text, action]
    const row = element("div", { class: "live-buttons" });
    for (const [text, action] of entries) {
      const button = element("button", { type: "button" }, text);
      button.addEventListener("click", action);
      row.append(button);
    }
    box.append(row);
    return Array.from(row.children);
  }

  // A line of numbers; readers of the screen hear it when it has come to rest.
  function readout(box) {
    const seen = element("p", { class: "live-says" }), heard = element("p", { class: "live-heard", role: "status" });
    let timer = 0;
    box.append(seen, heard);
    return function (text) {
      if (text === seen.textContent) return;
      seen.textContent = text;
      clearTimeout(timer);
      timer = setTimeout(function () { heard.textContent = text; }, 800);
    };
  }

  /* A canvas over the window [left, right, bottom, top] of the plane. options: label (what it shows, for those who do not see it), ratio
     (height / width), view, axes {x, y, xticks, yticks: [[value, text]]}, drag {take(x, y, reach) -> handle or null, move(handle, x, y), end},
     keys(event) -> whether it was used. paint(pen, panel, colors) draws. */
  function panel(box, options) {
    const canvas = element("canvas", { role: "img", "aria-label": options.label });
    if (options.keys || options.drag) canvas.setAttribute("tabindex", "0");
    if (options.drag) canvas.setAttribute("role", "application");
    const figure = element("figure", { class: "live-panel" });
    if (options.caption) figure.append(element("figcaption", {}, options.caption));
    figure.append(canvas);
    box.append(figure);
    const axes = options.axes, pad = axes ? [46, 18, 8, 40] : [1, 1, 1, 1]; // left, right, top, bottom
    const made = { canvas: canvas, view: options.view, paint: null, draw: draw, X: X, Y: Y, at: at, w: 0, h: 0 };
    function X(x) { return pad[0] + (x - made.view[0]) / (made.view[1] - made.view[0]) * (made.w - pad[0] - pad[1]); }
    function Y(y) { return made.h - pad[3] - (y - made.view[2]) / (made.view[3] - made.view[2]) * (made.h - pad[2] - pad[3]); }
    function at(px, py) {
      return [made.view[0] + (px - pad[0]) / (made.w - pad[0] - pad[1]) * (made.view[1] - made.view[0]),
        made.view[2] + (made.h - pad[3] - py) / (made.h - pad[2] - pad[3]) * (made.view[3] - made.view[2])];
    }
    made.unit = function () { return (made.w - pad[0] - pad[1]) / (made.view[1] - made.view[0]); };
    function draw() {
      const width = figure.clientWidth || 320, height = Math.round(width * (options.ratio || 1)), scale = devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * scale) || made.h !== height) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
        canvas.style.height = height + "px";
        made.w = width;
        made.h = height;
      }
      const pen = canvas.getContext("2d"), c = colors();
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, width, height);
      if (printing) { pen.fillStyle = "#fff"; pen.fillRect(0, 0, width, height); }
      pen.save();
      pen.beginPath();
      pen.rect(pad[0], pad[2], width - pad[0] - pad[1], height - pad[2] - pad[3]);
      pen.clip();
      if (made.paint) made.paint(pen, made, c);
      pen.restore();
      frame(pen, c);
    }
    function frame(pen, c) {
      pen.strokeStyle = c.muted;
      pen.lineWidth = 1;
      pen.strokeRect(pad[0] - 0.5, pad[2] - 0.5, made.w - pad[0] - pad[1] + 1, made.h - pad[2] - pad[3] + 1);
      if (!axes) return;
      pen.fillStyle = c.ink;
      pen.font = "13px sans-serif";
      pen.textAlign = "center";
      for (const [v, text] of axes.xticks) pen.fillText(text, X(v), made.h - pad[3] + 16);
      pen.fillText(axes.x, (pad[0] + made.w - pad[1]) / 2, made.h - 5);
      pen.textAlign = "right";
      for (const [v, text] of axes.yticks) pen.fillText(text, pad[0] - 5, Y(v) + 4);
      pen.textAlign = "center";
      pen.save();
      pen.translate(12, (pad[2] + made.h - pad[3]) / 2);
      pen.rotate(-Math.PI / 2);
      pen.fillText(axes.y, 0, 0);
      pen.restore();
    }
    if (options.drag) drag(made, options.drag);
    if (options.keys) {
      canvas.addEventListener("keydown", function (event) {
        if (!event.ctrlKey && !event.metaKey && !event.altKey && options.keys(event)) event.preventDefault();
      });
    }
    new ResizeObserver(function () { if (figure.clientWidth !== made.w) draw(); }).observe(figure);
    return made;
  }

  function drag(made, options) {
    let handle = null;
    function where(event) {
      const r = made.canvas.getBoundingClientRect();
      return made.at(event.clientX - r.left, event.clientY - r.top);
    }
    function reach(event) { return (event.pointerType === "mouse" ? 12 : 24) / made.unit(); }
    made.canvas.addEventListener("touchstart", function (event) { // a finger beside every handle scrolls the page
      const [x, y] = where(event.touches[0]);
      if (options.take(x, y, 24 / made.unit(), true) !== null) event.preventDefault();
    }, { passive: false });
    made.canvas.addEventListener("pointerdown", function (event) {
      handle = options.take(...where(event), reach(event));
      if (handle === null) return;
      made.canvas.setPointerCapture(event.pointerId);
      options.move(handle, ...where(event));
    });
    made.canvas.addEventListener("pointermove", function (event) {
      if (handle !== null) options.move(handle, ...where(event));
      else if (options.hover && event.pointerType === "mouse") options.hover(...where(event));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      made.canvas.addEventListener(name, function () { if (handle !== null && options.end) options.end(handle); handle = null; });
    }
  }

  // Pixels of a colour map behind a panel: paint(i, j) -> [r, g, b, alpha]; row 0 at the bottom.
  function pixels(pen, made, view, columns, rows, fill) {
    const image = document.createElement("canvas");
    image.width = columns;
    image.height = rows;
    const inner = image.getContext("2d"), data = inner.createImageData(columns, rows);
    fill(data.data);
    inner.putImageData(data, 0, 0);
    pen.drawImage(image, made.X(view[0]), made.Y(view[3]), made.X(view[1]) - made.X(view[0]), made.Y(view[2]) - made.Y(view[3]));
  }

  function rgb(color) { return [1, 3, 5].map(function (at) { return parseInt(color.slice(at, at + 2), 16); }); }

  // frame() every 1/60 s until it says false; at once to the end where the reader wants no motion.
  function animate(frame) {
    let alive = true;
    if (calm()) { for (let k = 0; k < 5000 && frame(true); k++); return { stop: function () {} }; }
    function next() { if (alive && frame(false)) requestAnimationFrame(next); else alive = false; }
    requestAnimationFrame(next);
    return { stop: function () { alive = false; }, get alive() { return alive; } };
  }

  // A redraw in the next frame, however many changes ask for it.
  function lazily(draw) {
    let waiting = false;
    return function () {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(function () { waiting = false; draw(); });
    };
  }

  function arrow(pen, x, y, dx, dy) { // from x, y by dx, dy, in pixels
    pen.moveTo(x, y);
    pen.lineTo(x + dx, y + dy);
    pen.moveTo(x + 0.6 * dx - 0.22 * dy, y + 0.6 * dy + 0.22 * dx);
    pen.lineTo(x + dx, y + dy);
    pen.lineTo(x + 0.6 * dx + 0.22 * dy, y + 0.6 * dy - 0.22 * dx);
  }

  function dot(pen, x, y, r, fill, edge) {
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    if (fill) { pen.fillStyle = fill; pen.fill(); }
    if (edge) { pen.strokeStyle = edge; pen.lineWidth = 1.5; pen.stroke(); }
  }

  function digits(v, places) { // for readers: three digits, a power of ten where that is shorter
    if (v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5)) return String(+v.toPrecision(places || 3));
    return v.toExponential(1).replace("e+", "e").replace("-", "−");
  }

  function share(w) { return w.value.toFixed(2) + " [" + w.low.toFixed(2) + ", " + w.high.toFixed(2) + "]"; }

  function start() {
    for (const box of document.querySelectorAll(".live[data-live]")) {
      const build = builders[box.dataset.live];
      if (!build || box.live) continue;
      box.replaceChildren();
      box.live = build(box);
      figures.push(box.live);
      box.live.draw();
    }
  }
  function redraw() { for (const one of figures) one.draw(); }

  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
  addEventListener("beforeprint", function () { printing = true; redraw(); });
  addEventListener("afterprint", function () { printing = false; redraw(); });

  window.liveStage = {
    element: element, colors: colors, calm: calm, slider: slider, choice: choice, buttons: buttons, readout: readout, panel: panel,
    pixels: pixels, rgb: rgb, animate: animate, lazily: lazily, arrow: arrow, dot: dot, digits: digits, share: share,
    figure: function (name, build) {
      builders[name] = build;
      if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
      else start();
    },
  };
})();
