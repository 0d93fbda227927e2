// Histograms of oriented gradients (Dalal & Triggs, CVPR 2005) of small gray images, as in Python.
//
//   gray pixels ──> gradients ──> shares of 8 directions, with sign ──> sums over cells ──> divided by those nearby

/**
 * @typedef {{data: Uint8Array, width: number, height: number}} Gray
 * @typedef {{data: Float32Array, rows: number, columns: number}} Histograms - N_DIRECTIONS numbers a cell, row by row.
 */

export const CELL_PIXELS = 4, N_DIRECTIONS = 8;
// Gradients of this size, in gray levels from a pixel to the second next, count as noise.
const NOISE_LEVELS = 4;
// Products in a step of a search: one takes some 2 ms.
const STEP_PRODUCTS = 1_500_000;
const HALF = N_DIRECTIONS / 2;
const COSINES = Float32Array.from({ length: HALF }, (_, i) => Math.cos((Math.PI * i) / HALF));
const SINES = Float32Array.from({ length: HALF }, (_, i) => Math.sin((Math.PI * i) / HALF));

/**
 * Return the histograms of the cells of an image, from 0 to 1.
 *
 * @param {Gray} gray
 * @returns {Histograms}
 */
export function gradientHistograms(gray) {
  const rows = Math.floor(gray.height / CELL_PIXELS), columns = Math.floor(gray.width / CELL_PIXELS);
  const data = cellSums(gray, rows, columns);
  const energy = new Float64Array(rows * columns);
  for (let cell = 0; cell < energy.length; cell++) {
    for (let i = 0; i < N_DIRECTIONS; i++) energy[cell] += data[cell * N_DIRECTIONS + i];
  }
  for (let r = 0, k = 0; r < rows; r++) {
    const lines = [Math.max(r - 1, 0), r, Math.min(r + 1, rows - 1)].map((line) => line * columns);
    for (let c = 0; c < columns; c++) {
      const left = Math.max(c - 1, 0), right = Math.min(c + 1, columns - 1);
      let sum = 0;
      for (const line of lines) sum += energy[line + left] + energy[line + c] + energy[line + right];
      const divisor = sum / 9 + NOISE_LEVELS * CELL_PIXELS ** 2;
      for (let i = 0; i < N_DIRECTIONS; i++, k++) data[k] = Math.sqrt(Math.max(data[k], 0) / divisor);
    }
  }
  return { data, rows, columns };
}

/** The shares of the directions of all gradients of each cell. Beyond its edges an image has its edge pixels. */
function cellSums({ data, width }, rows, columns) {
  const sums = new Float32Array(rows * columns * N_DIRECTIONS);
  const lastRow = rows * CELL_PIXELS - 1, lastColumn = columns * CELL_PIXELS - 1;
  for (let y = 0; y <= lastRow; y++) {
    const line = y * width;
    const above = Math.max(y - 1, 0) * width, below = Math.min(y + 1, lastRow) * width;
    const firstCell = Math.floor(y / CELL_PIXELS) * columns;
    for (let x = 0; x <= lastColumn; x++) {
      const across = data[line + Math.min(x + 1, lastColumn)] - data[line + Math.max(x - 1, 0)];
      const down = data[below + x] - data[above + x];
      if (across === 0 && down === 0) continue;
      const inverse = 1 / (Math.sqrt(across * across + down * down) + 1e-3);
      const place = (firstCell + (x >> 2)) * N_DIRECTIONS;
      for (let i = 0; i < HALF; i++) {
        const along = across * COSINES[i] + down * SINES[i];
        // The square of the cosine: gradients count for the two nearest directions, mostly.
        if (along > 0) sums[place + i] += along * along * inverse;
        else sums[place + i + HALF] += along * along * inverse;
      }
    }
  }
  return sums;
}

/**
 * Return for each window of cells the best of several filters and its score, in steps.
 *
 * @param {Histograms} histograms
 * @param {Float32Array} filters - n, rows, columns and N_DIRECTIONS.
 * @param {Float32Array} offsets - Of n filters, added to the scores.
 * @param {number} rows
 * @param {number} columns
 * @returns {Generator<void, {scores: Float32Array, best: Uint8Array, nDown: number, nAcross: number}>}
 */
export function* bestFilters(histograms, filters, offsets, rows, columns) {
  const nDown = histograms.rows - rows + 1, nAcross = histograms.columns - columns + 1;
  const scores = new Float32Array(nDown * nAcross).fill(-Infinity), best = new Uint8Array(nDown * nAcross);
  // Numbers of 64 bits, which need no conversion before each product.
  const cells = Float64Array.from(histograms.data), weights = Float64Array.from(filters);
  const stride = histograms.columns * N_DIRECTIONS, n = columns * N_DIRECTIONS;
  let nProducts = 0;
  for (let number = 0; number < offsets.length; number++) {
    const filter = weights.subarray(number * rows * n, (number + 1) * rows * n);
    for (let i = 0, k = 0; i < nDown; i++) {
      for (let j = 0; j < nAcross; j++, k++) {
        const sum = filterWindow(cells, i * stride + j * N_DIRECTIONS, stride, filter, rows, n);
        const score = Math.fround(Math.fround(sum) + offsets[number]);
        if (score > scores[k]) {
          scores[k] = score;
          best[k] = number;
        }
      }
      nProducts += nAcross * rows * n;
      if (nProducts < STEP_PRODUCTS) continue;
      nProducts = 0;
      yield;
    }
  }
  return { scores, best, nDown, nAcross };
}

/** The weighted sum of a window; in four parts, so that a sum does not wait for the one before. */
function filterWindow(cells, first, stride, filter, rows, n) {
  let a = 0, b = 0, c = 0, d = 0;
  for (let row = 0, k = 0; row < rows; row++, first += stride) {
    for (let i = first, end = first + n; i < end; i += 4, k += 4) {
      a += cells[i] * filter[k];
      b += cells[i + 1] * filter[k + 1];
      c += cells[i + 2] * filter[k + 2];
      d += cells[i + 3] * filter[k + 3];
    }
  }
  return a + b + (c + d);
}
