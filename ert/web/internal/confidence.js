/**
 * How far landmarks can be trusted: pixels around them, two forests, and tables that calibrate what these say.
 */
import { Forest, MeanShape, Pool } from "./cascade.js";
import { Crop, squareBox } from "./crop.js";

const WITHIN = 0.05, MIN_SIDE = 0.25, MAX_SIDE = 4, PROBABILITY_FLOOR = 0.001;
const probability = (value) => Math.min(Math.max(value, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR);

/** Interpolate in a table; outside it, its first and last values hold. */
function interpolate(xs, ys, x) {
  let low = 0, high = xs.length - 1;
  if (x <= xs[low]) return ys[low];
  if (x >= xs[high]) return ys[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  const width = xs[high] - xs[low];
  return ys[low] + (width > 0 ? (x - xs[low]) / width : 1) * (ys[high] - ys[low]);
}

/** Return the length by which errors are divided, of predicted landmarks; at least a pixel. */
function normalizerLength(landmarks, boxSide, normalizer) {
  const mean = (from, to, axis) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += landmarks[2 * i + axis];
    return sum / (to - from);
  };
  const extent = (axis) => {
    let low = Infinity, high = -Infinity;
    for (let i = axis; i < landmarks.length; i += 2) {
      low = Math.min(low, landmarks[i]);
      high = Math.max(high, landmarks[i]);
    }
    return high - low;
  };
  const between = { "inter-ocular": [36, 37, 45, 46], "inter-pupil": [36, 42, 42, 48] }[normalizer];
  let length = boxSide;
  if (between) {
    const [a, b, c, d] = between;
    length = Math.hypot(mean(a, b, 0) - mean(c, d, 0), mean(a, b, 1) - mean(c, d, 1));
  } else if (normalizer === "box") length = Math.sqrt(extent(0) * extent(1));
  else if (normalizer === "diagonal") length = Math.hypot(extent(0), extent(1));
  return Math.max(length, 1);
}

/** Standard errors of landmarks, and the probability that they are on the object. */
export class ConfidenceModel {
  constructor(meanShape, arrays, spec, normalizer) {
    this.mean = new MeanShape(meanShape);
    this.crop = new Crop(spec);
    this.normalizer = normalizer;
    this.pool = new Pool(arrays.anchors.data, arrays.deltas.data, arrays.anchors.shape[0], meanShape.length);
    const names = ["pairs", "thresholds", "leaves", "scales", "basis"];
    const forest = (kind) => new Forest(...names.map((name) => arrays[`${kind}_${name}`]));
    [this.errors, this.trust] = [forest("errors"), forest("trust")];
    const [curve, within] = [arrays.curve.data, arrays.within_curve.data];
    this.curve = [curve.subarray(0, curve.length / 2), curve.subarray(curve.length / 2)];
    this.withinCurve = [within.subarray(0, within.length / 2), within.subarray(within.length / 2)];
    const tables = [arrays.baseline, arrays.ratios, arrays.confidence_weights];
    [this.baseline, this.ratios, this.weights] = tables.map(({ data }) => data);
    this.levels = Float64Array.from(this.ratios, (_, i) => i / (this.ratios.length - 1));
  }

  assess(image, box, landmarks, weights) {
    const boxSide = squareBox(box)[2], n = landmarks.length / 2;
    const side = this.#read(image, boxSide, landmarks, weights);
    const values = this.pool.values, length = normalizerLength(landmarks, boxSide, this.normalizer);
    const deviations = this.errors.sum(values, 0, 0), trust = this.trust.sum(values, 0, 0)[0];
    const std = new Float64Array(n), within = new Float64Array(n);
    let total = 0;
    for (let i = 0; i < n; i++) {
      std[i] = side * Math.exp(interpolate(...this.curve, deviations[i]) + this.baseline[i]);
      total += std[i];
      const share = interpolate(this.ratios, this.levels, (WITHIN * length) / std[i]);
      within[i] = probability(interpolate(...this.withinCurve, share));
    }
    const spread = Math.log(total / n / length);
    const logit = this.weights[0] + this.weights[1] * trust + this.weights[2] * spread;
    return { std, within, confidence: probability(1 / (1 + Math.exp(-Math.min(Math.max(logit, -50), 50)))) };
  }

  /** Read the pool around landmarks; return the side of the square that the mean shape must fill to lie on them. */
  #read(image, boxSide, landmarks, weights) {
    const { mean, crop, pool } = this, n = landmarks.length / 2;
    let x = 0, y = 0, a = 0, b = 0;
    for (let i = 0; i < n; i++) {
      const u = landmarks[2 * i], v = landmarks[2 * i + 1];
      x += u / n;
      y += v / n;
      a += mean.basis[2 * i] * u + mean.basis[2 * i + 1] * v;
      b += mean.basis[mean.size + 2 * i] * u + mean.basis[mean.size + 2 * i + 1] * v;
    }
    let side = mean.squaredNorm > 0 ? Math.sqrt(a * a + b * b) / mean.squaredNorm : boxSide;
    side = Math.min(Math.max(side, MIN_SIDE * boxSide), MAX_SIDE * boxSide);
    x -= side / 2;
    y -= side / 2;
    crop.cut(image, weights, x, y, side);
    const shape = new Float32Array(mean.size);
    for (let i = 0; i < 2 * n; i++) shape[i] = (landmarks[i] - (i % 2 ? y : x)) / side;
    mean.fit(shape);
    pool.read(crop, crop.scale, crop.scale, crop.shiftX, crop.shiftY, shape, mean.a, mean.b, 0);
    return side;
  }
}
