/* Ridges that steepen: the largest eigenvalue of the Hessian of log p over the plane, as the noise falls; points and a cursor to drag. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage, OU = M.schedules.ou, EDGE = 3.6, SIDE = 110, TOP = Math.log1p(1000);

  S.figure("ridges", function (box) {
    const truth = M.mixture(2, [2, 0, -1, 1.7, -1, -1.7], 0.3), train = M.sample(truth, 9, M.randoms(33));
    const state = { level: OU.level(0.3), kind: "empirical", probe: [0.5, 0.2] };
    let law, tallest = 0;
    const row = S.element("div", { class: "live-panels" }), side = S.element("div", { class: "live-panel" });
    box.append(row);
    const plane = S.panel(row, {
      label: "Largest eigenvalue of the Hessian of log p over the plane", view: [-EDGE, EDGE, -EDGE, EDGE], drag: { take: take, move: move, hover: hover }, keys: keys,
    });
    row.append(side);
    const says = S.readout(side), controls = S.element("div", { class: "live-controls" });
    side.append(controls);
    const pick = {
      level: S.slider(controls, { label: "time t", low: OU.level(4), high: OU.level(0.003), value: state.level,
        text: function (v) { return "t = " + S.digits(OU.timeOf(v)); }, changed: function (v) { set({ level: v }); } }),
      kind: S.choice(controls, "score", [["empirical", "empirical"], ["truth", "true"]], function (v) { set({ kind: v }); }),
    };
    box.append(S.element("p", { class: "live-note" }, "Orange: the score pushes apart (positive eigenvalue), pink: it pulls together (negative); the deeper the larger, on a logarithmic " +
      "scale that stays the same over t. Eigenvalues are given times σ². Drag a training point or the cursor ✛; with keys, arrows move the cursor."));

    function set(changes) {
      Object.assign(state, changes);
      for (const name in changes) if (pick[name]) pick[name].set(state[name]);
      law = state.kind === "truth" ? truth : M.mixture(2, train, 0);
      draw();
    }
    function inside(v) { return Math.max(-EDGE, Math.min(EDGE, v)); }
    function take(x, y, reach, only) {
      const found = M.nearest(Float64Array.of(x, y), 0, 2, train);
      if (found.first < reach * reach) return found.who;
      return only && Math.hypot(x - state.probe[0], y - state.probe[1]) > reach ? null : "cursor";
    }
    function move(handle, x, y) {
      if (handle === "cursor") return set({ probe: [inside(x), inside(y)] });
      train[2 * handle] = inside(x);
      train[2 * handle + 1] = inside(y);
      set({});
    }
    function hover(x, y) { set({ probe: [x, y] }); }
    function keys(event) {
      const by = event.shiftKey ? 0.5 : 0.05, to = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (to) move("cursor", state.probe[0] + by * to[0], state.probe[1] + by * to[1]);
      return Boolean(to);
    }
    function numbers() {
      const t = OU.timeOf(state.level), a = OU.alpha(t), s = OU.sigma(t);
      return { t: t, eigenvalues: M.curvature(law, Float64Array.from(state.probe), 0, a, s), bounds: M.steepness(train, a, s), unit: s * s };
    }
    plane.paint = function (pen, p, c) {
      const t = OU.timeOf(state.level), a = OU.alpha(t), s = OU.sigma(t), x = new Float64Array(2), up = S.rgb(c.empirical), down = S.rgb(c.other);
      tallest = -Infinity;
      S.pixels(pen, p, p.view, SIDE, SIDE, function (data) {
        for (let i = 0; i < SIDE * SIDE; i++) {
          x[0] = (i % SIDE + 0.5) / SIDE * 2 * EDGE - EDGE;
          x[1] = EDGE - (Math.floor(i / SIDE) + 0.5) / SIDE * 2 * EDGE;
          const v = M.curvature(law, x, 0, a, s)[1] * s * s;
          if (v > tallest) tallest = v;
          data.set(v > 0 ? up : down, 4 * i);
          data[4 * i + 3] = 255 * Math.min(1, Math.log1p(Math.abs(v)) / TOP * (v > 0 ? 1.2 : 3));
        }
      });
      for (let i = 0; i < train.length; i += 2) S.dot(pen, p.X(train[i]), p.Y(train[i + 1]), 4, c.train, c.back);
      const cx = p.X(state.probe[0]), cy = p.Y(state.probe[1]);
      pen.strokeStyle = c.learned;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(cx - 8, cy); pen.lineTo(cx + 8, cy); pen.moveTo(cx, cy - 8); pen.lineTo(cx, cy + 8);
      pen.stroke();
    };
    function paintAll() {
      plane.draw();
      const n = numbers();
      says("t = " + S.digits(n.t) + ", σ = " + S.digits(Math.sqrt(n.unit)) + "; eigenvalues at the cursor, times σ²: " + n.eigenvalues.map(function (v) {
        return (v * n.unit).toFixed(2);
      }).join(" and ") + ".\nHighest in the picture: " + S.digits(tallest) + (state.kind === "empirical" ? "; the theorem has C between " +
        S.digits(n.bounds[0] * n.unit) + " and " + S.digits(n.bounds[1] * n.unit) + ", times σ²." : "; the true score stays flat as t falls."));
    }
    const draw = S.lazily(paintAll);
    set(state);
    return { state: state, set: set, numbers: numbers, draw: paintAll, get train() { return train; } };
  });
})();
