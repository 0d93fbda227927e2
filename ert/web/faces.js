// Faces found by a cascade of multi-block local binary patterns (Zhang et al., ICB 2007), as detector "lbp" of Python.
//
//   gray image ──> sums above and left of each pixel ──> windows of all sizes, and their mirror images
//              ──> 20 stages of patterns: 3 x 3 blocks, each brighter than the middle one or not
//              ──> windows that agree ──> one box each

import { reduceTo } from "./internal/resize.js";
import { lastOf } from "./internal/steps.js";

/**
 * @typedef {{data: Uint8Array, width: number, height: number}} Gray
 * @typedef {{window: number[], features: number[][], stages: {threshold: number, decisions: number[][]}[]}} FaceCascade
 * @typedef {{box: number[], score: number}} ScoredBox
 * @typedef {object} DetectOptions
 * @property {number} [minSize] - Width of the smallest faces, in pixels of the reduced image.
 * @property {number} [maxSide] - Images are reduced to this length of their longest side.
 * @property {number} [minWindows] - A face is found by at least so many windows.
 * @property {number} [sizeStep] - From one size of windows to the next.
 * @property {boolean} [coarse] - Look at every second place across and down, and at the others only beside those that
 *     pass some stages: three times as fast, and nearly the same.
 */

/** Images are reduced to this length of their longest side in pixels. */
export const MAX_SIDE = 1000;
/** Places that are looked at in a step of a search: one takes some 2 ms. */
const STEP_PLACES = 4000;
// Windows that overlap by this part of what both cover agree.
const MIN_AGREEMENT = 0.45;
// The score that a stage may lack, as in scikit-image.
const SCORE_TOLERANCE = 1e-5;
// Stages that a place passes whose neighbors are looked at in a coarse search.
const COARSE_STAGES = 2;
// The bit of each neighbor in the mirror image, from the lowest: left, lower left, below, ... clockwise.
const MIRRORED_BITS = [4, 3, 2, 1, 0, 7, 6, 5];

/** Finds upright faces from the front. */
export class FaceDetector {
  /** @param {FaceCascade | string} cascade - What `face_cascade()` of Python returns, or this as JSON. */
  constructor(cascade) {
    const parsed = typeof cascade === "string" ? JSON.parse(cascade) : cascade;
    this.cascade = parsed;
    this.stages = stageArrays(parsed);
    this.scores = [patternScores(parsed, false), patternScores(parsed, true)];
  }

  /**
   * @param {Gray} gray
   * @param {DetectOptions} [options]
   * @returns {number[][]} Boxes as left, top, width, height in pixels of the image, the largest first.
   */
  detect(gray, options = {}) {
    return this.detectScored(gray, options).map((face) => face.box);
  }

  /**
   * @param {Gray} gray
   * @param {DetectOptions} [options]
   * @returns {ScoredBox[]} The largest first. A score is log2 of the number of windows over the least.
   */
  detectScored(gray, options = {}) {
    return lastOf(this.steps(gray, options));
  }

  /** The same in steps, to be spread over the frames of a video; the image is read in the first one. */
  *steps(gray, { minSize = 36, maxSide = MAX_SIDE, minWindows = 4, sizeStep = 1.2, coarse = false } = {}) {
    const small = reduceTo(gray, maxSide);
    const across = gray.width / small.width, down = gray.height / small.height;
    const windows = yield* this.windows(small, { minSize, sizeStep, coarse });
    return keepBest(mergeWindows(windows, minWindows))
      .map(({ box: [left, top, width, height], score }) => ({
        box: [left * across, top * down, width * across, height * down],
        score,
      }))
      .sort((one, other) => area(other.box) - area(one.box));
  }

  /** All windows that pass all stages: of the image as it is, then of its mirror image. */
  *windows({ width, height, data }, { minSize, sizeStep, coarse }) {
    const [base] = this.cascade.window;
    const sums = integralImage({ width, height, data });
    const found = [[], []];
    const longest = Math.max(width, height);
    const first = Math.max(0, Math.log(minSize / base) / Math.log(sizeStep));
    const last = Math.log(longest / base) / Math.log(sizeStep);
    let nPlaces = 0;
    for (let power = first; power < last; power++) {
      const scale = Math.fround(sizeStep ** power);
      const size = Math.trunc(Math.fround(base * scale));
      if (size > width || size > height) break;
      for (const mirrored of [0, 1]) {
        const blocks = scaledBlocks(this.cascade, scale, size, width + 1, mirrored === 1);
        const scores = this.scores[mirrored], step = Math.round(scale);
        const nDown = Math.ceil((height - size) / step), nAcross = Math.ceil((width - size) / step);
        const grid = { sums, width, blocks, scores, size, step, mirrored, coarse, nDown, nAcross };
        for (let row = 0; row < nDown; row += coarse ? 2 : 1) {
          nPlaces += this.scanRow(grid, row, found[mirrored]);
          if (nPlaces < STEP_PLACES) continue;
          nPlaces = 0;
          yield;
        }
      }
    }
    return found.flat();
  }

  /** Look at the places of a row, in a coarse search also at some of the next one; return how many. */
  scanRow({ sums, width, blocks, scores, size, step, mirrored, coarse, nDown, nAcross }, row, found) {
    const nStages = this.stages.ends.length;
    let nPlaces = 0;
    const look = (row, column) => {
      const top = row * step, left = mirrored ? width - size - column * step : column * step;
      const n = stagesPassed(sums, top * (width + 1) + left, this.stages, blocks, scores);
      nPlaces++;
      if (n === nStages) found.push([left, top, size, size]);
      return n;
    };
    for (let column = 0; column < nAcross; column += coarse ? 2 : 1) {
      if (look(row, column) < COARSE_STAGES || !coarse) continue;
      if (column + 1 < nAcross) look(row, column + 1);
      if (row + 1 < nDown) look(row + 1, column);
      if (row + 1 < nDown && column + 1 < nAcross) look(row + 1, column + 1);
    }
    return nPlaces;
  }
}

/** Sums of the pixels above and left of each corner of pixels. */
function integralImage({ data, width, height }) {
  const stride = width + 1;
  const sums = new Int32Array(stride * (height + 1));
  for (let r = 0, i = 0; r < height; r++) {
    let line = 0;
    for (let c = 0, place = (r + 1) * stride + 1; c < width; c++, place++) {
      line += data[i++];
      sums[place] = sums[place - stride] + line;
    }
  }
  return sums;
}

/**
 * For each stage, the number of the first decision after it; for each decision, the scores so far below which a stage
 * is failed and from which on it is passed, whatever its other decisions add.
 */
function stageArrays({ stages }) {
  let end = 0;
  const failing = [], passing = [];
  for (const { threshold, decisions } of stages) {
    decisions.forEach((_, k) => {
      const rest = decisions.slice(k + 1);
      const sum = (pick) => rest.reduce((total, decision) => total + pick(decision[9], decision[10]), 0);
      failing.push(threshold - SCORE_TOLERANCE - sum(Math.max));
      passing.push(threshold - SCORE_TOLERANCE - sum(Math.min));
    });
  }
  const ends = Int32Array.from(stages, (stage) => (end += stage.decisions.length));
  return { ends, failing: Float64Array.from(failing), passing: Float64Array.from(passing) };
}

/** What each of the 256 patterns adds to the score, for each decision, in the image or its mirror image. */
function patternScores({ stages }, mirrored) {
  const decisions = stages.flatMap((stage) => stage.decisions);
  const scores = new Float32Array(256 * decisions.length);
  decisions.forEach((decision, k) => {
    for (let code = 0; code < 256; code++) {
      const from = mirrored ? mirroredCode(code) : code;
      const bit = (decision[1 + (from >> 5)] >> (from & 31)) & 1;
      scores[256 * k + code] = decision[bit ? 9 : 10];
    }
  });
  return scores;
}

function mirroredCode(code) {
  let mirrored = 0;
  for (let bit = 0; bit < 8; bit++) mirrored |= ((code >> bit) & 1) << MIRRORED_BITS[bit];
  return mirrored;
}

/** For each decision: the place of its first block in sums, and the steps to the next block across and down. */
function scaledBlocks({ stages, features }, scale, size, stride, mirrored) {
  const blocks = stages.flatMap((stage) =>
    stage.decisions.flatMap(([feature]) => {
      const [x, y, width, height] = features[feature].map((length) => Math.trunc(Math.fround(length * scale)));
      const left = mirrored ? size - x - 3 * width : x;
      return [y * stride + left, width, height * stride];
    }),
  );
  return Int32Array.from(blocks);
}

function stagesPassed(sums, place, { ends, failing, passing }, blocks, scores) {
  for (let stage = 0, k = 0; stage < ends.length; k = ends[stage++]) {
    for (let score = 0; ; k++) {
      const code = patternAt(sums, place + blocks[3 * k], blocks[3 * k + 1], blocks[3 * k + 2]);
      score += scores[256 * k + code];
      if (score < failing[k]) return stage;
      if (score >= passing[k]) break;
    }
  }
  return ends.length;
}

/** One bit for each of the eight blocks around the middle one, clockwise from the upper left one: not darker. */
function patternAt(sums, first, across, down) {
  const second = first + down, third = second + down, fourth = third + down;
  const two = 2 * across, three = 3 * across;
  const b1 = sums[second + across], b2 = sums[second + two];
  const c1 = sums[third + across], c2 = sums[third + two];
  const middle = (c2 - c1 - b2 + b1) | 0;
  const a0 = sums[first], a1 = sums[first + across], a2 = sums[first + two], a3 = sums[first + three];
  const b0 = sums[second], b3 = sums[second + three], c0 = sums[third], c3 = sums[third + three];
  const d0 = sums[fourth], d1 = sums[fourth + across], d2 = sums[fourth + two], d3 = sums[fourth + three];
  // The sign of a difference in all bits, one of which is kept: a branch would often be predicted wrongly.
  const darker =
    (((b1 - b0 - a1 + a0 - middle) >> 31) & 128) |
    (((b2 - b1 - a2 + a1 - middle) >> 31) & 64) |
    (((b3 - b2 - a3 + a2 - middle) >> 31) & 32) |
    (((c3 - c2 - b3 + b2 - middle) >> 31) & 16) |
    (((d3 - d2 - c3 + c2 - middle) >> 31) & 8) |
    (((d2 - d1 - c2 + c1 - middle) >> 31) & 4) |
    (((d1 - d0 - c1 + c0 - middle) >> 31) & 2) |
    (((c1 - c0 - b1 + b0 - middle) >> 31) & 1);
  return darker ^ 255;
}

/** Average the windows that agree, and count the windows of each box. */
function mergeWindows(windows, minWindows) {
  const merged = [];
  for (const window of windows) {
    const agreeing = windows.filter((other) => {
      const shared = sharedArea(window, other);
      return shared > MIN_AGREEMENT * (area(window) + area(other) - shared);
    });
    if (agreeing.length < minWindows) continue;
    const box = [0, 1, 2, 3].map((i) => agreeing.reduce((sum, each) => sum + each[i], 0) / agreeing.length);
    merged.push({ box, score: Math.log2(agreeing.length / minWindows) });
  }
  return merged;
}

/** The best first, without those that overlap a better one by half of the smaller one. */
function keepBest(faces) {
  const kept = [];
  for (const face of faces.sort((one, other) => other.score - one.score)) {
    const fits = ({ box }) => sharedArea(box, face.box) <= 0.5 * Math.min(area(box), area(face.box));
    if (kept.every(fits)) kept.push(face);
  }
  return kept;
}

function sharedArea([left, top, width, height], [otherLeft, otherTop, otherWidth, otherHeight]) {
  const across = Math.min(left + width, otherLeft + otherWidth) - Math.max(left, otherLeft);
  const down = Math.min(top + height, otherTop + otherHeight) - Math.max(top, otherTop);
  return Math.max(across, 0) * Math.max(down, 0);
}

function area([, , width, height]) {
  return width * height;
}
