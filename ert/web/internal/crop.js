/**
 * Images, and the crops that cascades read: the part of an image around a box, at the working size.
 *
 * @typedef {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} Pixels  gray, or RGBA as ImageData
 * @typedef {[number, number, number, number]} Box  left, top, width, height in pixels
 */
const f = Math.fround;

// ---------------------------------------------------------------------------------------------------------- images

const GRAY_WEIGHTS = { luma: [77 << 8, 150 << 8, 29 << 8, 128 << 8], dlib: [21846, 21846, 21846, 0] };

/** Convert RGBA pixels, or a part of them, to gray: the weights of "luma" (ITU-R BT.601) or of "dlib" (the mean).
 * @param {Pixels} image  @param {"luma" | "dlib"} [weights]
 * @returns {{data: Uint8Array, width: number, height: number}} */
export function grayImage(image, weights = "luma", left = 0, top = 0, right = image.width, bottom = image.height) {
  const gray = new Uint8Array((right - left) * (bottom - top));
  writeGray(image, weights, left, top, right, bottom, gray);
  return { data: gray, width: right - left, height: bottom - top };
}

function writeGray({ data, width }, weights, left, top, right, bottom, gray) {
  const [red, green, blue, rounding] = GRAY_WEIGHTS[weights];
  for (let row = top, to = 0; row < bottom; row++) {
    for (let i = 4 * (row * width + left), end = 4 * (row * width + right); i < end; i += 4) {
      const total = Math.imul(red, data[i]) + Math.imul(green, data[i + 1]) + Math.imul(blue, data[i + 2]);
      gray[to++] = (total + rounding) >>> 16;
    }
  }
}

/** Return how many numbers a pixel has: 1 (gray) or 4 (RGBA). @param {Pixels} image */
export function channels(image) {
  const { data, width, height } = image ?? {};
  const n = data?.length / (width * height);
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0 && (n === 1 || n === 4))) {
    throw new TypeError("image: expected {data, width, height} with 1 (gray) or 4 (RGBA) bytes a pixel");
  }
  return n;
}

/** Return the square with a box's center and the mean of its sides, between the centers of its first and last pixels:
 * x, y, side. */
export function squareBox([left, top, width, height]) {
  const side = (width + height) / 2 - 1;
  return [left + (width - 1 - side) / 2, top + (height - 1 - side) / 2, side];
}

// ----------------------------------------------------------------------------------------------------------- crops

const MAX_PLACE = 5e8;
const CONTRAST_LINE_STEP = 8, MAX_GAIN = 16, MIDDLE_GRAY = 128;

/** The pixels of a gray image around a square, at the working size. */
export class Crop {
  /** @param {{region: number[], workingSize: number, blur: number, minContrast: number}} spec */
  constructor(spec) {
    this.spec = spec;
    const [left, top, right, bottom] = spec.region.map((edge) => edge * spec.workingSize);
    const native = spec.blur === 0;
    // The factor of a crop that is not smoothed is rounded: a side has less than 1.5 times as many pixels.
    this.maxColumns = native ? Math.ceil(1.5 * (right - left)) + 2 : Math.ceil(right - left) + 1;
    this.maxRows = native ? Math.ceil(1.5 * (bottom - top)) + 2 : Math.ceil(bottom - top) + 1;
    this.pixels = new Uint8Array(0);
    this.gray = new Uint8Array(0);
    /** Of gradient orientations, where a cascade reads them. */
    this.maps = new Uint8Array(0);
    this.columns = this.rows = this.scale = this.shiftX = this.shiftY = 0;
  }

  /** Cut it out; afterwards u * scale + shiftX is the column of the box coordinate u.
   * @param {Pixels} image  @param {"luma" | "dlib"} weights  for RGBA */
  cut(image, weights, x, y, side) {
    const { region, workingSize, blur, minContrast } = this.spec;
    const fits = Math.abs(x) < MAX_PLACE && Math.abs(y) < MAX_PLACE && side > 0 && side < MAX_PLACE / 64;
    if (!fits) [x, y, side] = [0, 0, 1];
    if (this.pixels.length === 0) this.pixels = new Uint8Array(this.maxColumns * this.maxRows);
    const [gray, column, row] = channels(image) === 1 ? [image, 0, 0] : this.#grayPart(image, weights, x, y, side);
    const firstX = Math.floor(x), firstY = Math.floor(y);
    x -= firstX;
    y -= firstY;
    const left = x + region[0] * side, top = y + region[1] * side;
    this.columns = this.maxColumns;
    this.rows = this.maxRows;
    if (blur > 0) {
      this.#resample(gray, firstX - column, firstY - row, left, top, side / workingSize);
      this.scale = f(workingSize);
      this.shiftX = f(-region[0] * workingSize);
      this.shiftY = f(-region[1] * workingSize);
    } else {
      const factor = Math.max(1, Math.floor(side / workingSize + 0.5));
      const firstColumn = Math.floor(left), firstRow = Math.floor(top);
      const size = (from, to, most) => Math.max(Math.min(Math.ceil(((to - from) * side) / factor) + 1, most), 1);
      this.columns = size(region[0], region[2], this.maxColumns);
      this.rows = size(region[1], region[3], this.maxRows);
      this.#reduce(gray, firstX - column + firstColumn, firstY - row + firstRow, factor);
      this.scale = f(side / factor);
      // The center of the crop's first pixel is that of the pixels it is the mean of.
      this.shiftX = f((x - firstColumn - (factor - 1) / 2) / factor);
      this.shiftY = f((y - firstRow - (factor - 1) / 2) / factor);
    }
    if (minContrast > 0) this.#stretch(minContrast, blur > 0);
  }

  /** Return the part of a color image that is needed, in gray, with its first column and row. */
  #grayPart(image, weights, x, y, side) {
    const { region, workingSize, blur } = this.spec;
    const step = side / workingSize, reach = Math.max(1, blur * step, 2 * step) + 3;
    const first = (low, size) => Math.min(Math.max(Math.floor(low - reach), 0), size - 1);
    const end = (high, size, start) => Math.max(Math.min(Math.ceil(high + step + reach) + 1, size), start + 1);
    const left = first(x + region[0] * side, image.width), top = first(y + region[1] * side, image.height);
    const right = end(x + region[2] * side, image.width, left);
    const bottom = end(y + region[3] * side, image.height, top);
    const [columns, rows] = [right - left, bottom - top];
    // Kept for the next crop: browsers take longer to make large arrays than to fill them.
    if (this.gray.length < columns * rows) this.gray = new Uint8Array(columns * rows);
    writeGray(image, weights, left, top, right, bottom, this.gray);
    return [{ data: this.gray, width: columns, height: rows }, left, top];
  }

  /** Reduce by a whole factor: a pixel is the mean of four in the middles of the quarters of its square. */
  #reduce({ data, width, height }, column, row, factor) {
    const { columns, rows, pixels } = this;
    let near = 0, far = factor - 1;
    if (factor > 2) [near, far] = [(factor - 1) >> 2, factor - 1 - ((factor - 1) >> 2)];
    // Beyond its edge the image goes on with its edge pixels.
    const inside = (place, size) => Math.min(Math.max(place, 0), size - 1);
    const places = new Int32Array(2 * columns);
    for (let c = 0; c < columns; c++) {
      places[2 * c] = inside(column + c * factor + near, width);
      places[2 * c + 1] = inside(column + c * factor + far, width);
    }
    for (let r = 0, to = 0; r < rows; r++) {
      const upper = inside(row + r * factor + near, height) * width;
      const lower = inside(row + r * factor + far, height) * width;
      for (let c = 0; c < columns; c++, to++) {
        const i = places[2 * c], j = places[2 * c + 1];
        pixels[to] = (data[upper + i] + data[upper + j] + data[lower + i] + data[lower + j] + 2) >> 2;
      }
    }
  }

  /** Resample with a triangle filter that widens as the image is reduced. */
  #resample({ data, width, height }, column, row, x, y, step) {
    const { columns, rows, pixels } = this;
    const half = Math.max(1, this.spec.blur * step), taps = Math.ceil(2 * half);
    const across = new Float32Array(columns * taps), firsts = new Int32Array(columns);
    for (let c = 0; c < columns; c++) {
      firsts[c] = triangle(x + c * step, half, across.subarray(c * taps, (c + 1) * taps)) + column;
    }
    const low = Math.min(Math.max(firsts[0], 0), width - 1);
    const high = Math.min(Math.max(firsts[columns - 1] + taps, 1), width);
    const line = new Float32Array(high - low), down = new Float32Array(taps);
    for (let r = 0; r < rows; r++) {
      const first = triangle(y + r * step, half, down) + row;
      line.fill(0);
      const rowOf = (t) => Math.min(Math.max(first + t, 0), height - 1) * width + low;
      // Two rows at a time: the line is read and written half as often.
      for (let t = 0; t < taps; t += 2) {
        const weight = down[t], next = t + 1 < taps ? down[t + 1] : 0, from = rowOf(t), below = rowOf(t + 1);
        for (let i = 0; i < line.length; i++) {
          line[i] = f(line[i] + f(weight * data[from + i])) + f(next * data[below + i]);
        }
      }
      for (let c = 0; c < columns; c++) {
        let sum = f(0.5);
        for (let t = 0; t < taps; t++) {
          const place = Math.min(Math.max(firsts[c] + t, 0), width - 1) - low;
          sum = f(sum + f(across[c * taps + t] * line[place]));
        }
        pixels[r * columns + c] = sum;
      }
    }
  }

  /** Stretch gray levels with a small standard deviation about their mean, which becomes middle gray. */
  #stretch(minContrast, byColumns) {
    const { columns, rows, pixels } = this;
    let total = 0, squares = 0, n = 0;
    const [lines, length, lineStep, step] = byColumns ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
    for (let line = 0; line < lines; line += CONTRAST_LINE_STEP, n += length) {
      for (let i = 0, place = line * lineStep; i < length; i++, place += step) {
        total += pixels[place];
        squares += pixels[place] * pixels[place];
      }
    }
    const mean = total / n, deviation = Math.sqrt(Math.max(squares / n - mean * mean, 0));
    if (deviation >= minContrast) return;
    const gain = deviation * MAX_GAIN <= minContrast ? MAX_GAIN : minContrast / deviation;
    const levels = new Uint8Array(256);
    for (let level = 0; level < 256; level++) {
      levels[level] = Math.min(Math.max(Math.floor(MIDDLE_GRAY + gain * (level - mean) + 0.5), 0), 255);
    }
    for (let i = 0, end = columns * rows; i < end; i++) pixels[i] = levels[pixels[i]];
  }
}

/** Write the weights of a triangle filter, with a sum of 1; return its first pixel. */
function triangle(center, half, weights) {
  const first = Math.floor(center - half) + 1;
  let total = f(0);
  for (let t = 0; t < weights.length; t++) {
    weights[t] = Math.max(0, 1 - Math.abs(first + t - center) / half);
    total = f(total + weights[t]);
  }
  for (let t = 0; t < weights.length; t++) weights[t] /= total;
  return first;
}
