/* The mathematics of the live figures: schedules, scores, posterior weights, samplers, the 1/9 rule, intervals, the predicted gap.
   Pages and Node load the same file; the tests compare it with the library. Points are flat Float64Arrays, d numbers a point. */
(function (root) {
  "use strict";

  // What noise at time t means. `level` is the log signal-to-noise ratio, log(alpha^2 / sigma^2).
  function preserving(integral, rate, timeOf, tMax) { // alpha^2 = exp(-integral), sigma^2 = 1 - alpha^2
    return {
      tMax: tMax,
      alpha: function (t) { return Math.exp(-integral(t) / 2); },
      sigma: function (t) { return Math.sqrt(-Math.expm1(-integral(t))); },
      level: function (t) { return -Math.log(Math.expm1(integral(t))); },
      drift: function (t) { return -rate(t) / 2; },
      diffusion: function (t) { return Math.sqrt(rate(t)); },
      timeOf: function (level) { return timeOf(softplus(-level)); },
    };
  }

  function softplus(x) { return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)); }

  const LOW = 0.1, SPAN = 19.9; // beta(0), beta(1) - beta(0) of the linear schedule
  const SHIFT = 0.008, RATE = Math.PI / 2 / (1 + SHIFT); // of the cosine
  const schedules = {
    ou: preserving(function (t) { return t; }, function () { return 1; }, function (i) { return i; }, Infinity),
    linear: preserving(
      function (t) { return LOW * t + 0.5 * SPAN * t * t; },
      function (t) { return LOW + SPAN * t; },
      function (i) { return 2 * i / (LOW + Math.sqrt(LOW * LOW + 2 * SPAN * i)); }, 1),
    cosine: {
      tMax: 1,
      alpha: function (t) { return Math.sin((1 - t) * RATE) / Math.cos(SHIFT * RATE); },
      sigma: function (t) { return Math.sqrt(Math.sin(t * RATE) * Math.sin((t + 2 * SHIFT) * RATE)) / Math.cos(SHIFT * RATE); },
      level: function (t) { return 2 * Math.log(this.alpha(t) / this.sigma(t)); },
      drift: function (t) { return -RATE / Math.tan((1 - t) * RATE); },
      diffusion: function (t) { return Math.sqrt(-2 * this.drift(t)); },
      timeOf: function (level) {
        const c = Math.cos(SHIFT * RATE) ** 2, p = 1 / (1 + Math.exp(-level)), q = 1 / (1 + Math.exp(level));
        return Math.max(0, Math.atan2(Math.sqrt(q * c + 1 - c), Math.sqrt(p * c)) / RATE - SHIFT);
      },
    },
    flow: {
      tMax: 1,
      alpha: function (t) { return 1 - t; },
      sigma: function (t) { return t; },
      level: function (t) { return 2 * Math.log((1 - t) / t); },
      drift: function (t) { return -1 / (1 - t); },
      diffusion: function (t) { return Math.sqrt(2 * t / (1 - t)); },
      timeOf: function (level) { return 1 / (1 + Math.exp(level / 2)); },
    },
  };

  /* A mixture of Gaussians in d dimensions, diffused later. `spread`: one variance, a variance for each component, or, in the plane,
     a covariance [xx, xy, yy] for each. The empirical law of a training set is the one of variance 0. */
  function mixture(d, means, spread, weights) {
    const K = means.length / d, total = weights ? weights.reduce(function (a, b) { return a + b; }, 0) : K;
    const full = Array.isArray(spread) && Array.isArray(spread[0]);
    return {
      d: d, K: K, means: Float64Array.from(means),
      full: full ? spread : null,
      variance: Float64Array.from({ length: K }, function (_, k) { return full ? 0 : Array.isArray(spread) ? spread[k] : spread; }),
      logWeight: Float64Array.from({ length: K }, function (_, k) { return Math.log((weights ? weights[k] : 1) / total); }),
      scratch: new Float64Array(K),
    };
  }

  // Posterior weights of the components given X = x[at..at + d] at (alpha, sigma), into `out`; returns log p(x).
  function posterior(law, x, at, alpha, sigma, out) {
    const d = law.d, K = law.K, mu = law.means, a2 = alpha * alpha, s2 = sigma * sigma;
    let top = -Infinity;
    for (let k = 0; k < K; k++) {
      let q = 0, logdet;
      if (law.full) {
        const c = law.full[k], xx = a2 * c[0] + s2, xy = a2 * c[1], yy = a2 * c[2] + s2, det = xx * yy - xy * xy;
        const u = x[at] - alpha * mu[2 * k], v = x[at + 1] - alpha * mu[2 * k + 1];
        q = (yy * u * u - 2 * xy * u * v + xx * v * v) / det;
        logdet = Math.log(det);
      } else {
        const V = a2 * law.variance[k] + s2;
        for (let j = 0; j < d; j++) {
          const u = x[at + j] - alpha * mu[k * d + j];
          q += u * u;
        }
        q /= V;
        logdet = d * (k && law.variance[k] === law.variance[0] ? law.logV : (law.logV = Math.log(V)));
      }
      const l = law.logWeight[k] - (q + logdet) / 2;
      out[k] = l;
      if (l > top) top = l;
    }
    let sum = 0;
    for (let k = 0; k < K; k++) {
      const gap = out[k] - top;
      sum += out[k] = gap < -50 ? 0 : Math.exp(gap); // exp(-50) is beyond what a sum of doubles near 1 can hold
    }
    for (let k = 0; k < K; k++) out[k] /= sum;
    return top + Math.log(sum) - d / 2 * Math.log(2 * Math.PI);
  }

  // grad log p at m points x, into `out`.
  function score(law, x, alpha, sigma, out) {
    const d = law.d, w = law.scratch, mu = law.means, a2 = alpha * alpha, s2 = sigma * sigma;
    out = out || new Float64Array(x.length);
    for (let at = 0; at < x.length; at += d) {
      posterior(law, x, at, alpha, sigma, w);
      for (let j = 0; j < d; j++) out[at + j] = 0;
      for (let k = 0; k < law.K; k++) {
        if (w[k] === 0) continue;
        if (law.full) {
          const c = law.full[k], xx = a2 * c[0] + s2, xy = a2 * c[1], yy = a2 * c[2] + s2, r = w[k] / (xx * yy - xy * xy);
          const u = x[at] - alpha * mu[2 * k], v = x[at + 1] - alpha * mu[2 * k + 1];
          out[at] -= r * (yy * u - xy * v);
          out[at + 1] -= r * (xx * v - xy * u);
        } else {
          const r = w[k] / (a2 * law.variance[k] + s2);
          for (let j = 0; j < d; j++) out[at + j] -= r * (x[at + j] - alpha * mu[k * d + j]);
        }
      }
    }
    return out;
  }

  function logProb(law, x, alpha, sigma) {
    const out = new Float64Array(x.length / law.d);
    for (let i = 0; i < out.length; i++) out[i] = posterior(law, x, i * law.d, alpha, sigma, law.scratch);
    return out;
  }

  // Eigenvalues [low, high] of the Hessian of log p at x[at..at + 2], components round: sum_k r_k (g_k g_k' - I / V_k) - s s'.
  function curvature(law, x, at, alpha, sigma) {
    const w = law.scratch;
    posterior(law, x, at, alpha, sigma, w);
    let sx = 0, sy = 0, xx = 0, xy = 0, yy = 0, flat = 0;
    for (let pass = 0; pass < 2; pass++) { // spread of the component scores about their mean, which is the score
      for (let k = 0; k < law.K; k++) {
        const V = alpha * alpha * law.variance[k] + sigma * sigma;
        const u = (alpha * law.means[2 * k] - x[at]) / V, v = (alpha * law.means[2 * k + 1] - x[at + 1]) / V;
        if (!pass) { sx += w[k] * u; sy += w[k] * v; flat += w[k] / V; continue; }
        xx += w[k] * (u - sx) * (u - sx);
        xy += w[k] * (u - sx) * (v - sy);
        yy += w[k] * (v - sy) * (v - sy);
      }
    }
    const middle = (xx + yy) / 2, half = Math.hypot((xx - yy) / 2, xy);
    return [middle - half - flat, middle + half - flat];
  }

  // Bounds on the Lipschitz constant of the empirical score: max(1/s^2, a^2 r^2 / (4 s^4) - 1/s^2), r the least and the largest distance.
  function steepness(train, alpha, sigma) {
    let least = Infinity, most = 0;
    for (let i = 0; i < train.length; i += 2) {
      for (let j = 0; j < i; j += 2) {
        const q = (train[i] - train[j]) ** 2 + (train[i + 1] - train[j + 1]) ** 2;
        if (q > 0 && q < least) least = q;
        if (q > most) most = q;
      }
    }
    const floor = 1 / (sigma * sigma), rate = alpha * alpha / 4 * floor * floor;
    return [Math.max(floor, least < Infinity ? rate * least - floor : floor), Math.max(floor, rate * most - floor)];
  }

  function effective(weights) { // 1 / sum of squares: how many points still count
    let sum = 0;
    for (const w of weights) sum += w * w;
    return 1 / sum;
  }

  // Falling grids: `steps` equal steps of t, or of the log signal-to-noise ratio.
  function grid(schedule, high, low, steps, even) {
    const a = even === "t" ? high : schedule.level(high), b = even === "t" ? low : schedule.level(low), times = [];
    for (let k = 0; k <= steps; k++) {
      const v = a + (b - a) * k / steps;
      times.push(k === 0 ? high : k === steps ? low : even === "t" ? v : schedule.timeOf(v));
    }
    return times;
  }

  // One step of DDIM from t to s < t: eta = 0 the probability flow with its linear part solved, eta = 1 ancestral sampling.
  function ddim(law, x, t, s, schedule, eta, noise) {
    const at = schedule.alpha(t), st = schedule.sigma(t), as = schedule.alpha(s), ss = schedule.sigma(s);
    const c = eta * ss * Math.sqrt(Math.max(0, 1 - (at * ss / (as * st)) ** 2)), kept = Math.sqrt(Math.max(0, ss * ss - c * c));
    const g = score(law, x, at, st), out = new Float64Array(x.length);
    for (let i = 0; i < x.length; i++) {
      const x0 = (x[i] + st * st * g[i]) / at;
      out[i] = as * x0 - kept * st * g[i] + (c ? c * noise[i] : 0);
    }
    return out;
  }

  // One Euler step from t to s < t: of the reverse SDE with noise, of the probability-flow ODE without.
  function euler(law, x, t, s, schedule, noise) {
    const h = t - s, f = schedule.drift(t), g = schedule.diffusion(t), share = noise ? 1 : 0.5;
    const grad = score(law, x, schedule.alpha(t), schedule.sigma(t)), out = new Float64Array(x.length);
    for (let i = 0; i < x.length; i++) {
      out[i] = x[i] - h * (f * x[i] - share * g * g * grad[i]) + (noise ? g * Math.sqrt(h) * noise[i] : 0);
    }
    return out;
  }

  // Squared distances to the nearest and the second nearest *distinct* training point, and which one is nearest.
  function nearest(x, at, d, train) {
    let first = Infinity, second = Infinity, who = -1;
    for (let i = 0; i < train.length; i += d) {
      let q = 0, same = who >= 0;
      for (let j = 0; j < d; j++) {
        q += (x[at + j] - train[i + j]) ** 2;
        if (same && train[i + j] !== train[who * d + j]) same = false;
      }
      if (same) continue;
      if (q < first) { second = first; first = q; who = i / d; }
      else if (q < second) second = q;
    }
    return { first: first, second: second, who: who };
  }

  function memorized(x, at, d, train, threshold) {
    const found = nearest(x, at, d, train);
    return found.first <= threshold * found.second;
  }

  function copies(x, d, train, threshold) {
    let k = 0;
    for (let at = 0; at < x.length; at += d) k += memorized(x, at, d, train, threshold);
    return k;
  }

  function wilson(k, m) { // share k / m with its 95 % interval
    const z = 1.959963984540054, p = k / m, q = z * z / m;
    const middle = (p + q / 2) / (1 + q), half = z / (1 + q) * Math.sqrt(p * (1 - p) / m + q / (4 * m));
    return { value: p, low: k === 0 ? 0 : Math.min(p, middle - half), high: k === m ? 1 : Math.max(p, middle + half) };
  }

  // Random numbers with a seed: the same page shows the same picture.
  function randoms(seed) {
    let state = seed >>> 0, spare = null;
    function uniform() { // mulberry32
      state = (state + 0x6d2b79f5) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 15), z | 1);
      z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
      return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
    }
    function normal() {
      if (spare !== null) { const s = spare; spare = null; return s; }
      const r = Math.sqrt(-2 * Math.log(1 - uniform())), a = 2 * Math.PI * uniform();
      spare = r * Math.sin(a);
      return r * Math.cos(a);
    }
    return { uniform: uniform, normal: normal, normals: function (m) { return Float64Array.from({ length: m }, normal); } };
  }

  function sample(law, m, random) { // m clean points
    const d = law.d, out = new Float64Array(m * d);
    for (let i = 0; i < m; i++) {
      let u = random.uniform(), k = 0;
      while (k < law.K - 1 && (u -= Math.exp(law.logWeight[k])) > 0) k++;
      if (law.full) {
        const c = law.full[k], a = Math.sqrt(c[0]), b = c[1] / a, z = random.normal();
        out[2 * i] = law.means[2 * k] + a * z;
        out[2 * i + 1] = law.means[2 * k + 1] + b * z + Math.sqrt(Math.max(0, c[2] - b * b)) * random.normal();
      } else {
        for (let j = 0; j < d; j++) out[i * d + j] = law.means[k * d + j] + Math.sqrt(law.variance[k]) * random.normal();
      }
    }
    return out;
  }

  /* The loss gap that n points of N(0, scale^2 I) in d dimensions leave at time t on the book's clock: the information in nats, the plateau
     (where noise confuses no two points), and the prediction E[ |grad i|^2 / (1 + (n - 1) exp(-i)) ], i the information density.
     With A = alpha^2 scale^2 / (alpha^2 scale^2 + sigma^2) and P, Q independent chi-squared with d degrees of freedom,
       i = I + sqrt(A) (P - Q) / 2,   |grad i|^2 = A / sigma^2 ((1 - sqrt A) P + (1 + sqrt A) Q) / 2   on average over the rest,
     so that two sums over log sqrt P and log sqrt Q are enough. */
  function lossGap(d, n, t, scale, nodes) {
    const signal = (schedules.ou.alpha(t) * scale) ** 2, s2 = schedules.ou.sigma(t) ** 2, A = signal / (signal + s2), r = Math.sqrt(A);
    const information = d / 2 * Math.log1p(signal / s2), N = nodes || Math.max(d < 3 ? 480 : 240, Math.ceil(10 * Math.sqrt(d)));
    const grid = chi(d, N);
    let sum = 0;
    for (let a = 0; a < N; a++) {
      for (let b = 0; b < N; b++) {
        const w = grid.weight[a] * grid.weight[b];
        if (w < 1e-22) continue;
        const i = information + r * (grid.square[a] - grid.square[b]) / 2;
        sum += w * ((1 - r) * grid.square[a] + (1 + r) * grid.square[b]) / 2 / (1 + (n - 1) * Math.exp(-i));
      }
    }
    return { logN: Math.log(n), information: information, plateau: d * A / s2, gap: A / s2 * sum };
  }

  function chi(d, N) { // nodes for the square of a chi variable, even in its logarithm
    const top = Math.log(d) / 2, peak = d * top - d / 2;
    function edge(sign) { // where the density has fallen to exp(-50) of its largest value
      let near = top, far = top + sign;
      const height = function (s) { return d * s - Math.exp(2 * s) / 2 - peak; };
      while (height(far) > -50) far = top + 2 * (far - top);
      for (let k = 0; k < 60; k++) { const mid = (near + far) / 2; if (height(mid) > -50) near = mid; else far = mid; }
      return far;
    }
    const low = edge(-1), high = edge(1), square = new Float64Array(N), weight = new Float64Array(N);
    let total = 0;
    for (let k = 0; k < N; k++) {
      const s = low + (high - low) * (k + 0.5) / N;
      square[k] = Math.exp(2 * s);
      total += weight[k] = Math.exp(d * s - square[k] / 2 - peak);
    }
    for (let k = 0; k < N; k++) weight[k] /= total;
    return { square: square, weight: weight };
  }

  const maths = {
    schedules: schedules, mixture: mixture, posterior: posterior, score: score, logProb: logProb, effective: effective, grid: grid,
    curvature: curvature, steepness: steepness,
    ddim: ddim, euler: euler, nearest: nearest, memorized: memorized, copies: copies, wilson: wilson, randoms: randoms, sample: sample,
    lossGap: lossGap,
  };
  root.liveMaths = maths;
  if (typeof module === "object" && module.exports) module.exports = maths;
})(typeof globalThis === "object" ? globalThis : this);
