// Gray images of other sizes, with the numbers of Pillow: `Image.reduce` and `Image.resize`.

/** @typedef {{data: Uint8Array, width: number, height: number}} Gray */

// Bits after the point of a filter's weights.
const WEIGHT_BITS = 22;

/** @type {Record<string, {support: number, weight: (x: number) => number}>} */
const FILTERS = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

/**
 * Reduce an image by integer factors: the means of blocks, of which the last may be smaller.
 *
 * @param {Gray} gray
 * @param {number} acrossFactor
 * @param {number} [downFactor]
 * @returns {Gray}
 */
export function reduce(gray, acrossFactor, downFactor = acrossFactor) {
  const { data, width: stride } = gray;
  const width = Math.ceil(gray.width / acrossFactor), height = Math.ceil(gray.height / downFactor);
  const reduced = new Uint8Array(width * height);
  for (let r = 0, place = 0; r < height; r++) {
    const bottom = Math.min((r + 1) * downFactor, gray.height);
    for (let c = 0; c < width; c++) {
      const left = c * acrossFactor, right = Math.min(left + acrossFactor, gray.width);
      const n = (right - left) * (bottom - r * downFactor);
      let sum = n >> 1;
      for (let row = r * downFactor; row < bottom; row++) {
        for (let i = row * stride + left; i < row * stride + right; i++) sum += data[i];
      }
      // Pillow multiplies with the inverse of 24 bits.
      reduced[place++] = Math.floor((sum * Math.floor(Math.fround(2 ** 24 / n))) / 2 ** 24);
    }
  }
  return { data: reduced, width, height };
}

/**
 * Resize a part of an image that begins at its first pixel.
 *
 * @param {Gray} gray
 * @param {number} width
 * @param {number} height
 * @param {"box" | "bilinear"} filter
 * @param {[number, number]} [part] - Width and height of the part in pixels.
 * @returns {Gray}
 */
export function resize(gray, width, height, filter, part = [gray.width, gray.height]) {
  const across = weightsOf(gray.width, Math.fround(part[0]), width, FILTERS[filter]);
  const down = weightsOf(gray.height, Math.fround(part[1]), height, FILTERS[filter]);
  const same = width === gray.width && part[0] === width;
  const lines = same ? gray.data : resizeRows(gray, across, width);
  if (height === gray.height && part[1] === height) return { data: lines.slice(), width, height };
  return { data: resizeColumns(lines, width, down, height), width, height };
}

/**
 * Resize as `Image.resize(..., BILINEAR, reducing_gap=2)`: reduce first to some twice the size, which is faster.
 *
 * @param {Gray} gray
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} part
 * @returns {Gray}
 */
export function resizeInTwoSteps(gray, width, height, part) {
  const across = Math.floor(part[0] / width / 2) || 1, down = Math.floor(part[1] / height / 2) || 1;
  if (across === 1 && down === 1) return resize(gray, width, height, "bilinear", part);
  // What the filter can reach.
  const right = Math.min(gray.width, Math.ceil(part[0] + (0.5 * part[0]) / width));
  const bottom = Math.min(gray.height, Math.ceil(part[1] + (0.5 * part[1]) / height));
  const reduced = reduce(cutOut(gray, right, bottom), across, down);
  return resize(reduced, width, height, "bilinear", [part[0] / across, part[1] / down]);
}

/**
 * Return a copy of an image whose longest side has at most so many pixels, or the image.
 *
 * @param {Gray} gray
 * @param {number} longestSide
 * @returns {Gray}
 */
export function reduceTo(gray, longestSide) {
  const longest = Math.max(gray.width, gray.height);
  if (longest <= longestSide) return gray;
  const [width, height] = [gray.width, gray.height].map((side) =>
    Math.max(1, roundToEven((side * longestSide) / longest)),
  );
  return resize(gray, width, height, "box");
}

/**
 * @param {number} x
 * @returns {number} The nearest integer, of two the even one, as in Python.
 */
export function roundToEven(x) {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function cutOut(gray, width, height) {
  if (width === gray.width) return { data: gray.data, width, height };
  const data = new Uint8Array(width * height);
  for (let r = 0; r < height; r++) {
    data.set(gray.data.subarray(r * gray.width, r * gray.width + width), r * width);
  }
  return { data, width, height };
}

/** For each new pixel, the first old one, the number of them, and their weights as integers. */
function weightsOf(size, part, newSize, filter) {
  const scale = part / newSize, widened = Math.max(scale, 1);
  const support = filter.support * widened, most = Math.ceil(support) * 2 + 1;
  const firsts = new Int32Array(newSize), counts = new Int32Array(newSize);
  const weights = new Int32Array(newSize * most), some = new Float64Array(most);
  for (let i = 0; i < newSize; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const n = Math.min(Math.trunc(center + support + 0.5), size) - first;
    let total = 0;
    for (let k = 0; k < n; k++) total += some[k] = filter.weight((k + first - center + 0.5) * (1 / widened));
    for (let k = 0; k < n; k++) {
      weights[i * most + k] = Math.trunc(0.5 + (total ? some[k] / total : some[k]) * 2 ** WEIGHT_BITS);
    }
    firsts[i] = first;
    counts[i] = n;
  }
  return { firsts, counts, weights, most };
}

function resizeRows(gray, { firsts, counts, weights, most }, width) {
  const { data, width: stride, height } = gray;
  const resized = new Uint8Array(width * height);
  for (let r = 0, place = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      const first = r * stride + firsts[c], n = counts[c], at = c * most;
      let sum = 1 << (WEIGHT_BITS - 1);
      for (let k = 0; k < n; k++) sum += data[first + k] * weights[at + k];
      resized[place++] = Math.min(sum >> WEIGHT_BITS, 255);
    }
  }
  return resized;
}

function resizeColumns(lines, width, { firsts, counts, weights, most }, height) {
  const resized = new Uint8Array(width * height), sums = new Int32Array(width);
  for (let r = 0; r < height; r++) {
    sums.fill(1 << (WEIGHT_BITS - 1));
    for (let k = 0; k < counts[r]; k++) {
      const weight = weights[r * most + k], first = (firsts[r] + k) * width;
      for (let c = 0; c < width; c++) sums[c] += lines[first + c] * weight;
    }
    for (let c = 0; c < width; c++) resized[r * width + c] = Math.min(sums[c] >> WEIGHT_BITS, 255);
  }
  return resized;
}
