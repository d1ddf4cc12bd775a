/* Posterior weights over time, on a line: a cursor (t, x) to drag, the weights of the training points beside it, a switching time between
   the empirical and the true score, and the paths of the probability flow with the share of copies at their end. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage, OU = M.schedules.ou;
  const HIGH = OU.timeOf(-6), LOW = 1e-4, STEPS = 60, PATHS = 300, SHOWN = 60, EDGE = 3.6;
  const TICKS = [[5, "5"], [1, "1"], [0.1, "0.1"], [0.01, "0.01"], [0.001, "0.001"]];

  S.figure("weights", function (box) {
    const truth = M.mixture(1, [-1.5, 1.5], 0.25), starts = M.randoms(3).normals(PATHS).map(function (z) { return OU.sigma(HIGH) * z; });
    const state = { n: 12, where: "below", switch: OU.level(0.3), level: OU.level(0.2), x: 0.4 };
    let train, law, ends, paths, counted;
    const row = S.element("div", { class: "live-panels" }), says = (box.append(row), S.readout(box));
    const plane = S.panel(row, {
      label: "Noisy value x over time t: how many training points still count, the paths of generation, and the switching time", caption: "x over time",
      view: [-6, OU.level(LOW), -EDGE, EDGE], ratio: 0.9,
      axes: { x: "time t: generation runs to the right", y: "x",
        xticks: TICKS.map(function (one) { return [OU.level(one[0]), one[1]]; }), yticks: [-3, -2, -1, 0, 1, 2, 3].map(function (v) { return [v, String(v)]; }) },
      drag: { take: take, move: move }, keys: keys,
    });
    const bars = S.panel(row, {
      label: "Weight of each training point at the cursor", caption: "weights at the cursor", view: [0, 1.02, -EDGE, EDGE], ratio: 0.9,
      axes: { x: "posterior weight", y: "training point", xticks: [[0, "0"], [0.5, "0.5"], [1, "1"]],
        yticks: [-3, -2, -1, 0, 1, 2, 3].map(function (v) { return [v, String(v)]; }) },
    });
    const controls = S.element("div", { class: "live-controls" });
    box.append(controls);
    const pick = {
      n: S.choice(controls, "training set", [[2, "two points, ±1.5"], [5, "5 points"], [12, "12 points"], [40, "40 points"], [100, "100 points"]],
        function (v) { set({ n: +v }); }),
      where: S.choice(controls, "empirical score", [["below", "below t*"], ["above", "above t*"], ["always", "always"], ["never", "never"]],
        function (v) { set({ where: v }); }),
      level: S.slider(controls, { label: "time t", low: -6, high: OU.level(LOW), value: 0, text: time, changed: function (v) { set({ level: v }); } }),
      x: S.slider(controls, { label: "x", low: -EDGE, high: EDGE, value: 0, text: function (v) { return v.toFixed(2); }, changed: function (v) { set({ x: v }); } }),
      switch: S.slider(controls, { label: "switch t*", low: -6, high: OU.level(LOW), value: 0, text: time, changed: function (v) { set({ switch: v }); } }),
    };
    box.append(S.element("p", { class: "live-note" }, "Drag the green cross, or the line t*; with keys, arrows move the cross and < > the line. " +
      "Shaded: where fewer than two training points count. Elsewhere the true score is followed, of two Gaussians of variance 0.25 at ±1.5. " +
      "On a line a fresh sample passes the 1/9 rule one time in three."));

    function time(level) { return "t = " + S.digits(OU.timeOf(level)); }
    function set(changes) {
      Object.assign(state, changes);
      for (const name in changes) if (pick[name]) pick[name].set(state[name]);
      if ("n" in changes) {
        train = state.n === 2 ? Float64Array.of(-1.5, 1.5) : M.sample(truth, state.n, M.randoms(20));
        law = M.mixture(1, train, 0);
      }
      pick.switch.row.style.visibility = state.where === "always" || state.where === "never" ? "hidden" : "";
      if ("n" in changes || "where" in changes || "switch" in changes) run();
      draw();
    }
    function at(t) { // who is in charge at time t: the part below t* has t* itself
      const below = t <= OU.timeOf(state.switch);
      return state.where === "always" || state.where === (below ? "below" : "above") ? law : truth;
    }
    function run() {
      const star = OU.timeOf(state.switch);
      const times = M.grid(OU, HIGH, LOW, STEPS, "level").concat([star]).sort(function (a, b) { return b - a; })
        .filter(function (t, k, all) { return !k || t !== all[k - 1]; });
      let x = starts;
      paths = [[OU.level(times[0]), x]];
      for (let k = 0; k < times.length - 1; k++) {
        x = M.ddim(at(times[k]), x, times[k], times[k + 1], OU, 0, null);
        paths.push([OU.level(times[k + 1]), x]);
      }
      ends = x;
      counted = M.wilson(M.copies(ends, 1, train, 1 / 9), PATHS);
    }
    function take(x, y, reach, only) {
      const sx = plane.unit(), sy = (plane.h - 48) / (2 * EDGE), near = reach * sx;
      if (Math.hypot((x - state.level) * sx, (y - state.x) * sy) < near) return "cursor";
      if (pick.switch.row.style.visibility === "" && Math.abs(x - state.switch) * sx < near) return "switch";
      return only ? null : "cursor";
    }
    function move(handle, x, y) {
      const level = Math.max(-6, Math.min(OU.level(LOW), x));
      set(handle === "switch" ? { switch: level } : { level: level, x: Math.max(-EDGE, Math.min(EDGE, y)) });
    }
    function keys(event) {
      const by = event.shiftKey ? 5 : 1, to = { ArrowLeft: [-0.08, 0], ArrowRight: [0.08, 0], ArrowUp: [0, 0.04], ArrowDown: [0, -0.04] }[event.key];
      if (to) move("cursor", state.level + by * to[0], state.x + by * to[1]);
      else if (event.key === "<" || event.key === ",") move("switch", state.switch - 0.15);
      else if (event.key === ">" || event.key === ".") move("switch", state.switch + 0.15);
      else return false;
      return true;
    }
    function numbers() {
      const t = OU.timeOf(state.level), w = new Float64Array(law.K), x = Float64Array.of(state.x);
      const logp = M.posterior(law, x, 0, OU.alpha(t), OU.sigma(t), w);
      return { t: t, weights: w, logp: logp, effective: M.effective(w), ratio: counted, ends: ends, star: OU.timeOf(state.switch) };
    }

    plane.paint = function (pen, p, c) {
      const columns = 60, rows = 60, w = new Float64Array(law.K), x = new Float64Array(1), tint = S.rgb(c.empirical), span = p.view[1] - p.view[0];
      S.pixels(pen, p, p.view, columns, rows, function (data) {
        for (let i = 0; i < columns; i++) {
          const t = OU.timeOf(p.view[0] + (i + 0.5) / columns * span), alpha = OU.alpha(t), sigma = OU.sigma(t);
          for (let j = 0; j < rows; j++) {
            x[0] = EDGE - (j + 0.5) / rows * 2 * EDGE;
            M.posterior(law, x, 0, alpha, sigma, w);
            const o = 4 * (j * columns + i);
            data.set(tint, o);
            data[o + 3] = 110 * Math.min(1, Math.max(0, 2 - M.effective(w)));
          }
        }
      });
      if (state.where === "below" || state.where === "above") {
        pen.strokeStyle = c.ink;
        pen.lineWidth = 2;
        pen.setLineDash([6, 4]);
        pen.beginPath();
        pen.moveTo(p.X(state.switch), p.Y(-EDGE)); pen.lineTo(p.X(state.switch), p.Y(EDGE));
        pen.stroke();
        pen.setLineDash([]);
        pen.fillStyle = c.ink;
        pen.font = "14px sans-serif";
        pen.textAlign = state.switch > 6 ? "right" : "left";
        pen.fillText(state.switch > 6 ? "t* " : " t*", p.X(state.switch), p.Y(EDGE) + 16);
      }
      pen.lineWidth = 1;
      for (let i = 0; i < SHOWN; i++) {
        pen.beginPath();
        paths.forEach(function (one, k) { pen[k ? "lineTo" : "moveTo"](p.X(one[0]), p.Y(one[1][i])); });
        pen.strokeStyle = M.memorized(ends, i, 1, train, 1 / 9) ? c.memorized : c.truth;
        pen.globalAlpha = 0.55;
        pen.stroke();
      }
      pen.globalAlpha = 1;
      for (const v of train) S.dot(pen, p.X(p.view[1]) - 4, p.Y(v), 3, c.train, c.back);
      const a = p.X(state.level), b = p.Y(state.x);
      pen.strokeStyle = c.back;
      for (const wide of [5, 2.5]) {
        pen.lineWidth = wide;
        pen.beginPath();
        pen.moveTo(a - 9, b); pen.lineTo(a + 9, b); pen.moveTo(a, b - 9); pen.lineTo(a, b + 9);
        pen.stroke();
        pen.strokeStyle = c.learned;
      }
    };
    bars.paint = function (pen, p, c) {
      const w = numbers().weights;
      w.forEach(function (weight, i) {
        pen.strokeStyle = c.learned;
        pen.lineWidth = law.K > 20 ? 2 : 4;
        pen.beginPath();
        pen.moveTo(p.X(0), p.Y(train[i])); pen.lineTo(p.X(weight), p.Y(train[i]));
        pen.stroke();
        S.dot(pen, p.X(0) + 3, p.Y(train[i]), 3, c.train, c.back);
      });
    };
    function paintAll() {
      plane.draw();
      bars.draw();
      const n = numbers(), top = Math.max(...n.weights);
      says("t = " + S.digits(n.t) + ", x = " + state.x.toFixed(2) + ": " + n.effective.toFixed(2) + " of " + law.K + " training points count; largest weight " +
        top.toFixed(3) + ".\nEmpirical score " + { below: "below", above: "above", always: "always", never: "never" }[state.where] +
        (state.where === "below" || state.where === "above" ? " t* = " + S.digits(n.star) : "") + ": copies " + S.share(n.ratio) + " of " + PATHS + ".");
    }
    const draw = S.lazily(paintAll);
    set(state);
    return { state: state, set: set, numbers: numbers, draw: paintAll, starts: starts, get train() { return train; } };
  });
})();
