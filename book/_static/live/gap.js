/* The loss-gap calculator: dimension, sample size, time and width of the data in; log n, information and predicted gap out. */
(function () {
  "use strict";
  const M = window.liveMaths, S = window.liveStage, TOP = 12;

  S.figure("gap", function (box) {
    const state = { d: 32, n: 1000, t: 0.5, scale: 1 };
    let curve = [], made = "";
    const row = S.element("div", { class: "live-panels" }), says = (box.append(row), S.readout(box));
    const plot = S.panel(row, {
      label: "Predicted loss gap as a share of its plateau, over the number of training points", view: [0, TOP, 0, 1.08], ratio: 0.42, keys: keys,
      axes: { x: "training points n", y: "gap / plateau", xticks: [0, 2, 4, 6, 8, 10, 12].map(function (k) { return [k, k ? "10" + sup(k) : "1"]; }),
        yticks: [[0, "0"], [0.5, "0.5"], [1, "1"]] },
    });
    const controls = S.element("div", { class: "live-controls" });
    box.append(controls);
    function logarithmic(label, name, low, high, text, whole) {
      return S.slider(controls, { label: label, low: Math.log(low), high: Math.log(high), steps: 400, value: Math.log(state[name]),
        text: function (v) { return text(whole ? Math.round(Math.exp(v)) : Math.exp(v)); },
        changed: function (v) { set({ [name]: whole ? Math.round(Math.exp(v)) : Math.exp(v) }); } });
    }
    const pick = {
      d: logarithmic("dimension d", "d", 1, 3072, String, true),
      n: logarithmic("points n", "n", 1, 1e12, function (v) { return S.digits(v); }, true),
      t: logarithmic("time t", "t", 1e-3, 5, function (v) { return S.digits(v); }),
      scale: logarithmic("width of data", "scale", 0.05, 5, function (v) { return S.digits(v); }),
    };
    box.append(S.element("p", { class: "live-note" }, "For data from one Gaussian N(0, width² I) in d dimensions. The dashed line is where log n is the information " +
      "I(X₀; X_t) that a noisy point carries about the clean one. The prediction is the one of this chapter; between the two ends it is low by up to a third."));

    function sup(k) { return String(k).split("").map(function (one) { return "⁰¹²³⁴⁵⁶⁷⁸⁹"[one]; }).join(""); }
    function set(changes) {
      Object.assign(state, changes);
      for (const name in changes) pick[name].set(Math.log(state[name]));
      const key = [state.d, state.t, state.scale].join();
      if (key !== made) {
        made = key;
        curve = [];
        for (let k = 0; k <= 48; k++) {
          const found = M.lossGap(state.d, Math.pow(10, k / 4), state.t, state.scale, Math.min(160, Math.max(70, Math.ceil(3 * Math.sqrt(state.d)))));
          curve.push([k / 4, found.gap / found.plateau]);
        }
      }
      draw();
    }
    function keys(event) {
      const by = { ArrowLeft: 1 / 1.2, ArrowRight: 1.2 }[event.key];
      if (by) set({ n: Math.max(1, Math.min(1e12, by > 1 ? Math.ceil(state.n * by) : Math.floor(state.n * by))) });
      return Boolean(by);
    }
    function numbers() { return M.lossGap(state.d, state.n, state.t, state.scale); }
    plot.paint = function (pen, p, c) {
      const n = numbers(), e = n.information / Math.LN10;
      pen.strokeStyle = c.muted;
      pen.lineWidth = 2;
      pen.setLineDash([6, 4]);
      pen.beginPath();
      pen.moveTo(p.X(e), p.Y(0)); pen.lineTo(p.X(e), p.Y(1.08));
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      curve.forEach(function (one, k) { pen[k ? "lineTo" : "moveTo"](p.X(one[0]), p.Y(one[1])); });
      pen.strokeStyle = c.truth;
      pen.lineWidth = 2.5;
      pen.stroke();
      S.dot(pen, p.X(Math.log10(state.n)), p.Y(n.gap / n.plateau), 6, c.learned, c.back);
    };
    function paintAll() {
      plot.draw();
      const n = numbers();
      says("σ/α = " + S.digits(Math.sqrt(Math.expm1(state.t))) + ", log n = " + n.logN.toFixed(2) + " nats, information " + n.information.toFixed(2) + " nats: " +
        (n.logN < n.information ? "a noisy point still names its training point" : "many training points fit a noisy point") + ".\nPredicted gap " +
        S.digits(n.gap, 4) + " of a plateau of " + S.digits(n.plateau, 4) + ": " + (100 * n.gap / n.plateau).toPrecision(3) + " %.");
    }
    const draw = S.lazily(paintAll);
    set(state);
    return { state: state, set: set, numbers: numbers, draw: paintAll };
  });
})();
