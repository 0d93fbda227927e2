// Objects found in a photo by the locator of a model: their boxes, rolls and confidences, as in Python.
//
//   photo ──> copies of several sizes ──> histograms of gradients ──> a linear filter for each roll ──> candidates
//   candidate ──> small cascade: the corners of its box ──> box, roll ──> filter of the upright object ──> confidence

import { Crop, channels, grayImage } from "./internal/cascade.js";
import { INITS } from "./ert.js";
import { fitSimilarity, meanShape, rotation } from "./internal/geometry.js";
import { CELL_PIXELS, N_DIRECTIONS, bestFilters, gradientHistograms } from "./internal/gradients.js";
import { reduce, resizeInTwoSteps, roundToEven } from "./internal/resize.js";
import { locateRotated, rotate } from "./internal/rotated.js";
import { lastOf } from "./internal/steps.js";

/**
 * @typedef {{data: Uint8Array, width: number, height: number}} Gray
 * @typedef {{x: number, y: number, side: number, roll: number, score: number}} Pose - The center in pixels, the mean
 *     side of the box, the roll in degrees, clockwise.
 * @typedef {{box: number[], roll: number, confidence: number}} FoundObject - The box is left, top, width, height in
 *     pixels, as drawn around the upright object.
 */

// From one size that is searched for to the next.
const SIZE_STEP = 2 ** 0.25;
// A copy of the photo has at most so many times the size of the photo, and so many pixels.
const MAX_SCALE = 4, MAX_LEVEL_PIXELS = 2_000_000;
// Of a window, this part may lie beyond each edge of the photo.
const MAX_OUTSIDE = 0.25;
// Candidates that are looked at more closely, for each object that is wanted, and more.
const N_CANDIDATES = 2, MORE_CANDIDATES = 4;
// Two objects are not nearer than this, in widths and heights of their boxes.
const MIN_DISTANCE = 0.5;
// The initializations of each pass of the small cascade, and the score that a pass may lose.
const PASSES = [INITS.slice(0, 1), INITS, INITS], MAX_LOSS = 0.2;
const FOLLOWING_PASSES = [INITS.slice(0, 1), INITS.slice(0, 3)];
// The corners of a box that the small cascade locates, in box coordinates.
const CORNERS = [0, 0, 1, 0, 1, 1, 0, 1];

/** An object as certain as this, where objects usually are, ends the search. */
export const SURE_CONFIDENCE = 0.9;

/**
 * Find the objects of a photo.
 *
 * @param {import("./ert.js").Model} model - With a locator.
 * @param {import("./ert.js").Pixels} image
 * @param {{maxObjects?: number, minConfidence?: number}} [options]
 * @returns {FoundObject[]} The most confident first. A confidence of 0.5 tells objects best from what is none.
 */
export function locateObjects(model, image, options = {}) {
  return lastOf(objectsInSteps(model, image, options));
}

/**
 * The same in steps, to be spread over the frames of a video: each step is given its frame, in which the objects that
 * were found in the first one are looked at more closely.
 *
 * @param {import("./ert.js").Model} model
 * @param {import("./ert.js").Pixels} image
 * @param {{maxObjects?: number, minConfidence?: number}} [options]
 * @returns {Generator<void, FoundObject[], import("./ert.js").Pixels | undefined>}
 */
export function* objectsInSteps(model, image, { maxObjects = 1, minConfidence = 0 } = {}) {
  const locator = locatorOf(model);
  let [small, factor] = locator.reducePhoto(image);
  const found = maxObjects === 1 ? locator.startPoses(small).map((pose) => locator.refine(small, pose)) : [];
  if (found.length === 0 || locator.confidenceOf(found[0]) < SURE_CONFIDENCE) {
    for (const pose of yield* locator.search(small, N_CANDIDATES * maxObjects + MORE_CANDIDATES)) {
      const frame = yield;
      if (frame) [small, factor] = locator.reducePhoto(frame);
      found.push(locator.refine(small, pose));
    }
  }
  return locator
    .separate(found, maxObjects)
    .map((pose) => ({ box: locator.boxOf(pose, factor), roll: pose.roll, confidence: locator.confidenceOf(pose) }))
    .filter(({ confidence }) => confidence >= minConfidence);
}

/**
 * Return the box and the roll of an object whose landmarks are known.
 *
 * @param {import("./ert.js").Model} model - With a locator.
 * @param {ArrayLike<number>} landmarks
 * @returns {{box: number[], roll: number}}
 */
export function poseOfLandmarks(model, landmarks) {
  const { shape, sides } = model.locator.arrays;
  const { a, b, middle, center } = fitSimilarity(shape.data, landmarks);
  const u = 0.5 - middle[0], v = 0.5 - middle[1];
  const x = center[0] + a * u - b * v, y = center[1] + b * u + a * v;
  const [width, height] = Array.from(sides.data, (side) => side * Math.hypot(a, b));
  return { box: [x - width / 2, y - height / 2, width + 1, height + 1], roll: degrees(a, b) };
}

/**
 * Return the pose of an object near a pose, as in a frame soon after, and its confidence.
 *
 * @param {import("./ert.js").Model} model - With a locator.
 * @param {import("./ert.js").Pixels} image
 * @param {{box: number[], roll: number}} pose
 * @returns {FoundObject}
 */
export function followObject(model, image, { box: [left, top, width, height], roll }) {
  const locator = locatorOf(model);
  const near = { x: left + (width - 1) / 2, y: top + (height - 1) / 2, side: (width + height) / 2 - 1, roll, score: 0 };
  const pose = FOLLOWING_PASSES.reduce((from, inits) => locator.moved(image, from, inits) ?? from, near);
  pose.score = locator.scoreOf(image, pose);
  return { box: locator.boxOf(pose), roll: pose.roll, confidence: locator.confidenceOf(pose) };
}

const degrees = (a, b) => (Math.atan2(b, a) * 180) / Math.PI;

/** @type {WeakMap<import("./ert.js").Model, Locator>} */
const LOCATORS = new WeakMap();

/** The locator of a model, which is made once. */
function locatorOf(model) {
  if (!LOCATORS.has(model)) LOCATORS.set(model, new Locator(model));
  return LOCATORS.get(model);
}

class Locator {
  constructor(model) {
    if (!model.locator) throw new TypeError("model: expected one with a locator");
    const { header, arrays, cascade } = model.locator;
    this.grayWeights = model.grayWeights;
    this.cascade = cascade;
    this.pixels = header.pixels;
    this.rows = arrays.filters.shape[1];
    this.columns = arrays.filters.shape[2];
    for (const [name, array] of Object.entries(arrays)) this[name] = array.data;
    this.cells = [this.columns + 2, this.rows + 2].map((n) => CELL_PIXELS * n);
    const radius = (Math.hypot(...this.cells) / 2 + 2) / this.pixels;
    const region = [0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius];
    this.crop = new Crop({ region, workingSize: roundToEven(this.pixels), blur: 1, minContrast: 0 });
  }

  confidenceOf({ score }) {
    const [constant, weight] = this.confidence_weights;
    const logit = Math.min(Math.max(constant + weight * score, -50), 50);
    return Math.round(1e6 / (1 + Math.exp(-logit))) / 1e6;
  }

  /** The box of a pose in a photo that was reduced by a factor. */
  boxOf({ x, y, side }, factor = 1) {
    const [width, height] = Array.from(this.sides, (length) => side * factor * length);
    const [u, v] = [x, y].map((place) => (place + 0.5) * factor - 0.5);
    return [u - width / 2, v - height / 2, width + 1, height + 1];
  }

  /** Reduce a photo by the integer factor at which the smallest objects keep their details; return both. */
  reducePhoto(image) {
    const gray = channels(image) === 1 ? image : grayImage(image, this.grayWeights);
    const least = this.relative_sides[0] * Math.sqrt(gray.width * gray.height);
    const factor = Math.max(1, Math.floor(least / (2 * this.pixels)));
    return [factor === 1 ? gray : reduce(gray, factor), factor];
  }

  /** The pose at which objects usually lie in a photo, if there is one. */
  startPoses(gray) {
    const [x, y, side] = this.start;
    const pose = { x: x * gray.width - 0.5, y: y * gray.height - 0.5, roll: 0, score: 0 };
    return side ? [{ ...pose, side: side * Math.sqrt(gray.width * gray.height) }] : [];
  }

  /** The best windows of all sizes and rolls, the best first. */
  *search(gray, nCandidates) {
    const [low, high] = Array.from(this.relative_sides, (side) => side * Math.sqrt(gray.width * gray.height));
    const nLevels = 1 + Math.max(0, Math.ceil(Math.log(high / low) / Math.log(SIZE_STEP) - 1e-9));
    const candidates = [];
    for (let i = 0; i < nLevels; i++) {
      yield;
      candidates.push(...(yield* this.searchSize(gray, low * SIZE_STEP ** i, nCandidates)));
    }
    return this.separate(candidates, nCandidates);
  }

  *searchSize(gray, side, nCandidates) {
    const area = gray.width * gray.height;
    const scale = Math.min(this.pixels / side, MAX_SCALE, Math.sqrt(MAX_LEVEL_PIXELS / area));
    const size = [gray.width, gray.height].map((length) => Math.max(1, Math.floor(length * scale)));
    const part = [Math.min(size[0] / scale, gray.width), Math.min(size[1] / scale, gray.height)];
    const margin = CELL_PIXELS * roundToEven(MAX_OUTSIDE * Math.max(this.rows, this.columns));
    const level = padded(resizeInTwoSteps(gray, size[0], size[1], part), margin);
    const histograms = gradientHistograms(level);
    if (histograms.rows < this.rows || histograms.columns < this.columns) return [];
    const found = yield* bestFilters(histograms, this.filters, this.offsets, this.rows, this.columns);
    return peaks(found, nCandidates).map((k) => {
      const i = Math.floor(k / found.nAcross), j = k % found.nAcross;
      return {
        x: (CELL_PIXELS * (this.columns / 2 + j) - margin) / scale - 0.5,
        y: (CELL_PIXELS * (this.rows / 2 + i) - margin) / scale - 0.5,
        side: this.pixels / scale,
        roll: this.rolls[found.best[k]],
        score: found.scores[k],
      };
    });
  }

  /** The n poses with the highest scores, without those too near to a better one. */
  separate(poses, n) {
    const kept = [];
    for (const pose of poses.slice().sort((one, other) => other.score - one.score)) {
      if (kept.length === n) break;
      if (kept.every((other) => this.distance(pose, other) >= MIN_DISTANCE)) kept.push(pose);
    }
    return kept;
  }

  /** The distance of centers along the sides of a box, in sides of the larger one. */
  distance(one, other) {
    const larger = one.side > other.side ? one : other;
    const [cos, , sin] = rotation(larger.roll);
    const x = one.x - other.x, y = one.y - other.y;
    const [width, height] = Array.from(this.sides, (side) => side * larger.side);
    return Math.max(Math.abs(cos * x + sin * y) / width, Math.abs(cos * y - sin * x) / height);
  }

  /** The pose whose corners the small cascade finds near a pose, with its score. */
  refine(gray, first) {
    let pose = { ...first, score: this.scoreOf(gray, first) };
    for (const inits of PASSES) {
      const moved = this.moved(gray, pose, inits);
      if (!moved) break;
      moved.score = this.scoreOf(gray, moved);
      // The corners are more accurate than the score; but the cascade errs far from the objects that it has seen.
      if (moved.score < pose.score - MAX_LOSS) break;
      pose = moved;
    }
    return pose;
  }

  /** The pose of the corners that the small cascade finds near a pose; null if they are far from it. */
  moved(image, pose, inits) {
    const box = this.boxOf(pose);
    const corners = locateRotated(this.cascade, image, box, pose.roll, inits, null, this.grayWeights);
    const { a, b, center } = fitSimilarity(CORNERS, meanShape(corners));
    const side = Math.hypot(a, b);
    if (!(side >= 0.5 * pose.side && side <= 2 * pose.side)) return null;
    return { x: center[0], y: center[1], side, roll: degrees(a, b), score: 0 };
  }

  /** The score of the upright object's filter at a pose. */
  scoreOf(image, { x, y, side, roll }) {
    this.crop.cut(image, this.grayWeights, x - side / 2, y - side / 2, side);
    const { scale, shiftX, shiftY } = this.crop;
    const [cos, , sin] = rotation(roll).map((number) => (number * scale) / this.pixels);
    const [u, v] = this.cells.map((length) => (length - 1) / 2);
    const start = [shiftX + scale / 2 - cos * u + sin * v, shiftY + scale / 2 - sin * u - cos * v];
    const window = rotate(this.crop, cos, sin, start, ...this.cells);
    const { data, columns: stride } = gradientHistograms(window);
    // The cells at the edge are those that the others are divided by.
    let sum = this.offsets[0];
    for (let r = 0, k = 0; r < this.rows; r++) {
      const first = ((r + 1) * stride + 1) * N_DIRECTIONS;
      for (let i = 0; i < this.columns * N_DIRECTIONS; i++) sum += data[first + i] * this.filters[k++];
    }
    return sum;
  }
}

/** An image with a margin of its edge pixels. */
function padded({ data, width, height }, margin) {
  const wide = width + 2 * margin, high = height + 2 * margin;
  const pixels = new Uint8Array(wide * high);
  for (let r = 0; r < high; r++) {
    const from = Math.min(Math.max(r - margin, 0), height - 1) * width, to = r * wide;
    pixels.fill(data[from], to, to + margin);
    pixels.set(data.subarray(from, from + width), to + margin);
    pixels.fill(data[from + width - 1], to + margin + width, to + wide);
  }
  return { data: pixels, width: wide, height: high };
}

/** The places of the n largest local maxima, the largest first. */
function peaks({ scores, nDown, nAcross }, n) {
  const isPeak = (k) => {
    const i = Math.floor(k / nAcross), j = k % nAcross;
    for (let r = Math.max(i - 1, 0); r <= Math.min(i + 1, nDown - 1); r++) {
      for (let c = Math.max(j - 1, 0); c <= Math.min(j + 1, nAcross - 1); c++) {
        if (scores[r * nAcross + c] > scores[k]) return false;
      }
    }
    return true;
  };
  const places = [];
  for (let k = 0; k < scores.length; k++) if (isPeak(k)) places.push(k);
  return places.sort((one, other) => scores[other] - scores[one]).slice(0, n);
}
