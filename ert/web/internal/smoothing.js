// Low-lag smoothing of landmarks over frames, with the numbers of Python; pose and shape are filtered separately.
//
//   shape ──> pose (position, scale, roll) ──> AdaptiveFilter with velocities ─┐
//         └─> deformation (the remainder) ───> AdaptiveFilter ─────────────────┴─> shape
//
// An AdaptiveFilter averages while points are at rest and follows them closely as soon as they move: it detects motion
// by successive prediction errors that agree in direction.

import { fitSimilarity } from "./geometry.js";

// Gains are those of this frame rate and are converted to the time between frames.
const FRAMES_PER_SECOND = 30;
// Range of the gain, the weight of an observation.
const MIN_GAIN = 0.04, MAX_GAIN = 0.95;
// Mean prediction errors, in standard deviations of the noise, that indicate rest and motion.
const REST_ERROR = 0.7, MOTION_ERROR = 2.4;
// Gains of the running means of prediction error and noise.
const ERROR_GAIN = 0.4, NOISE_GAIN = 0.05;
// Growth of the inverse gain per observation after motion; 1 would be an exact running mean.
const INVERSE_GAIN_STEP = 0.6;
// Range of the estimated noise, relative to the expected noise.
const MIN_NOISE = 0.5, MAX_NOISE = 8;
// Expected noise of the pose and of the deformation, in sizes of the object.
const POSE_NOISE = 0.003, DEFORMATION_NOISE = 0.005;
// What is left of velocities after a second without an observation.
const VELOCITY_KEPT = 0.1;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
/** Convert the gain of one step to that of several or of a fraction of one. */
const gainOver = (gain, steps) => 1 - (1 - gain) ** steps;

/** Filters noisy points x0, y0, x1, y1, ... that rest, start, move and stop. Each point has its own gain. */
export class AdaptiveFilter {
  /**
   * @param {ArrayLike<number>} values
   * @param {boolean} useVelocity
   */
  constructor(values, useVelocity) {
    this.values = Float64Array.from(values);
    this.velocities = new Float64Array(values.length);
    this.useVelocity = useVelocity;
    this.error = new Float64Array(values.length);
    this.lastError = null;
    this.noise = new Float64Array(values.length / 2).fill(1);
    this.gain = new Float64Array(values.length / 2).fill(1);
  }

  /** @param {number} seconds @returns {Float64Array} The expected points after some time. */
  predict(seconds) {
    return this.values.map((value, i) => value + seconds * this.velocities[i]);
  }

  /**
   * Add an observation, some time above 0 after the last.
   *
   * @param {ArrayLike<number>} values
   * @param {ArrayLike<number>} noise - The expected standard deviation of each point.
   * @param {number} seconds
   */
  update(values, noise, seconds) {
    const steps = seconds * FRAMES_PER_SECOND;
    const predicted = this.predict(seconds);
    const error = predicted.map((value, i) => values[i] - value);
    for (let k = 0; k < this.gain.length; k++) {
      if (this.lastError) this.#updateNoise(k, error, noise[k], steps);
      this.#updatePoint(k, predicted, error, noise[k], steps, seconds);
    }
    this.lastError = error;
  }

  #updateNoise(k, error, expected, steps) {
    // A change of speed makes successive errors differ too, so the noise is estimated only at rest.
    if (this.gain[k] >= 0.5) return;
    const x = error[2 * k] - this.lastError[2 * k], y = error[2 * k + 1] - this.lastError[2 * k + 1];
    const observed = Math.min(Math.sqrt(x * x + y * y) / Math.SQRT2 / expected, 3 * this.noise[k]);
    const square = this.noise[k] ** 2;
    const mean = Math.sqrt(square + gainOver(NOISE_GAIN, steps) * (observed ** 2 - square));
    this.noise[k] = clamp(mean, MIN_NOISE, MAX_NOISE);
  }

  #updatePoint(k, predicted, error, expected, steps, seconds) {
    const both = [2 * k, 2 * k + 1];
    for (const i of both) this.error[i] += gainOver(ERROR_GAIN, steps) * (error[i] - this.error[i]);
    const length = (vectors) => Math.sqrt(vectors[2 * k] ** 2 + vectors[2 * k + 1] ** 2);
    const motion = Math.max(length(this.error), length(this.velocities) / FRAMES_PER_SECOND);
    const relative = (motion / (expected * this.noise[k]) - REST_ERROR) / (MOTION_ERROR - REST_ERROR);
    const gain = gainOver(MIN_GAIN + (MAX_GAIN - MIN_GAIN) * clamp(relative, 0, 1), steps);
    this.gain[k] = Math.max(gain, 1 / (1 / this.gain[k] + INVERSE_GAIN_STEP));
    for (const i of both) {
      this.values[i] = predicted[i] + this.gain[k] * error[i];
      // The gain of a critically damped alpha-beta filter (Kalata 1984).
      if (this.useVelocity) this.velocities[i] += ((gain ** 2 / (2 - gain)) * error[i]) / seconds;
      this.error[i] *= 1 - this.gain[k];
    }
  }

  /**
   * Extrapolate without an observation.
   *
   * @param {number} seconds
   * @param {number} keep - The factor by which velocities decay per second.
   */
  coast(seconds, keep) {
    this.values = this.predict(seconds);
    this.velocities = this.velocities.map((velocity) => velocity * keep ** seconds);
    this.lastError = null;
    // The next observation is taken as it is.
    this.gain.fill(1);
  }
}

/** Smooths the landmarks of one object over frames. */
export class ShapeSmoother {
  /**
   * @param {ArrayLike<number>} shape
   * @param {ArrayLike<number>} meanShape
   */
  constructor(shape, meanShape) {
    this.mean = centered(meanShape);
    const pose = this.#poseOf(shape);
    this.pose = new AdaptiveFilter(pose, true);
    this.deformation = new AdaptiveFilter(this.#deformationOf(shape, pose), false);
  }

  /** @param {number} seconds @returns {Float64Array} The expected shape in pixels after some time. */
  predict(seconds) {
    const [x, y, a, b] = this.pose.predict(seconds);
    const placed = new Float64Array(this.mean.length);
    for (let i = 0; i < placed.length; i += 2) {
      const u = this.mean[i] + this.deformation.values[i], v = this.mean[i + 1] + this.deformation.values[i + 1];
      placed[i] = a * u - b * v + x;
      placed[i + 1] = b * u + a * v + y;
    }
    return placed;
  }

  /**
   * Add the shape of the next frame; landmarks with a larger standard error than the others are smoothed more.
   *
   * @param {ArrayLike<number>} shape
   * @param {number} seconds
   * @param {ArrayLike<number> | null} [std]
   * @returns {Float64Array} The filtered shape.
   */
  update(shape, seconds, std = null) {
    const pose = this.#poseOf(shape), size = Math.hypot(pose[2], pose[3]);
    this.pose.update(pose, [POSE_NOISE * size, POSE_NOISE * size], seconds);
    const noise = new Float64Array(shape.length / 2).fill(DEFORMATION_NOISE);
    if (std) {
      // Only relative to the median: errors that persist over frames are not noise.
      const typical = Math.max(median(std), 1e-9);
      for (let k = 0; k < noise.length; k++) noise[k] *= clamp(std[k] / typical, 0.5, 2);
    }
    this.deformation.update(this.#deformationOf(shape, pose), noise, seconds);
    return this.predict(0);
  }

  /** @param {number} seconds @returns {Float64Array} The expected shape, extrapolated and slowing down. */
  coast(seconds) {
    this.pose.coast(seconds, VELOCITY_KEPT);
    this.deformation.coast(seconds, 1);
    return this.predict(0);
  }

  /** The center of a shape in pixels, and a and b of the similarity from the mean shape. */
  #poseOf(shape) {
    const { a, b, center } = fitSimilarity(this.mean, shape);
    return [...center, ...(this.mean.some((value) => value !== 0) ? [a, b] : [1, 0])];
  }

  /** The difference of a shape from the mean shape, in coordinates of the mean shape. */
  #deformationOf(shape, [x, y, a, b]) {
    const squared = Math.max(a * a + b * b, 1e-12);
    return this.mean.map((value, i) => {
      const u = shape[i - (i % 2)] - x, v = shape[i - (i % 2) + 1] - y;
      return (i % 2 ? a * v - b * u : a * u + b * v) / squared - value;
    });
  }
}

function centered(shape) {
  const sums = [0, 0];
  for (let i = 0; i < shape.length; i++) sums[i % 2] += shape[i];
  return Float64Array.from(shape, (value, i) => value - (2 * sums[i % 2]) / shape.length);
}

function median(values) {
  const ordered = Float64Array.from(values).sort(), n = ordered.length;
  return (ordered[(n - 1) >> 1] + ordered[n >> 1]) / 2;
}
