/**
 * How a cascade of ert finds landmarks (Kazemi & Sullivan, CVPR 2014): it moves the mean shape onto an object,
 *
 *     image --> crop --> per stage: similarity to the mean shape --> pixels of the pool --> leaves of the trees
 *                                   --> sum of leaves --> shape += sum * basis
 *
 * Numbers are rounded to single precision and added up in the order of the Python library, because a last bit decides
 * now and then which pixel is read.
 *
 * @typedef {import("./crop.js").Pixels} Pixels
 * @typedef {import("./crop.js").Box} Box
 * @typedef {{data: any, shape: number[], type: string}} Values  an array of a model file
 */
import { Crop, channels, grayImage, squareBox } from "./crop.js";
import { SCALE, orientationMaps } from "./orientation.js";

export { Crop, channels, grayImage };

const f = Math.fround;

// ---------------------------------------------------------------------------------------------------------- forests

const LANES = 16, COLUMNS = 4;
const MAX_ROUNDED = 32767, MIN_AMOUNT = 1e-30;
const ODD_BYTES = 0x00ff00ff, SIGN_BITS = 0x80808080 | 0, MAX_TREES_IN_16_BITS = 257;

const padded = (n) => Math.ceil(n / LANES) * LANES;
// Round half to even, as Python does; exact for numbers that are not larger.
export const rint = (value) => value + 6755399441055744 - 6755399441055744;

/** Add up every 16th number, then fold half on half: the order of the sums in Python. */
function folded(totals) {
  for (let lanes = LANES / 2; lanes > 0; lanes >>= 1) {
    for (let i = 0; i < lanes; i++) totals[i] += totals[i + lanes];
  }
  return totals[0];
}

/** The trees of all stages, and the bases of displacements that their leaves are expressed in. */
export class Forest {
  /** @param {Values} pairs  (stages, trees, splits, 2)  @param {Values} thresholds  (stages, trees, splits)
   * @param {Values} leaves  (stages, trees, leaves, components)  @param {Values} scales  (stages, components)
   * @param {Values} basis  (bases, components, outputs) */
  constructor(pairs, thresholds, leaves, scales, basis) {
    [this.nTrees, this.nSplits, this.leafSize] = [...thresholds.shape.slice(-2), leaves.shape.at(-1)];
    this.depth = Math.log2(this.nSplits + 1);
    // The two pixels of a split in one number.
    this.pairs = new Uint32Array(pairs.data.buffer, pairs.data.byteOffset, pairs.data.length / 2);
    this.thresholds = wholeNumbers(thresholds.data);
    this.offsets = new Int32Array(this.nTrees);
    this.leaves = leaves.data;
    this.words = leaves.type === "|i1" ? asWords(leaves.data, this.leafSize) : null;
    const rows = (this.rows = padded(this.leafSize));
    this.components = new Int32Array(rows);
    this.amounts = new Float32Array(rows);
    this.rounded = new Float64Array(rows);
    this.scales = scales.data;
    this.nOutputs = basis.shape.at(-1);
    this.columns = transposed(basis.data, this.leafSize, this.nOutputs);
    this.limit = f(2 ** (32 - 8 * basis.data.BYTES_PER_ELEMENT) - rows);
    this.out = new Float32Array(this.nOutputs);
  }

  /** Find the leaves that pixel values fall into, and return their sum times the basis.
   * @param {Uint8Array} values  of the feature pool */
  sum(values, stage, basisNumber) {
    this.findLeaves(values, stage);
    if (this.words) this.#addWords(stage);
    else this.#addNumbers(stage);
    this.#multiply(stage, basisNumber);
    return this.out;
  }

  findLeaves(values, stage) {
    const { pairs, thresholds, offsets, nTrees, nSplits, depth } = this;
    for (let tree = 0, first = stage * nTrees * nSplits; tree < nTrees; tree++, first += nSplits) {
      let node = 0;
      for (let level = 0; level < depth; level++) {
        const pair = pairs[first + node];
        // To the left where the difference is greater than the threshold; no branch that is hard to foresee.
        const excess = values[pair & 0xffff] - values[pair >>> 16] - thresholds[first + node];
        node = 2 * node + 1 + ((excess - 1) >>> 31);
      }
      offsets[tree] = (stage * nTrees + tree) * (nSplits + 1) + node - nSplits;
    }
  }

  /** Sum leaves of bytes: four in a word, added two by two in halves of 16 bits. */
  #addWords(stage) {
    const { words, offsets, components, nTrees } = this;
    const n = Math.ceil(this.leafSize / 4);
    components.fill(0);
    for (let from = 0; from < nTrees; from += MAX_TREES_IN_16_BITS) {
      const to = Math.min(from + MAX_TREES_IN_16_BITS, nTrees), shift = 128 * (to - from);
      for (let w = 0; w < n; w++) {
        let even = 0, odd = 0;
        for (let tree = from; tree < to; tree++) {
          // Bytes from 0 to 255 rather than from -128 to 127.
          const word = words[offsets[tree] * n + w] ^ SIGN_BITS;
          even = (even + (word & ODD_BYTES)) | 0;
          odd = (odd + ((word >>> 8) & ODD_BYTES)) | 0;
        }
        components[4 * w] += (even & 0xffff) - shift;
        components[4 * w + 1] += (odd & 0xffff) - shift;
        components[4 * w + 2] += (even >>> 16) - shift;
        components[4 * w + 3] += (odd >>> 16) - shift;
      }
    }
    components.fill(0, this.leafSize);
  }

  #addNumbers(stage) {
    const { leaves, offsets, components, nTrees, leafSize } = this;
    components.fill(0);
    for (let tree = 0; tree < nTrees; tree++) {
      for (let i = 0, from = offsets[tree] * leafSize; i < leafSize; i++) components[i] += leaves[from + i];
    }
  }

  /** Multiply the sum, a scale each, by the basis: rounded to 16 bits first, then exact. */
  #multiply(stage, basisNumber) {
    const { components, amounts, rounded, scales, columns, out, leafSize, nOutputs } = this;
    const sums = new Float32Array(LANES);
    let largest = f(0);
    for (let i = 0; i < leafSize; i++) {
      amounts[i] = f(components[i]) * scales[stage * leafSize + i];
      const size = Math.abs(amounts[i]);
      if (size > largest) largest = size;
      sums[i % LANES] += size;
    }
    out.fill(0);
    if (largest < f(MIN_AMOUNT)) return;
    const factor = f(Math.min(f(MAX_ROUNDED / largest), f(this.limit / folded(sums)))), unit = f(1 / factor);
    for (let i = 0; i < leafSize; i++) rounded[i] = rint(f(amounts[i] * factor));
    let p = basisNumber * leafSize * Math.ceil(nOutputs / COLUMNS) * COLUMNS;
    // Four columns at a time: a load of the amounts less, and sums that do not wait for each other.
    for (let k = 0; k < nOutputs; k += COLUMNS, p += (COLUMNS - 1) * leafSize) {
      let [first, second, third, fourth] = [0, 0, 0, 0];
      for (let i = 0; i < leafSize; i++, p++) {
        const amount = rounded[i];
        first += amount * columns[p];
        second += amount * columns[p + leafSize];
        third += amount * columns[p + 2 * leafSize];
        fourth += amount * columns[p + 3 * leafSize];
      }
      out[k] = f(first) * unit;
      out[k + 1] = f(second) * unit;
      out[k + 2] = f(third) * unit;
      out[k + 3] = f(fourth) * unit;
    }
  }
}

/** Return matrices (bases, rows, n) of integers column by column, with columns of zeros up to a multiple of four. */
function transposed(basis, rows, n) {
  const width = Math.ceil(n / COLUMNS) * COLUMNS, nBases = rows * n ? basis.length / (rows * n) : 0;
  const columns = new Float32Array(nBases * rows * width);
  for (let number = 0, from = 0; number < nBases; number++) {
    for (let row = 0; row < rows; row++) {
      for (let k = 0, to = number * rows * width + row; k < n; k++, from++, to += rows) columns[to] = basis[from];
    }
  }
  return columns;
}

/** Return thresholds as integers: a difference of integers is greater than a number if greater than its floor. */
function wholeNumbers(thresholds) {
  if (thresholds instanceof Int16Array) return thresholds;
  return Int16Array.from(thresholds, (value) => Math.min(Math.max(Math.floor(value), -256), 255));
}

/** Return leaves of bytes as words of four, with zeros behind leaves of other sizes. */
function asWords(leaves, size) {
  if (size % 4 === 0) return new Int32Array(leaves.buffer, leaves.byteOffset, leaves.length / 4);
  const wide = Math.ceil(size / 4) * 4, n = leaves.length / size, copy = new Int8Array(n * wide);
  for (let leaf = 0; leaf < n; leaf++) copy.set(leaves.subarray(leaf * size, (leaf + 1) * size), leaf * wide);
  return new Int32Array(copy.buffer);
}

// ---------------------------------------------------------------------------------------------------------- shapes

const MIN_SCALE = f(0.5), MAX_SCALE = f(100), MIN_SQUARED_NORM = 1e-12;
const MAX_LANDMARK_SIDES = 100;
export const withinReach = (value) => Math.min(Math.max(value, -MAX_LANDMARK_SIDES), MAX_LANDMARK_SIDES);

/** The mean shape, prepared to fit similarities from it. */
export class MeanShape {
  /** @param {Float32Array} mean  x, y of each landmark */
  constructor(mean) {
    const n = mean.length / 2;
    let x = 0, y = 0;
    for (let i = 0; i < n; i++) [x, y] = [x + mean[2 * i], y + mean[2 * i + 1]];
    this.shape = mean;
    this.size = padded(2 * n);
    this.basis = new Float32Array(2 * this.size);
    this.squaredNorm = 0;
    for (let i = 0; i < n; i++) {
      const u = mean[2 * i] - x / n, v = mean[2 * i + 1] - y / n;
      this.basis.set([u, v], 2 * i);
      this.basis.set([-v, u], this.size + 2 * i);
      this.squaredNorm += f(u) ** 2 + f(v) ** 2;
    }
    this.squaredNorm = f(this.squaredNorm);
    if (this.squaredNorm < MIN_SQUARED_NORM) this.squaredNorm = 0;
    this.a = this.b = 0;
    this.totals = [new Float32Array(LANES), new Float32Array(LANES)];
  }

  /** Fit the rotation and scale ((a, -b), (b, a)) to a shape, padded with zeros: sets a and b. */
  fit(shape) {
    const { basis, size, totals, squaredNorm } = this;
    [this.a, this.b] = [1, 0];
    if (squaredNorm === 0) return;
    for (let lane = 0; lane < LANES; lane++) {
      let along = f(0), beside = f(0);
      for (let i = lane; i < size; i += LANES) {
        along = f(along + f(shape[i] * basis[i]));
        beside = f(beside + f(shape[i] * basis[size + i]));
      }
      totals[0][lane] = along;
      totals[1][lane] = beside;
    }
    const a = f(folded(totals[0]) / squaredNorm), b = f(folded(totals[1]) / squaredNorm);
    const scale = f(Math.sqrt(f(f(a * a) + f(b * b))));
    const bounded = scale > MAX_SCALE ? f(MAX_SCALE / scale) : scale < MIN_SCALE ? f(MIN_SCALE / scale) : 1;
    [this.a, this.b] = scale === 0 ? [MIN_SCALE, 0] : [f(a * bounded), f(b * bounded)];
  }
}

/** The feature pool of all stages: pixels at offsets from landmarks. */
export class Pool {
  /** @param {Uint16Array} anchors  @param {Float32Array} deltas  x, y of each  @param {number} nPixels  of a stage
   * @param {Uint8Array | null} [channels]  0 for gray levels, m + 1 for map m of orientations */
  constructor(anchors, deltas, nPixels, size, channels = null) {
    Object.assign(this, { anchors, deltas, nPixels, channels });
    this.places = new Float32Array(size);
    this.values = new Uint8Array(nPixels);
  }

  /** Read the pixels of a stage; positions outside the crop read its nearest pixel.
   * @param {Crop} crop  @param {number} scaleX  negative in the mirror image */
  read(crop, scaleX, scaleY, shiftX, shiftY, shape, a, b, stage) {
    const { anchors, deltas, nPixels, places, values, channels } = this;
    const { pixels, columns, maps } = crop;
    const width = Math.ceil(columns / SCALE), size = width * Math.ceil(crop.rows / SCALE);
    const lastX = f(crop.columns - 1), lastY = f(crop.rows - 1);
    const xx = f(scaleX * a), xy = f(-f(scaleX * b)), yx = f(scaleY * b), yy = f(scaleY * a);
    const moveX = f(shiftX + f(0.5)), moveY = f(shiftY + f(0.5));
    for (let i = 0; i < places.length; i += 2) {
      places[i] = f(shape[i] * scaleX) + moveX;
      places[i + 1] = f(shape[i + 1] * scaleY) + moveY;
    }
    for (let p = 0, k = stage * nPixels; p < nPixels; p++, k++) {
      const anchor = 2 * anchors[k], u = deltas[2 * k], v = deltas[2 * k + 1];
      let x = f(f(places[anchor] + f(xx * u)) + f(xy * v)), y = f(f(places[anchor + 1] + f(yx * u)) + f(yy * v));
      x = x > 0 ? (x < lastX ? x : lastX) : 0;
      y = y > 0 ? (y < lastY ? y : lastY) : 0;
      const channel = channels === null ? 0 : channels[k];
      if (channel === 0) {
        values[p] = pixels[(y | 0) * columns + (x | 0)];
      } else {
        // In a mirror image the two diagonals are exchanged.
        const number = scaleX < 0 && channel % 2 === 0 ? 6 - channel : channel;
        values[p] = maps[(number - 1) * size + Math.trunc(y / SCALE) * width + Math.trunc(x / SCALE)];
      }
    }
    return values;
  }
}

/** A cascade of ert's own kind. */
export class Cascade {
  /** @param {Record<string, Values>} arrays  @param {Crop["spec"]} spec  @param {number} stagesPerBasis */
  constructor(arrays, spec, stagesPerBasis) {
    this.mean = new MeanShape(arrays.mean_shape.data);
    this.meanShape = arrays.mean_shape.data;
    this.spec = spec;
    this.crop = new Crop(spec);
    [this.nStages, this.nPixels] = arrays.anchors.shape;
    this.stagesPerBasis = stagesPerBasis;
    const channels = arrays.channels?.data ?? null;
    this.pool = new Pool(arrays.anchors.data, arrays.deltas.data, this.nPixels, this.meanShape.length, channels);
    this.forest = new Forest(arrays.pairs, arrays.thresholds, arrays.leaves, arrays.scales, arrays.basis);
    this.shape = new Float32Array(this.mean.size);
  }

  /** Locate the landmarks of one object from several initializations.
   * @param {Pixels} image  @param {Box} box  @param {number[][]} inits  shift in x and y, scale, whether mirrored
   * @param {number[] | null} mirrorMap  @param {"luma" | "dlib"} weights  @returns {Float64Array[]} image pixels */
  predict(image, box, inits, mirrorMap, weights) {
    const [x, y, side] = squareBox(box);
    this.crop.cut(image, weights, x, y, side);
    if (this.pool.channels !== null) this.crop.maps = orientationMaps(this.crop);
    return inits.map(([right, down, scale, mirrored]) => {
      const shiftX = (1 - scale) / 2 + right, shiftY = (1 - scale) / 2 + down;
      this.#run(scale, shiftX, shiftY, mirrored);
      const landmarks = new Float64Array(this.meanShape.length);
      for (let i = 0; i < landmarks.length; i += 2) {
        const u = withinReach(this.shape[i]) * scale + shiftX, v = withinReach(this.shape[i + 1]) * scale + shiftY;
        const to = mirrored ? 2 * mirrorMap[i / 2] : i;
        landmarks[to] = (mirrored ? 1 - u : u) * side + x;
        landmarks[to + 1] = v * side + y;
      }
      return landmarks;
    });
  }

  /** Return how far the cascade reads from the center of the box, in its sides, and the pixels that it needs. */
  reach() {
    const { region, workingSize, blur } = this.spec;
    const distance = (low, high) => Math.max(Math.abs(low - 0.5), Math.abs(high - 0.5));
    const distances = [distance(region[0], region[2]), distance(region[1], region[3])];
    // A cascade that smooths needs more pixels.
    return { distances, workingSize: blur === 0 ? workingSize : 2 * workingSize, stretched: false };
  }

  #run(scale, shiftX, shiftY, mirrored) {
    const { crop, mean, pool, forest, shape, stagesPerBasis } = this;
    const scaleY = f(crop.scale * scale), scaleX = mirrored ? -scaleY : scaleY;
    const moveX = f(crop.shiftX + crop.scale * (mirrored ? 1 - shiftX : shiftX));
    const moveY = f(crop.shiftY + crop.scale * shiftY);
    shape.set(this.meanShape);
    for (let stage = 0; stage < this.nStages; stage++) {
      mean.fit(shape);
      const values = pool.read(crop, scaleX, scaleY, moveX, moveY, shape, mean.a, mean.b, stage);
      addTurned(forest.sum(values, stage, Math.floor(stage / stagesPerBasis)), mean.a, mean.b, shape);
    }
  }
}

/** Add a displacement to a shape, rotated and scaled as the shape is. */
export function addTurned(displacement, a, b, shape) {
  for (let i = 0; i < displacement.length; i += 2) {
    const x = displacement[i], y = displacement[i + 1];
    shape[i] += f(f(x * a) + f(y * -b));
    shape[i + 1] += f(f(y * a) + f(x * b));
  }
}
