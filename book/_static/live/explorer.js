/* The explorer: training points to drag, their score, posterior weights, basins, samples, and the 1/9 ratio beside held-out points. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage;
  const EDGE = 4.2, MOST = 150, START = -8, END = 9.2, BATCH = 100, PATHS = 30, SIDE = 60;
  const CORNERS = [2.5, 2.5, 2.5, -2.5, -2.5, 2.5, -2.5, -2.5], VARIANCE = 0.3; // the truth of chapter 13
  const NAMES = { ou: "Ornstein–Uhlenbeck", linear: "variance preserving, linear", cosine: "variance preserving, cosine", flow: "flow matching" };

  S.figure("explorer", function (box) {
    const truth = M.mixture(2, CORNERS, VARIANCE), heldOut = M.sample(truth, 1000, M.randoms(9));
    const state = { points: [], kind: "empirical", schedule: "ou", level: 2, width: 0.3, show: "density", eta: 0, steps: 60, even: "level",
      probe: [0.6, 0.4], chosen: -1 };
    let law, train, counts, walk = null, animation = null, batch = 0, basins = null;

    const row = S.element("div", { class: "live-panels" }), side = S.element("div", { class: "live-panel" });
    box.append(row);
    const plane = S.panel(row, {
      label: "The plane with training points, the score as arrows, and samples", view: [-EDGE, EDGE, -EDGE, EDGE],
      drag: { take: take, move: move, hover: hover }, keys: keys,
    });
    row.append(side);
    const says = S.readout(side), controls = S.element("div", { class: "live-controls" });
    side.append(controls);
    const pick = {
      kind: S.choice(controls, "score", [["empirical", "empirical"], ["smoothed", "smoothed"], ["truth", "true"]], function (v) { set({ kind: v }); }),
      width: S.slider(controls, { label: "smoothing", low: 0.02, high: 1.5, value: 0.3, text: function (v) { return "h = " + v.toFixed(2); },
        changed: function (v) { set({ width: v }); } }),
      level: S.slider(controls, { label: "noise", low: -END, high: 6, steps: 304, value: -2, text: levelText, changed: function (v) { set({ level: -v }); } }),
      schedule: S.choice(controls, "schedule", Object.entries(NAMES), function (v) { set({ schedule: v }); }),
      show: S.choice(controls, "shading", [["density", "density"], ["basins", "basins: where the ODE ends"], ["none", "none"]], function (v) { set({ show: v }); }),
      eta: S.choice(controls, "generate by", [[0, "ODE (DDIM)"], [1, "SDE (ancestral)"]], function (v) { set({ eta: +v }); }),
      steps: S.slider(controls, { label: "steps", low: 2, high: 200, steps: 198, whole: true, value: 60, text: String, changed: function (v) { set({ steps: v }); } }),
      even: S.choice(controls, "steps even in", [["level", "log-SNR"], ["t", "time t"]], function (v) { set({ even: v }); }),
    };
    S.buttons(side, [["Generate " + BATCH, generate], ["Clear samples", function () { forget(); draw(); }]]);
    S.buttons(side, [["Add", add], ["Duplicate", duplicate], ["Delete", remove]]);
    S.buttons(side, [["2 points", function () { fresh(2); }], ["40 from the truth", function () { fresh(40); }],
      ["100 from the truth", function () { fresh(100); }], ["No points", function () { set({ points: [], chosen: -1 }); }]]);
    const out = S.element("textarea", { readonly: "", "aria-label": "The points as parameters of chapter 13", spellcheck: "false" });
    const more = S.element("details", {}, S.element("summary", {}, "The points as parameters of chapter 13"), out);
    more.append(S.element("p", { class: "live-note" }, "Put these lines in place of those of the same names in the chapter's first code cell, and run all cells."));
    side.append(more);
    S.buttons(more, [["Copy", function () { out.select(); if (navigator.clipboard) navigator.clipboard.writeText(out.value).catch(function () {}); }]]);
    box.append(S.element("p", { class: "live-note" },
      "Drag a point, or click beside all of them to move the cursor ✛. With keys: n and p choose the next and the previous point, arrows move it " +
      "(Shift: further), a adds one at the cursor, d duplicates, Delete deletes, Escape goes back to the cursor. The truth is a mixture of four Gaussians " +
      "of variance 0.3 at (±2.5, ±2.5). The plane is drawn in the unit in which α² + σ² = 1; small crosses are the points α x."));
    let seed = 40;

    function levelText() {
      const s = M.schedules[state.schedule], t = s.timeOf(state.level);
      return "t = " + S.digits(t);
    }
    function fresh(n) {
      const p = n === 2 ? [-1, 0, 1, 0] : Array.from(M.sample(truth, n, M.randoms(++seed)));
      const points = [];
      for (let i = 0; i < p.length; i += 2) points.push([clip(p[i]), clip(p[i + 1])]);
      set({ points: points, chosen: -1 });
    }
    function clip(v) { return Math.round(Math.min(EDGE, Math.max(-EDGE, v)) * 100) / 100; }
    function noise() { // alpha and sigma in the unit of the drawing
      return [1 / Math.sqrt(1 + Math.exp(-state.level)), 1 / Math.sqrt(1 + Math.exp(state.level))];
    }

    function set(changes) {
      Object.assign(state, changes);
      if ("points" in changes || "kind" in changes || "width" in changes) {
        train = Float64Array.from(state.points.flat());
        law = state.kind === "truth" ? truth : state.points.length ? M.mixture(2, train, state.kind === "smoothed" ? state.width ** 2 : 0) : null;
      }
      if (!("probe" in changes || "show" in changes || "chosen" in changes && !("points" in changes) || "level" in changes)) forget();
      if (!("probe" in changes) && !("show" in changes && basins && basins.law === law)) basins = null;
      for (const name in changes) if (pick[name]) pick[name].set(name === "level" ? -state.level : state[name]);
      pick.level.show();
      pick.width.row.hidden = state.kind !== "smoothed";
      write();
      draw();
    }
    function write() {
      const text = state.points.map(function (p) { return "[" + p[0] + ", " + p[1] + "]"; }).join(", ");
      out.value = "n_train = " + state.points.length + "  # training points of the mixture in the plane (count)\nown_points = [" + text +
        "]  # training points in the plane in place of a sample";
    }
    function forget() {
      counts = { k: 0, m: 0 };
      walk = null;
      if (animation) animation.stop();
    }

    // What is under the pointer, the chosen point and the cursor.
    function take(x, y, reach, only) {
      let best = reach, found = -1;
      state.points.forEach(function (p, i) {
        const gap = Math.hypot(p[0] - x, p[1] - y);
        if (gap < best) { best = gap; found = i; }
      });
      if (only) return found >= 0 || Math.hypot(state.probe[0] - x, state.probe[1] - y) < reach ? 0 : null;
      state.chosen = found;
      return found >= 0 ? found : "cursor";
    }
    function move(handle, x, y) {
      if (handle === "cursor") return set({ probe: [x, y] });
      const points = state.points.slice();
      if (clip(x) === points[handle][0] && clip(y) === points[handle][1]) return draw();
      points[handle] = [clip(x), clip(y)];
      set({ points: points });
    }
    function hover(x, y) { set({ probe: [x, y] }); }
    function add() { if (state.points.length < MOST) set({ points: state.points.concat([state.probe.map(clip)]), chosen: state.points.length }); }
    function duplicate() {
      const i = state.chosen;
      if (i >= 0 && state.points.length < MOST) set({ points: state.points.concat([state.points[i].slice()]), chosen: state.points.length });
    }
    function remove() {
      if (state.chosen >= 0) set({ points: state.points.filter(function (_, i) { return i !== state.chosen; }), chosen: -1 });
    }
    function keys(event) {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key], n = state.points.length;
      if (steps) {
        const by = event.shiftKey ? 0.5 : 0.05, from = state.chosen < 0 ? state.probe : state.points[state.chosen];
        move(state.chosen < 0 ? "cursor" : state.chosen, ...[0, 1].map(function (j) { return Math.max(-EDGE, Math.min(EDGE, from[j] + by * steps[j])); }));
      } else if (event.key === "n" && n) set({ chosen: (state.chosen + 1) % n });
      else if (event.key === "p" && n) set({ chosen: (Math.max(state.chosen, 0) + n - 1) % n });
      else if (event.key === "a") add();
      else if (event.key === "d") duplicate();
      else if (event.key === "Delete" || event.key === "Backspace") remove();
      else if (event.key === "Escape") set({ chosen: -1 });
      else return false;
      return true;
    }

    // Samples: BATCH starts, one step of the sampler a frame, counted at the end.
    function begin(random) {
      const s = M.schedules[state.schedule], times = M.grid(s, s.timeOf(START), s.timeOf(END), state.steps, state.even);
      const x = random.normals(2 * BATCH).map(function (z) { return s.sigma(times[0]) * z; });
      return { s: s, times: times, k: 0, x: x, random: random, start: x, noise: [], trail: [unit(x, s, times[0])] };
    }
    function unit(x, s, t) {
      const size = Math.hypot(s.alpha(t), s.sigma(t));
      return x.map(function (v) { return v / size; });
    }
    function step(one, keep) {
      const noise = state.eta ? one.random.normals(2 * BATCH) : null;
      if (keep && noise) one.noise.push(noise);
      one.x = M.ddim(law, one.x, one.times[one.k], one.times[one.k + 1], one.s, state.eta, noise);
      one.trail.push(unit(one.x, one.s, one.times[++one.k]));
      if (one.k < one.times.length - 1) return true;
      const k = state.points.length > 1 ? M.copies(one.x, 2, train, 1 / 9) : 0;
      counts = { k: counts.k + k, m: counts.m + BATCH };
      return false;
    }
    function generate() {
      if (!law || animation && animation.alive) return;
      const one = walk = begin(M.randoms(1000 + ++batch));
      animation = S.animate(function (quick) {
        if (walk !== one) return false;
        const on = step(one);
        if (!quick || !on) paintAll();
        return on;
      });
    }

    // Basins: the probability flow from each cell to almost no noise, a few rows a frame.
    function basinRows(budget) {
      if (!basins) basins = { law: law, ends: new Int16Array(SIDE * SIDE).fill(-1), row: 0 };
      const until = performance.now() + budget;
      while (basins.row < SIDE && performance.now() < until) {
        const x = new Float64Array(2 * SIDE), y = (basins.row + 0.5) / SIDE * 2 * EDGE - EDGE;
        for (let i = 0; i < SIDE; i++) { x[2 * i] = (i + 0.5) / SIDE * 2 * EDGE - EDGE; x[2 * i + 1] = y; }
        basins.ends.set(endOf(x), SIDE * basins.row++);
      }
      return basins.row < SIDE;
    }
    function endOf(x) {
      const s = M.schedules.ou, times = M.grid(s, s.timeOf(state.level), s.timeOf(Math.max(END, state.level + 1)), 20, "level");
      for (let k = 0; k < 20; k++) x = M.ddim(law, x, times[k], times[k + 1], s, 0, null);
      const w = new Float64Array(law.K), found = [];
      for (let at = 0; at < x.length; at += 2) {
        M.posterior(law, x, at, s.alpha(times[20]), s.sigma(times[20]), w);
        found.push(w.indexOf(Math.max(...w)));
      }
      return found;
    }
    function hue(i) { // far apart for neighbours in the list; equal points share a colour
      if (law !== truth) for (let j = 0; j < i; j++) if (train[2 * j] === train[2 * i] && train[2 * j + 1] === train[2 * i + 1]) { i = j; break; }
      const a = i * 2.399963, l = 0.5 + 0.18 * (i % 3 - 1);
      return [0, 2.09, 4.19].map(function (shift) { return 255 * (l + 0.3 * Math.cos(a + shift)); });
    }

    function weights() {
      const [alpha, sigma] = noise(), w = new Float64Array(law.K), x = Float64Array.from(state.probe), logp = M.posterior(law, x, 0, alpha, sigma, w);
      return { weights: w, logp: logp, score: M.score(law, x, alpha, sigma), effective: M.effective(w) };
    }

    plane.paint = function (pen, p, c) {
      if (!law) return;
      const [alpha, sigma] = noise(), view = plane.view, tint = S.rgb(c[{ truth: "truth", empirical: "empirical", smoothed: "other" }[state.kind]]);
      if (state.show === "density") {
        const n = 48, x = new Float64Array(2 * n * n);
        for (let i = 0; i < n * n; i++) { x[2 * i] = (i % n + 0.5) / n * 2 * EDGE - EDGE; x[2 * i + 1] = EDGE - (Math.floor(i / n) + 0.5) / n * 2 * EDGE; }
        const l = M.logProb(law, x, alpha, sigma), top = Math.max(...l);
        S.pixels(pen, p, view, n, n, function (data) {
          for (let i = 0; i < n * n; i++) { data.set(tint, 4 * i); data[4 * i + 3] = 170 * Math.exp((l[i] - top) / 2); }
        });
      } else if (state.show === "basins") {
        if (basinRows(9)) later();
        const shades = Array.from({ length: law.K }, function (_, i) { return hue(i); });
        pen.imageSmoothingEnabled = false;
        S.pixels(pen, p, view, SIDE, SIDE, function (data) {
          basins.ends.forEach(function (end, i) {
            if (end < 0) return;
            const at = 4 * ((SIDE - 1 - Math.floor(i / SIDE)) * SIDE + i % SIDE);
            data.set(shades[end], at);
            data[at + 3] = 110;
          });
        });
        pen.imageSmoothingEnabled = true;
      }
      const n = 17, cell = 2 * EDGE / n, x = new Float64Array(2 * n * n);
      for (let i = 0; i < n * n; i++) { x[2 * i] = (i % n + 0.5) * cell - EDGE; x[2 * i + 1] = (Math.floor(i / n) + 0.5) * cell - EDGE; }
      const g = M.score(law, x, alpha, sigma);
      pen.beginPath();
      for (let i = 0; i < n * n; i++) {
        const size = Math.hypot(g[2 * i], g[2 * i + 1]), long = 0.85 * cell * p.unit() * Math.tanh(size * sigma / 2) / (size || 1);
        S.arrow(pen, p.X(x[2 * i]) - g[2 * i] * long / 2, p.Y(x[2 * i + 1]) + g[2 * i + 1] * long / 2, g[2 * i] * long, -g[2 * i + 1] * long);
      }
      pen.strokeStyle = c.ink;
      pen.globalAlpha = 0.6;
      pen.lineWidth = 1;
      pen.stroke();
      pen.globalAlpha = 1;
      const found = weights(), where = law === truth ? truth.means : train;
      pen.strokeStyle = c.learned;
      for (let i = 0; i < law.K; i++) {
        if (found.weights[i] < 0.005) continue;
        pen.beginPath();
        pen.lineWidth = 1 + 3 * found.weights[i];
        pen.globalAlpha = 0.25 + 0.75 * found.weights[i];
        pen.moveTo(p.X(state.probe[0]), p.Y(state.probe[1]));
        pen.lineTo(p.X(where[2 * i]), p.Y(where[2 * i + 1]));
        pen.stroke();
      }
      pen.globalAlpha = 1;
      state.points.forEach(function (point, i) {
        const ax = p.X(alpha * point[0]), ay = p.Y(alpha * point[1]);
        pen.beginPath();
        pen.moveTo(ax - 2.5, ay - 2.5); pen.lineTo(ax + 2.5, ay + 2.5); pen.moveTo(ax + 2.5, ay - 2.5); pen.lineTo(ax - 2.5, ay + 2.5);
        pen.strokeStyle = c.train;
        pen.lineWidth = 1.2;
        pen.stroke();
        S.dot(pen, p.X(point[0]), p.Y(point[1]), state.points.length > 60 ? 3 : 4.5, c.train, c.back);
        if (i === state.chosen) S.dot(pen, p.X(point[0]), p.Y(point[1]), 9, null, c.learned);
      });
      if (walk) paintWalk(pen, p, c);
      pen.beginPath();
      const cx = p.X(state.probe[0]), cy = p.Y(state.probe[1]);
      pen.moveTo(cx - 8, cy); pen.lineTo(cx + 8, cy); pen.moveTo(cx, cy - 8); pen.lineTo(cx, cy + 8);
      pen.strokeStyle = c.learned;
      pen.lineWidth = 2;
      pen.stroke();
    };
    function paintWalk(pen, p, c) {
      pen.strokeStyle = c.sample;
      pen.lineWidth = 1;
      for (let i = 0; i < (state.eta ? 6 : PATHS); i++) { // those of the SDE would cover everything
        pen.beginPath();
        walk.trail.forEach(function (x, k) { pen[k ? "lineTo" : "moveTo"](p.X(x[2 * i]), p.Y(x[2 * i + 1])); });
        pen.stroke();
      }
      const last = walk.trail[walk.trail.length - 1], done = walk.k === walk.times.length - 1;
      for (let i = 0; i < BATCH; i++) {
        const copy = done && state.points.length > 1 && M.memorized(walk.x, 2 * i, 2, train, 1 / 9);
        S.dot(pen, p.X(last[2 * i]), p.Y(last[2 * i + 1]), 2.6, copy ? c.memorized : c.sample, copy ? null : c.truth);
      }
    }
    function tell() {
      if (!law) return says("No training points: add one.");
      const n = numbers(), lines = [];
      const largest = Array.from(n.weights).sort(function (a, b) { return b - a; }).slice(0, 4).map(function (w) { return w.toFixed(3); });
      lines.push(state.points.length + " training points; σ/α = " + S.digits(Math.exp(-state.level / 2)) + "; at the cursor (" + state.probe.map(function (v) { return v.toFixed(2); }).join(", ") + ") " +
        n.effective.toFixed(2) + " of " + law.K + (law === truth ? " components" : " points") + " count; largest weights " + largest.join(", ") + ".");
      if (n.heldOut) {
        lines.push("1/9 rule: " + (n.ratio ? "generated " + S.share(n.ratio) + " (" + counts.m + "), " : "") + "held-out points " + S.share(n.heldOut) + " (1000).");
      }
      says(lines.join("\n"));
    }
    function numbers() {
      const all = state.points.length > 1;
      return Object.assign(weights(), {
        ratio: counts.m && all ? M.wilson(counts.k, counts.m) : null,
        heldOut: all ? M.wilson(M.copies(heldOut, 2, train, 1 / 9), 1000) : null,
      });
    }
    function paintAll() { plane.draw(); tell(); }
    const later = S.lazily(paintAll), draw = later;
    fresh(12);
    return {
      state: state, set: set, numbers: numbers, draw: paintAll, heldOut: heldOut, endOf: endOf,
      run: function (seed) { const one = begin(M.randoms(seed)); while (step(one, true)); return one; },
    };
  });
})();
