/**
 * Models of dlib: its files (.dat), and how its cascades run, to the same pixels and the same rounding as in dlib.
 *
 *     INT       a byte (low nibble: how many bytes follow, 1-8; 0x80: negative), then those bytes, little-endian
 *     FLOAT     INT mantissa m, INT exponent e: m * 2 ** e; m = 0 with e >= 32000 is an infinity or no number
 *     MATRIX    INT -rows, INT -columns, FLOATs row by row
 *     VECTOR    INT count, then the items
 *
 *     file      INT 1 | MATRIX mean shape (2L x 1) | VECTOR of stages of VECTOR of trees
 *               | VECTOR of stages of VECTOR of INT anchors | VECTOR of stages of VECTOR of FLOAT x, y deltas
 *     tree      VECTOR of splits {INT first pixel, INT second pixel, FLOAT threshold} | VECTOR of MATRIX (2L x 1)
 */
import { Forest, addTurned, withinReach } from "./cascade.js";
import { ModelError, check, checkArrays } from "./checks.js";
import { channels, grayImage } from "./crop.js";

const f = Math.fround;
const TRUNCATED = "is truncated", BAD_COUNT = "holds a count that does not fit the rest of the file";
const FOREIGN = "is no shape_predictor of dlib's format version 1", NOT_FINITE = "holds a number that is not finite";
const BAD_INDEX = "holds the number of a pixel or landmark that does not exist";

// For exponents of one byte.
const MAX_POWER = 255, POWERS = Float64Array.from({ length: 2 * MAX_POWER + 1 }, (_, i) => 2 ** (i - MAX_POWER));

function fail(text) {
  throw new ModelError(`the dlib model file ${text}`);
}

function finite(value) {
  if (!Number.isFinite(value)) fail(NOT_FINITE);
  return value;
}

class Reader {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.place = 0;
  }

  int() {
    const { data, place } = this;
    if (place >= data.length) fail(TRUNCATED);
    const control = data[place], n = control & 0x0f;
    if (control & 0x70) fail("holds numbers as text, as very old versions of dlib wrote them");
    if (n < 1 || n > 8) fail(FOREIGN);
    if (place + n >= data.length) fail(TRUNCATED);
    let low = 0, high = 0;
    for (let i = Math.min(n, 4); i > 0; i--) low = low * 256 + data[place + i];
    for (let i = n; i > 4; i--) high = high * 256 + data[place + i];
    if (high >= 2 ** 30) fail(BAD_COUNT);
    this.place = place + 1 + n;
    const value = high * 2 ** 32 + low;
    return control & 0x80 ? -value : value;
  }

  float() {
    const { data, place } = this, control = data[place], n = control & 0x0f, end = place + n + 2;
    // Nearly all of the millions have a mantissa of up to four bytes and an exponent of one.
    if (!(control & 0x70) && n >= 1 && n <= 4 && end < data.length && (data[end - 1] & 0x7f) === 1) {
      let whole = 0;
      for (let i = n; i > 0; i--) whole = whole * 256 + data[place + i];
      this.place = end + 1;
      const power = POWERS[MAX_POWER + (data[end - 1] & 0x80 ? -data[end] : data[end])];
      return finite(f((control & 0x80 ? -whole : whole) * power));
    }
    const mantissa = this.int(), exponent = this.int();
    if (mantissa === 0 && exponent >= 32000) fail(NOT_FINITE);
    if (Math.abs(exponent) > 1000) fail(FOREIGN);
    // In two steps: a power of 2 alone may be too small.
    const half = Math.trunc(exponent / 2);
    return finite(f(mantissa * 2 ** half * 2 ** (exponent - half)));
  }

  /** Read a VECTOR's count. */
  expect(count) {
    if (this.int() !== count) fail(BAD_COUNT);
  }

  index() {
    const value = this.int();
    if (value < 0 || value > 65535) fail(BAD_INDEX);
    return value;
  }

  /** Read a MATRIX of one column. */
  column(out, from, size) {
    const rows = Math.abs(this.int()), columns = Math.abs(this.int());
    if (rows !== size || columns !== 1) fail(BAD_COUNT);
    for (let i = from; i < from + size; i++) out[i] = this.float();
  }
}

/** Read a .dat file: the parts of a model. @param {Uint8Array} bytes */
export function readDat(bytes) {
  const sizes = readSizes(new Reader(bytes));
  const { nValues, nStages, nTrees, nSplits } = sizes, nLandmarks = nValues / 2;
  const reader = new Reader(bytes);
  const nNodes = nStages * nTrees * nSplits, nLeaves = nStages * nTrees * (nSplits + 1);
  const mean = new Float32Array(nValues);
  const pairs = new Uint16Array(2 * nNodes), thresholds = new Float32Array(nNodes);
  const leaves = new Float32Array(nLeaves * nValues);
  reader.int();
  reader.column(mean, 0, nValues);
  reader.expect(nStages);
  for (let tree = 0, node = 0, leaf = 0; tree < nStages * nTrees; tree++) {
    if (tree % nTrees === 0) reader.expect(nTrees);
    reader.expect(nSplits);
    for (let split = 0; split < nSplits; split++, node++) {
      pairs[2 * node] = reader.index();
      pairs[2 * node + 1] = reader.index();
      thresholds[node] = reader.float();
    }
    reader.expect(nSplits + 1);
    for (let i = 0; i <= nSplits; i++, leaf++) reader.column(leaves, leaf * nValues, nValues);
  }
  const { anchors, deltas, nPixels } = readPools(reader, nStages);
  if (reader.place !== bytes.length) fail("is longer than the model in it");
  if (anchors.some((i) => i >= nLandmarks) || pairs.some((i) => i >= nPixels)) fail(BAD_INDEX);
  const array = (data, type, ...shape) => ({ data, type, shape });
  const arrays = {
    mean_shape: array(mean, "<f4", nLandmarks, 2),
    anchors: array(anchors, "<u2", nStages, nPixels),
    deltas: array(deltas, "<f4", nStages, nPixels, 2),
    pairs: array(pairs, "<u2", nStages, nTrees, nSplits, 2),
    thresholds: array(thresholds, "<f4", nStages, nTrees, nSplits),
    leaves: array(leaves, "<f4", nStages, nTrees, nSplits + 1, nValues),
    scales: array(new Float32Array(0), "<f4", nStages, 0),
    basis: array(new Int16Array(0), "<i2", nStages, 0, nValues),
  };
  checkArrays(arrays, "dlib");
  const names = Array.from({ length: nLandmarks }, (_, i) => String(i));
  const params = { kind: "dlib", gray_weights: "dlib" };
  const header = { kind: "dlib", params, landmark_names: names, mirror_map: null };
  return { header, names, mirrorMap: null, cascade: new DlibCascade(arrays), confidence: null, locator: null };
}

/** Read the sizes of the first stage and the first tree, before anything large is allocated. */
function readSizes(reader) {
  const size = reader.data.length;
  if (reader.int() !== 1) fail(FOREIGN);
  const nValues = Math.abs(reader.int()), columns = Math.abs(reader.int());
  if (columns !== 1 || nValues === 0 || nValues % 2) fail(FOREIGN);
  // Every number of a file takes two bytes at the least, and a FLOAT four.
  if (nValues > size / 4) fail(BAD_COUNT);
  for (let i = 0; i < nValues; i++) reader.float();
  const nStages = reader.int(), nTrees = reader.int(), nSplits = reader.int();
  if (Math.min(nStages, nTrees, nSplits) < 1 || Math.max(nStages, nTrees, nSplits) > size) fail(BAD_COUNT);
  if (!Number.isInteger(Math.log2(nSplits + 1))) fail(FOREIGN);
  if (4 * nValues * (nSplits + 1) * nTrees * nStages > size) fail(BAD_COUNT);
  return { nValues, nStages, nTrees, nSplits };
}

function readPools(reader, nStages) {
  reader.expect(nStages);
  const start = reader.place, nPixels = reader.int();
  // An anchor takes two bytes and a delta eight.
  if (nPixels < 1 || nPixels > 65535 || nPixels * 10 * nStages > reader.data.length) fail(BAD_COUNT);
  reader.place = start;
  const anchors = new Uint16Array(nStages * nPixels), deltas = new Float32Array(2 * nStages * nPixels);
  for (let i = 0; i < anchors.length; i++) {
    if (i % nPixels === 0) reader.expect(nPixels);
    anchors[i] = reader.index();
  }
  reader.expect(nStages);
  for (let i = 0; i < anchors.length; i++) {
    if (i % nPixels === 0) reader.expect(nPixels);
    deltas[2 * i] = reader.float();
    deltas[2 * i + 1] = reader.float();
  }
  return { anchors, deltas, nPixels };
}

/** A cascade of dlib's kind: pixels are read from the image, 0 outside it; the box is stretched to the unit square;
 * leaves are whole shapes of floats, or compact as in ert's own kind, and are not rotated with the shape. */
export class DlibCascade {
  /** @param {Record<string, import("./cascade.js").Values>} arrays */
  constructor(arrays) {
    this.meanShape = arrays.mean_shape.data;
    [this.nStages, this.nPixels] = arrays.anchors.shape;
    this.anchors = arrays.anchors.data;
    this.deltas = arrays.deltas.data;
    this.forest = new Forest(arrays.pairs, arrays.thresholds, arrays.leaves, arrays.scales, arrays.basis);
    this.exact = arrays.basis.shape[1] === 0;
    this.values = new Uint8Array(this.nPixels);
    this.shape = new Float32Array(this.meanShape.length);
  }

  /** See Cascade.predict. @returns {Float64Array[]} */
  predict(image, box, inits, mirrorMap, weights) {
    const gray = channels(image) === 1 ? image : grayImage(image, weights);
    return inits.map(([right, down, scale, mirrored]) => {
      let [left, top, width, height] = box;
      // The box itself is left as it is, to the last bit.
      if (right !== 0 || down !== 0 || scale !== 1) {
        const x = right + (1 - scale) / 2, y = down + (1 - scale) / 2, [across, along] = [width - 1, height - 1];
        [left, top, width, height] = [left + x * across, top + y * along, scale * across + 1, scale * along + 1];
      }
      // From its right end to its left.
      if (mirrored) [left, width] = [left + width - 1, 2 - width];
      this.#run(gray, left, top, width, height);
      const landmarks = new Float64Array(this.shape.length);
      for (let i = 0; i < landmarks.length; i += 2) {
        const to = mirrored ? 2 * mirrorMap[i / 2] : i;
        landmarks[to] = withinReach(this.shape[i]) * (width - 1) + left;
        landmarks[to + 1] = withinReach(this.shape[i + 1]) * (height - 1) + top;
      }
      return landmarks;
    });
  }

  /** Return how far the cascade reads from the center of the box, in its sides, and the pixels that it needs. */
  reach() {
    const { anchors, deltas, meanShape } = this, distances = [0, 0];
    for (let i = 0; i < 2 * anchors.length; i++) {
      const axis = i % 2, place = f(meanShape[2 * anchors[i >> 1] + axis] + deltas[i]);
      distances[axis] = Math.max(distances[axis], Math.abs(place - 0.5));
    }
    return { distances: distances.map((distance) => f(distance + 0.3)), workingSize: 400, stretched: true };
  }

  #run({ data, width: columns, height: rows }, left, top, width, height) {
    const { anchors, deltas, nPixels, shape, values, forest } = this;
    shape.set(this.meanShape);
    for (let stage = 0; stage < this.nStages; stage++) {
      const [a, b] = similarity(this.meanShape, shape);
      for (let p = 0, k = stage * nPixels; p < nPixels; p++, k++) {
        const anchor = 2 * anchors[k], u = deltas[2 * k], v = deltas[2 * k + 1];
        const px = f(f(f(a * u) - f(b * v)) + shape[anchor]), py = f(f(f(b * u) + f(a * v)) + shape[anchor + 1]);
        const x = Math.floor(px * (width - 1) + left + 0.5), y = Math.floor(py * (height - 1) + top + 0.5);
        values[p] = x >= 0 && y >= 0 && x < columns && y < rows ? data[y * columns + x] : 0;
      }
      if (this.exact) this.#addLeaves(stage);
      else addTurned(forest.sum(values, stage, stage), 1, 0, shape);
    }
  }

  /** Add leaves of floats to the shape, tree after tree, so that every rounding is that of dlib. */
  #addLeaves(stage) {
    const { forest, shape } = this, { leaves, offsets, nTrees } = forest, size = shape.length;
    forest.findLeaves(this.values, stage);
    for (let tree = 0; tree < nTrees; tree++) {
      for (let i = 0, from = offsets[tree] * size; i < size; i++) shape[i] += leaves[from + i];
    }
  }
}

/** Fit the rotation and scale ((a, -b), (b, a)) from the mean shape to a shape, in double precision. */
function similarity(meanShape, shape) {
  const n = shape.length / 2;
  let meanX = 0, meanY = 0, x = 0, y = 0, a = 0, b = 0, total = 0;
  for (let i = 0; i < 2 * n; i += 2) {
    meanX += meanShape[i];
    meanY += meanShape[i + 1];
    x += shape[i];
    y += shape[i + 1];
  }
  [meanX, meanY, x, y] = [meanX / n, meanY / n, x / n, y / n];
  for (let i = 0; i < 2 * n; i += 2) {
    const u = meanShape[i] - meanX, v = meanShape[i + 1] - meanY, s = shape[i] - x, t = shape[i + 1] - y;
    a += u * s + v * t;
    b += u * t - v * s;
    total += u * u + v * v;
  }
  return total === 0 ? [1, 0] : [f(a / total), f(b / total)];
}
