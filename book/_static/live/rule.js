/* The 1/9 rule: a sample and training points to drag, the regions that the rule claims, and a slider for its threshold. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage, EDGE = 5, FRESH = 2000;

  S.figure("rule", function (box) {
    const truth = M.mixture(2, [2.5, 2.5, 2.5, -2.5, -2.5, 2.5, -2.5, -2.5], 1), fresh = M.sample(truth, FRESH, M.randoms(2));
    const state = { n: 30, threshold: 1 / 9, sample: [1.5, 1.2], dots: "no" };
    let train = null;
    const row = S.element("div", { class: "live-panels" }), side = S.element("div", { class: "live-panel" });
    box.append(row);
    const plane = S.panel(row, {
      label: "Training points, the regions in which a sample counts as memorized, and one sample", view: [-EDGE, EDGE, -EDGE, EDGE],
      drag: { take: take, move: move }, keys: keys,
    });
    row.append(side);
    const says = S.readout(side), controls = S.element("div", { class: "live-controls" });
    side.append(controls);
    const pick = {
      threshold: S.slider(controls, { label: "threshold θ", low: 0.01, high: 0.99, steps: 98, value: 1 / 9, text: function (v) { return v.toFixed(3); },
        changed: function (v) { set({ threshold: v }); } }),
      n: S.choice(controls, "training points", [[2, "2"], [5, "5"], [30, "30"], [100, "100"], [300, "300"]], function (v) { set({ n: +v }); }),
      dots: S.choice(controls, "fresh samples", [["no", "counted only"], ["yes", "shown"]], function (v) { set({ dots: v }); }),
    };
    S.buttons(side, [["θ = 1/9", function () { set({ threshold: 1 / 9 }); }]]);
    box.append(S.element("p", { class: "live-note" }, "Drag the sample (green ring), or a training point; with keys, arrows move the sample (Shift: further), " +
      "+ and − the threshold. Red: a sample there counts as memorized. The lines lead to the two nearest training points."));

    function set(changes) {
      Object.assign(state, changes);
      for (const name in changes) if (pick[name]) pick[name].set(state[name]);
      if ("n" in changes) train = M.sample(truth, state.n, M.randoms(1));
      draw();
    }
    function take(x, y, reach, only) {
      if (Math.hypot(x - state.sample[0], y - state.sample[1]) < 1.5 * reach) return "sample";
      const found = M.nearest(Float64Array.of(x, y), 0, 2, train);
      if (found.first < reach * reach / 2) return found.who;
      return only ? null : "sample";
    }
    function inside(v) { return Math.max(-EDGE, Math.min(EDGE, v)); }
    function move(handle, x, y) {
      if (handle === "sample") return set({ sample: [inside(x), inside(y)] });
      train[2 * handle] = inside(x);
      train[2 * handle + 1] = inside(y);
      draw();
    }
    function keys(event) {
      const by = event.shiftKey ? 0.5 : 0.05, to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (to) move("sample", state.sample[0] + by * to[0], state.sample[1] + by * to[1]);
      else if (event.key === "+" || event.key === "-") set({ threshold: Math.max(0.01, Math.min(0.99, state.threshold + (event.key === "+" ? 0.01 : -0.01))) });
      else return false;
      return true;
    }
    function numbers() {
      const x = Float64Array.from(state.sample), found = M.nearest(x, 0, 2, train);
      return { d1: Math.sqrt(found.first), d2: Math.sqrt(found.second), quotient: found.first / found.second, nearest: found.who,
        memorized: M.memorized(x, 0, 2, train, state.threshold), share: M.wilson(M.copies(fresh, 2, train, state.threshold), FRESH), chance: state.threshold };
    }
    plane.paint = function (pen, p, c) {
      const n = train.length > 300 ? 100 : 200, x = new Float64Array(2), tint = S.rgb(c.memorized);
      S.pixels(pen, p, p.view, n, n, function (data) {
        for (let i = 0; i < n * n; i++) {
          x[0] = (i % n + 0.5) / n * 2 * EDGE - EDGE;
          x[1] = EDGE - (Math.floor(i / n) + 0.5) / n * 2 * EDGE;
          if (!M.memorized(x, 0, 2, train, state.threshold)) continue;
          data.set(tint, 4 * i);
          data[4 * i + 3] = 110;
        }
      });
      if (state.dots === "yes") {
        for (let at = 0; at < fresh.length; at += 2) {
          S.dot(pen, p.X(fresh[at]), p.Y(fresh[at + 1]), 1.2, M.memorized(fresh, at, 2, train, state.threshold) ? c.memorized : c.truth);
        }
      }
      const [a, b] = state.sample, found = M.nearest(Float64Array.of(a, b), 0, 2, train);
      for (let i = 0; i < train.length; i += 2) {
        const q = (a - train[i]) ** 2 + (b - train[i + 1]) ** 2;
        if (q === found.first || q === found.second) {
          pen.beginPath();
          pen.moveTo(p.X(a), p.Y(b)); pen.lineTo(p.X(train[i]), p.Y(train[i + 1]));
          pen.strokeStyle = q === found.first ? c.learned : c.muted;
          pen.lineWidth = 2;
          pen.stroke();
        }
        S.dot(pen, p.X(train[i]), p.Y(train[i + 1]), train.length > 200 ? 2.5 : 4, c.train, c.back);
      }
      const copy = M.memorized(Float64Array.of(a, b), 0, 2, train, state.threshold);
      S.dot(pen, p.X(a), p.Y(b), 7, copy ? c.memorized : c.sample, c.learned);
    };
    function paintAll() {
      plane.draw();
      const n = numbers();
      says("d₁ = " + n.d1.toFixed(3) + ", d₂ = " + n.d2.toFixed(3) + ", d₁²/d₂² = " + n.quotient.toFixed(4) + ": " + (n.memorized ? "memorized" : "not memorized") +
        " at θ = " + state.threshold.toFixed(3) + ".\nFresh samples in the red regions: " + S.share(n.share) + " of " + FRESH +
        "; chance level θ in two dimensions: " + n.chance.toFixed(3) + ".");
    }
    const draw = S.lazily(paintAll);
    set(state);
    return { state: state, set: set, numbers: numbers, draw: paintAll, fresh: fresh, get train() { return train; } };
  });
})();
