/* Particles under the reverse SDE and the probability-flow ODE, the same starts, on one time slider. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage, OU = M.schedules.ou, HIGH = 5, LOW = 0.01, COUNT = 400, TRAILS = 5;
  const MEANS = [2.4, 0.6, -0.4, 2.0, -2.0, -0.4, 0.6, -1.6, 0.5, 0.3], WEIGHTS = [0.3, 0.2, 0.25, 0.15, 0.1];
  const SPREAD = [[0.3, 0.18, 0.2], [0.1, -0.04, 0.2], [0.15, 0, 0.5], [0.35, -0.2, 0.25], [0.05, 0, 0.05]]; // the plane of chapter 11

  S.figure("particles", function (box) {
    const law = M.mixture(2, MEANS, SPREAD, WEIGHTS), state = { at: 0.6, steps: 100, even: "level", count: COUNT };
    let times, trails, start, noise, animation = null;
    const row = S.element("div", { class: "live-panels" }), says = (box.append(row), S.readout(box));
    const panels = ["probability-flow ODE", "reverse SDE"].map(function (name, i) {
      const one = S.panel(row, { label: "Particles under the " + name + " over the density at time t", caption: name, view: [-4.5, 4.5, -4, 4], ratio: 8 / 9 });
      one.paint = function (pen, p, c) { paint(pen, p, c, trails[i]); };
      return one;
    });
    const controls = S.element("div", { class: "live-controls" });
    box.append(controls);
    const pick = {
      at: S.slider(controls, { label: "time t", low: 0, high: 1, steps: 1000, value: 0, text: function () { return times ? "t = " + S.digits(times[index()]) : ""; },
        changed: function (v) { if (animation) animation.stop(); set({ at: v }); } }),
      steps: S.choice(controls, "steps", [[100, "100"], [32, "32"], [16, "16"], [8, "8: too few"]], function (v) { set({ steps: +v }); }),
      even: S.choice(controls, "steps even in", [["level", "log-SNR"], ["t", "time t"]], function (v) { set({ even: v }); }),
    };
    S.buttons(box, [["Play", play], ["To the start", function () { if (animation) animation.stop(); set({ at: 0 }); }]]);
    box.append(S.element("p", { class: "live-note" }, "The same " + COUNT + " starts from N(0, σ² I) on both sides; five of them, in green, leave their paths. " +
      "Shaded: the exact density at time t. Euler steps from t = 5 down to 0.01."));

    function index() { return Math.round(state.at * state.steps); }
    function set(changes) {
      Object.assign(state, changes);
      if ("steps" in changes || "even" in changes) run();
      for (const name in changes) if (pick[name]) pick[name].set(state[name]);
      pick.at.show();
      draw();
    }
    function run() {
      const random = M.randoms(5);
      times = M.grid(OU, HIGH, LOW, state.steps, state.even);
      start = random.normals(2 * state.count).map(function (z) { return OU.sigma(HIGH) * z; });
      noise = [];
      trails = [[start], [start]];
      for (let k = 0; k < state.steps; k++) {
        noise.push(random.normals(2 * state.count));
        trails.forEach(function (one, i) { one.push(M.euler(law, one[k], times[k], times[k + 1], OU, i ? noise[k] : null)); });
      }
    }
    function play() {
      if (animation) animation.stop();
      let at = state.at >= 1 ? 0 : state.at;
      animation = S.animate(function () {
        at = Math.min(1, at + 1 / 240);
        set({ at: at });
        return at < 1;
      });
    }
    function moments(x) { // mean and standard deviation of both coordinates
      const found = [];
      for (let j = 0; j < 2; j++) {
        let sum = 0, squares = 0;
        for (let i = j; i < x.length; i += 2) { sum += x[i]; squares += x[i] * x[i]; }
        const mean = sum / (x.length / 2);
        found.push(mean, Math.sqrt(squares / (x.length / 2) - mean * mean));
      }
      return found;
    }
    function exact(t) {
      const found = [], a = OU.alpha(t), s = OU.sigma(t);
      for (let j = 0; j < 2; j++) {
        let mean = 0, squares = 0;
        WEIGHTS.forEach(function (w, k) { mean += w * MEANS[2 * k + j]; squares += w * (SPREAD[k][2 * j] + MEANS[2 * k + j] ** 2); });
        found.push(a * mean, Math.sqrt(a * a * (squares - mean * mean) + s * s));
      }
      return found;
    }
    function numbers() {
      const k = index();
      return { t: times[k], ode: moments(trails[0][k]), sde: moments(trails[1][k]), exact: exact(times[k]), times: times, start: start, noise: noise,
        points: [trails[0][k], trails[1][k]] };
    }
    function paint(pen, p, c, trail) {
      const k = index(), t = times[k], n = 64, x = new Float64Array(2 * n * n), tint = S.rgb(c.truth);
      for (let i = 0; i < n * n; i++) { x[2 * i] = (i % n + 0.5) / n * 9 - 4.5; x[2 * i + 1] = 4 - (Math.floor(i / n) + 0.5) / n * 8; }
      const l = M.logProb(law, x, OU.alpha(t), OU.sigma(t)), top = Math.max(...l);
      S.pixels(pen, p, p.view, n, n, function (data) {
        for (let i = 0; i < n * n; i++) { data.set(tint, 4 * i); data[4 * i + 3] = 130 * Math.exp(l[i] - top); }
      });
      for (let i = 0; i < state.count; i++) S.dot(pen, p.X(trail[k][2 * i]), p.Y(trail[k][2 * i + 1]), 1.8, c.train);
      for (let i = 0; i < TRAILS; i++) {
        pen.strokeStyle = c.learned;
        pen.lineWidth = 1.3;
        pen.globalAlpha = 0.7;
        pen.beginPath();
        for (let j = 0; j <= k; j++) pen[j ? "lineTo" : "moveTo"](p.X(trail[j][2 * i]), p.Y(trail[j][2 * i + 1]));
        pen.stroke();
        pen.globalAlpha = 1;
        S.dot(pen, p.X(trail[k][2 * i]), p.Y(trail[k][2 * i + 1]), 3.5, c.learned, c.back);
      }
    }
    function paintAll() {
      for (const one of panels) one.draw();
      const n = numbers();
      const line = function (m) { return "(" + m[0].toFixed(2) + " ± " + m[1].toFixed(2) + ", " + m[2].toFixed(2) + " ± " + m[3].toFixed(2) + ")"; };
      says("t = " + S.digits(n.t) + ", mean ± standard deviation of both coordinates: ODE " + line(n.ode) + ", SDE " + line(n.sde) + ", exact " + line(n.exact) + ".");
    }
    const draw = S.lazily(paintAll);
    set(state);
    return { state: state, set: set, numbers: numbers, draw: paintAll };
  });
})();
