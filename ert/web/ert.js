/**
 * Landmark models of ert in a browser or in Node: the same landmarks as in Python.
 *
 *     const model = await loadModel(bytes);
 *     const landmarks = model.predict(image, [left, top, width, height]);    // x0, y0, x1, y1, ...
 *
 * Here are the modes of prediction, and model files:
 *
 *     image, box --> crop (crop.js) --> mean shape, which the trees of each stage move (cascade.js)
 *                --> the same from other initializations, in the mirror image, by other members --> median: landmarks
 *     image, landmarks --> two more forests (confidence.js) --> standard errors, confidence
 *
 * @typedef {import("./internal/crop.js").Pixels} Pixels
 * @typedef {import("./internal/crop.js").Box} Box
 */
import { Cascade } from "./internal/cascade.js";
import {
  ModelError, check, checkArrays, checkConfidence, checkHeader, checkLocator, checkMember, checkSpec, isObject,
} from "./internal/checks.js";
import { ConfidenceModel } from "./internal/confidence.js";
import { channels, grayImage, squareBox } from "./internal/crop.js";
import { DlibCascade, readDat } from "./internal/dlib.js";
import { locateRotated } from "./internal/rotated.js";

export { Cascade, ModelError, grayImage };

// ------------------------------------------------------------------------------------------------------------ model

/** Initializations of a prediction: shift in x and y in sides of the box, scale, and whether mirrored. */
export const INITS = [
  [0, 0, 1, 0], [-0.05, 0, 1, 0], [0.05, 0, 1, 0], [0, -0.05, 1, 0], [0, 0.05, 1, 0], [0, 0, 0.93, 0], [0, 0, 1.07, 0],
];
const MIN_CONFIDENCE = 0.9, MIN_RESTART_CONFIDENCE = 0.5;
/** The boxes of restarts: shifts in x and y in sides of the first box, and scale. */
const RESTART_BOXES = [
  ...Array.from({ length: 8 }, (_, i) => [0.2 * Math.cos((Math.PI * i) / 4), 0.2 * Math.sin((Math.PI * i) / 4), 1]),
  [0, 0, 0.75], [0, 0, 1.33],
];

/** Return the median of shapes, number by number. @param {Float64Array[]} shapes */
export function medianShape(shapes) {
  const n = shapes.length, column = new Float64Array(n);
  if (n === 1) return shapes[0];
  return shapes[0].map((_, i) => {
    for (let k = 0; k < n; k++) {
      // Inserted in order: so few numbers take the method `sort` longer.
      let place = k;
      for (; place > 0 && column[place - 1] > shapes[k][i]; place--) column[place] = column[place - 1];
      column[place] = shapes[k][i];
    }
    return (column[(n - 1) >> 1] + column[n >> 1]) / 2;
  });
}

/** Return the upright square box in which a mean shape fits a shape best; the old one if that is far from it. */
function redrawBox(shape, mean, box) {
  const n = shape.length / 2;
  let x = 0, y = 0, u = 0, v = 0, a = 0, b = 0, squares = 0;
  for (let i = 0; i < 2 * n; i += 2) {
    [x, y, u, v] = [x + shape[i] / n, y + shape[i + 1] / n, u + mean[i] / n, v + mean[i + 1] / n];
  }
  for (let i = 0; i < 2 * n; i += 2) {
    const p = mean[i] - u, q = mean[i + 1] - v, s = shape[i] - x, t = shape[i + 1] - y;
    a += p * s + q * t;
    b += p * t - q * s;
    squares += p * p + q * q;
  }
  const side = Math.hypot(a, b) / (squares || 1), left = x - side * u, top = y - side * v;
  const [oldX, oldY, old] = squareBox(box);
  const moved = Math.max(Math.abs(left - oldX + (side - old) / 2), Math.abs(top - oldY + (side - old) / 2));
  return 0.5 * old <= side && side <= 2 * old && moved <= 0.5 * old ? [left, top, side + 1, side + 1] : box;
}

/** Locate an object, from initialization i by member i modulo the number of members.
 * @param {(member: any, inits: number[][]) => Float64Array[]} locate */
function shareInits(members, inits, locate) {
  const used = members.slice(0, inits.length);
  return used.flatMap((member, k) => locate(member, inits.filter((_, i) => i % used.length === k)));
}

/** A landmark model. */
export class Model {
  #cascade;
  #members;
  #confidence;

  constructor(parts) {
    const { header, cascade, further = [], confidence, locator, names, mirrorMap } = parts;
    this.header = header;
    this.landmarkNames = names;
    this.nLandmarks = names.length;
    this.boxSource = header.box_source ?? "given";
    this.grayWeights = header.params.gray_weights ?? "luma";
    this.mirrorMap = mirrorMap;
    this.meanShape = cascade.meanShape;
    this.locator = locator;
    this.hasConfidence = confidence !== null;
    this.#cascade = cascade;
    this.#members = [cascade, ...further];
    this.#confidence = confidence;
  }

  /** Locate the landmarks of an object.
   * @param {Pixels} image  @param {Box} box
   * @param {{mode?: "fast" | "accurate" | {nInits?: number, nPasses?: number, flip?: boolean, restart?: boolean},
   *   roll?: number}} [options]  roll: degrees clockwise; the box is that of the upright object, with the same center
   * @returns {Float64Array} x0, y0, x1, y1, ... in image pixels, their centers at whole numbers */
  predict(image, box, { mode = "fast", roll = 0 } = {}) {
    checkBox(image, box);
    const { nInits = 1, nPasses = 1, flip = false, restart = false } = this.#mode(mode);
    const first = INITS.slice(0, nInits);
    const inits = flip ? [...first, ...first.map(([x, y, scale]) => [x, y, scale, 1])] : first;
    const cascade = this.#cascade, members = this.#members, readAs = [this.mirrorMap, this.grayWeights];
    const from = (place, starts) =>
      shareInits(members, starts, (member, own) => member.predict(image, place, own, ...readAs));
    if (!Number.isFinite(roll)) throw new RangeError(`roll: ${roll}, expected degrees`);
    if (roll !== 0) {
      const locate = (member, own) => locateRotated(member, image, box, roll, own, ...readAs);
      return medianShape(shareInits(members, inits, locate));
    }
    for (let pass = 1; pass < nPasses; pass++) box = redrawBox(from(box, [INITS[0]])[0], cascade.meanShape, box);
    const shape = medianShape(from(box, inits));
    const better = restart ? this.#restart(image, box, shape, from) : null;
    return better ? medianShape(from(better, inits)) : shape;
  }

  /** Return how far landmarks can be trusted: of each, the standard error in pixels along either axis and the
   * probability to be within 5 % of the normalizer; and the probability that this is the object, well aligned.
   * @param {Pixels} image  @param {Box} box  that they were found in  @param {ArrayLike<number>} landmarks
   * @returns {{std: Float64Array, within: Float64Array, confidence: number}} */
  assess(image, box, landmarks) {
    checkBox(image, box);
    if (!this.#confidence) throw new Error("this model has no confidence model: train it with --confidence");
    const good = landmarks.length === 2 * this.nLandmarks && Array.from(landmarks).every((v) => Math.abs(v) <= 2e7);
    if (!good) throw new RangeError(`landmarks: expected ${2 * this.nLandmarks} finite numbers x0, y0, x1, y1, ...`);
    return this.#confidence.assess(image, box, landmarks, this.grayWeights);
  }

  #mode(mode) {
    if (mode === "fast") return {};
    const [flip, restart] = [this.mirrorMap !== null, this.hasConfidence];
    if (mode === "accurate") return { nInits: 3, nPasses: 2, flip, restart };
    const { nInits = 1, nPasses = 1 } = mode ?? {};
    const whole = (value, most) => Number.isInteger(value) && value >= 1 && value <= most;
    if (!mode || typeof mode !== "object" || !whole(nInits, INITS.length) || !whole(nPasses, 5)) {
      throw new RangeError("mode: expected fast, accurate, or {nInits: 1 to 7, nPasses: 1 to 5, flip, restart}");
    }
    if (mode.flip && !flip) throw new RangeError("flip: the model was trained without a mirror map");
    if (mode.restart && !restart) throw new RangeError("restart: this model has no confidence model");
    return mode;
  }

  /** Return a box in which the confidence is higher, if that of the landmarks found is low; null to keep them. */
  #restart(image, box, found, from) {
    const confidenceOf = (shape) => this.#confidence.assess(image, box, shape, this.grayWeights).confidence;
    let highest = confidenceOf(found), best = null;
    if (highest >= MIN_CONFIDENCE) return null;
    const [left, top, width, height] = box;
    for (const [right, down, scale] of RESTART_BOXES) {
      const x = left + right * width + ((1 - scale) * width) / 2, y = top + down * height + ((1 - scale) * height) / 2;
      const moved = [x, y, scale * width, scale * height];
      const shape = from(moved, [INITS[0]])[0], confidence = confidenceOf(shape);
      if (confidence > highest) [highest, best] = [confidence, redrawBox(shape, this.#cascade.meanShape, moved)];
    }
    return highest >= MIN_RESTART_CONFIDENCE ? best : null;
  }
}

/** Check that a box is four finite numbers, touches its image and is not far larger. */
function checkBox(image, box) {
  channels(image);
  const numbers = Array.from(box ?? []), [left, top, width, height] = numbers;
  if (numbers.length !== 4 || !numbers.every((value) => typeof value === "number" && Math.abs(value) <= 1e7)) {
    throw new RangeError(`box: ${numbers}, expected left, top, width, height in pixels`);
  }
  if (!(width > 0 && height > 0 && width + height > 2)) {
    throw new RangeError(`box: ${width} x ${height} pixels, expected more than 1 x 1`);
  }
  const { width: columns, height: rows } = image;
  if (left > columns - 1 || top > rows - 1 || left + width < 1 || top + height < 1) {
    throw new RangeError(`box: it lies outside the image of ${columns} x ${rows} pixels`);
  }
  if (Math.max(width, height) > 10 * Math.max(columns, rows)) {
    throw new RangeError(`box: ${width} x ${height} pixels, far larger than the image of ${columns} x ${rows}`);
  }
}

// ----------------------------------------------------------------------------------------------------------- reader

const MAGIC = [0x89, 0x45, 0x52, 0x54, 0x6d, 0x64, 0x6c, 0x0a], PREFIX_BYTES = 20, CHECKSUM_WORD = 4, ALIGN = 64;
const MAX_HEADER_BYTES = 2_000_000, MAX_HEADER_LEVELS = 8, MAX_DIMENSIONS = 4, MAX_INFLATION = 8;
const TYPES = {
  "|u1": Uint8Array, "|i1": Int8Array, "<u2": Uint16Array, "<i2": Int16Array, "<i4": Int32Array, "<f4": Float32Array,
  "<f8": Float64Array,
};

/** Read a model: an .ert file, compressed or not, or a .dat file of dlib.
 * @param {ArrayBuffer | Uint8Array} bytes  not to be changed afterwards  @param {string} [name]  of the file
 * @returns {Promise<Model>}  a damaged model is a ModelError */
export async function loadModel(bytes, name = "") {
  try {
    const isView = ArrayBuffer.isView(bytes);
    check(isView || bytes instanceof ArrayBuffer, () => "expected an ArrayBuffer or Uint8Array");
    // Not a Buffer of Node, whose `slice` does not copy.
    let file = isView ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
    // Arrays are views of the file: they begin at multiples of their items' size.
    if (file.byteOffset % ALIGN) file = file.slice();
    const isErt = MAGIC.every((byte, i) => file[i] === byte);
    if (name ? name.endsWith(".dat") : !isErt) return new Model(readDat(file));
    check(isErt, () => "is not an ert model file (.ert), nor named as dlib's (.dat)");
    return new Model(build(...(await readErt(file))));
  } catch (error) {
    if (error instanceof ModelError || error instanceof TypeError || error instanceof RangeError) {
      const text = error instanceof ModelError ? error.message : `the model file is damaged: ${error.message}`;
      throw new ModelError(`${name || "model"}: ${text.replace(/[^ -~]+/g, " ").slice(0, 500)}`);
    }
    throw error;
  }
}

/** Return the header, the same without fractions, and the arrays. */
async function readErt(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  check(file.length >= PREFIX_BYTES, () => `the model file is truncated: ${file.length} bytes`);
  const [version, length, checksum] = [8, 12, 16].map((place) => view.getUint32(place, true));
  check(version === 1, () => `model file version ${version}, this ert.js reads version 1: update it`);
  check(length <= MAX_HEADER_BYTES, () => `a header of ${length} bytes, expected at most ${MAX_HEADER_BYTES}`);
  check(file.length >= PREFIX_BYTES + length, () => "the model file is truncated in its header");
  const [header, whole] = parseHeader(file.subarray(PREFIX_BYTES, PREFIX_BYTES + length));
  const { index, size } = readIndex(whole.arrays);
  const compressed = "inflated_bytes" in header;
  check(!compressed || whole.inflated_bytes === size, () => `its arrays are of ${size} bytes, not inflated_bytes`);
  const body = file.subarray(PREFIX_BYTES + length);
  const [least, most] = compressed ? [Math.floor(size / MAX_INFLATION), size * 1.01 + 1000] : [size, size];
  check(body.length >= least, () => `the model file is truncated: ${body.length} bytes for arrays of ${size}`);
  check(body.length <= most, () => `the model file is longer than its arrays: ${body.length} bytes for ${size}`);
  check(crc32(file) === checksum, () => "the model file is corrupt or truncated: its checksum does not match");
  const content = compressed ? await inflate(body, size) : body.byteOffset % 8 ? body.slice() : body;
  const arrays = new Map();
  for (const [name, type, shape, offset, count] of index) {
    arrays.set(name, { data: new TYPES[type](content.buffer, content.byteOffset + offset, count), shape, type });
  }
  return [header, whole, arrays];
}

/** Parse a header twice: as it is, and with null for every number that is not written as an integer. */
function parseHeader(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const header = JSON.parse(text);
    check(isObject(header), () => "it is no object");
    checkJson(header, MAX_HEADER_LEVELS);
    const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
    return [header, JSON.parse(text.replace(tokens, (token) => (/^-?\d.*[.eE]/.test(token) ? "null" : token)))];
  } catch (error) {
    throw new ModelError(`the model file's header cannot be read: ${error.message}`);
  }
}

function checkJson(value, levels) {
  if (typeof value === "string") check(!/\p{Cs}/u.test(value), () => "text that is not Unicode");
  if (typeof value === "number") check(Math.abs(value) < 2 ** 63, () => "a number that is too large");
  if (value === null || typeof value !== "object") return;
  check(levels > 0, () => `lists and objects in more than ${MAX_HEADER_LEVELS} levels`);
  for (const [key, item] of Object.entries(value)) {
    checkJson(key, levels - 1);
    checkJson(item, levels - 1);
  }
}

function readIndex(entries) {
  const index = [];
  let size = 0;
  check(Array.isArray(entries), () => "the model file's header has no list of arrays");
  for (const entry of entries) {
    const [name, type, shape] = Array.isArray(entry) && entry.length === 3 ? entry : [];
    const good = typeof name === "string" && Object.hasOwn(TYPES, type) && Array.isArray(shape) && shape.length > 0;
    const whole = good && shape.length <= MAX_DIMENSIONS && shape.every((n) => Number.isInteger(n) && n >= 0);
    check(whole, () => `the array ${JSON.stringify(entry)?.slice(0, 200)} cannot be read`);
    const count = shape.reduce((product, n) => product * n, 1);
    index.push([name, type, shape, size, count]);
    size += Math.ceil((count * TYPES[type].BYTES_PER_ELEMENT) / ALIGN) * ALIGN;
  }
  return { index, size };
}

// What a byte does to a CRC-32, and what it does with one, two, three bytes behind it.
const CRC_TABLE = new Int32Array(4 * 256);
for (let i = 0; i < 256; i++) {
  for (let bit = 0, value = i; bit < 8; bit++) {
    CRC_TABLE[i] = value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
}
for (let i = 256; i < 1024; i++) CRC_TABLE[i] = (CRC_TABLE[i - 256] >>> 8) ^ CRC_TABLE[CRC_TABLE[i - 256] & 255];

/** Return the CRC-32 of a file but the four bytes that hold it. */
function crc32(file) {
  const words = new Int32Array(file.buffer, file.byteOffset, file.length >> 2), table = CRC_TABLE;
  let value = -1;
  for (let i = 0; i < words.length; i++) {
    if (i === CHECKSUM_WORD) continue;
    const word = value ^ words[i];
    value = table[768 + (word & 255)] ^ table[512 + ((word >>> 8) & 255)] ^ table[256 + ((word >>> 16) & 255)];
    value ^= table[word >>> 24];
  }
  for (let i = 4 * words.length; i < file.length; i++) value = table[(value ^ file[i]) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Decompress a stream of a known size: a corrupt one could grow without end. */
async function inflate(stream, size) {
  const text = "the model is compressed, and this browser is too old to decompress it: Chrome 80, Safari 16.4, " +
    "Firefox 113 and later can";
  check(typeof DecompressionStream === "function", () => text);
  const content = new Uint8Array(size);
  let place = 0;
  const reader = new Blob([stream]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      check(place + part.value.length <= size, () => "");
      content.set(part.value, place);
      place += part.value.length;
    }
    check(place === size, () => "");
  } catch {
    reader.cancel().catch(() => {});
    throw new ModelError(`the model file's arrays are not of ${size} bytes, as its header has it`);
  }
  return content;
}

/** Put a model together from its header and its arrays, all of which must be used. */
function build(header, whole, arrays) {
  const taken = (prefix, names = CASCADE_ARRAYS) => {
    const entries = names.map((name) => [name, arrays.get(prefix + name)]);
    for (const [name, array] of entries) {
      check(array && arrays.delete(prefix + name), () => `the model file has no array ${prefix}${name}`);
    }
    return Object.fromEntries(entries);
  };
  const parts = { header, locator: null, confidence: null };
  const has = header.kind === "ert" && arrays.has("channels");
  const own = taken("", has ? [...CASCADE_ARRAYS, "channels"] : CASCADE_ARRAYS);
  const { names, mirrorMap, nMembers, spec, together } = checkHeader(header, whole, own);
  Object.assign(parts, { names, mirrorMap });
  checkArrays(own, header.kind, together);
  parts.cascade = header.kind === "dlib" ? new DlibCascade(own) : new Cascade(own, spec, together);
  parts.further = Array.from({ length: nMembers - 1 }, (_, i) => {
    const [mean, ...others] = Object.keys(own);
    const its = { [mean]: own[mean], ...taken(`member${i + 2}_`, others) };
    checkMember(its, own, together, i + 2);
    return new Cascade(its, spec, together);
  });
  if (header.confidence != null) {
    const its = taken("confidence_", CONFIDENCE_ARRAYS);
    const itsSpec = checkSpec(header.confidence.crop_spec, whole.confidence.crop_spec, 10);
    checkConfidence(its, names.length);
    parts.confidence = new ConfidenceModel(own.mean_shape.data, its, itsSpec, header.params.normalizer ?? null);
  }
  if ("locator" in header) {
    check(isObject(header.locator), () => "the header's locator is no object");
    const corners = taken("locator_cascade_"), its = taken("locator_", LOCATOR_ARRAYS);
    const itsSpec = checkSpec(header.locator.crop_spec, whole.locator.crop_spec);
    checkArrays(corners, "ert", whole.locator.stages_per_basis);
    checkLocator(header.locator, its, corners, names.length);
    const cascade = new Cascade(corners, itsSpec, whole.locator.stages_per_basis);
    parts.locator = { header: header.locator, arrays: its, cascade };
  }
  check(arrays.size === 0, () => `the model file has an array that is not known: ${[...arrays.keys()][0]}`);
  return parts;
}

const CASCADE_ARRAYS = ["mean_shape", "anchors", "deltas", "pairs", "thresholds", "leaves", "scales", "basis"];
const FOREST_ARRAYS = ["pairs", "thresholds", "leaves", "scales", "basis"];
const CONFIDENCE_ARRAYS = [
  "anchors", "deltas", "curve", "baseline", "ratios", "within_curve", "confidence_weights",
  ...FOREST_ARRAYS.map((name) => `errors_${name}`), ...FOREST_ARRAYS.map((name) => `trust_${name}`),
];
const LOCATOR_ARRAYS = [
  "shape", "sides", "relative_sides", "rolls", "filters", "offsets", "start", "confidence_weights",
];
