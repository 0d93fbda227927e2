/**
 * Maps of gradient orientations: how steep a crop is in each of four directions, at half its scale; the same
 * numbers as `ert/_kernels/orientation.py`, which says what they are.
 */

export const SCALE = 2;
const N_MAPS = 4;
const f = Math.fround;
const LEVELS_PER_ROOT = [f(3.25), f(3.25 * 2 ** 0.25)];

/** Return the four maps one after another, row by row: across, down to the right, down, down to the left.
 * @param {{pixels: Uint8Array, columns: number, rows: number}} crop  row by row  @returns {Uint8Array} */
export function orientationMaps(crop) {
  const width = Math.ceil(crop.columns / SCALE), height = Math.ceil(crop.rows / SCALE), size = width * height;
  const cells = addCells(crop, width, height), maps = new Uint8Array(N_MAPS * size);
  for (let m = 0; m < N_MAPS; m++) {
    const factor = LEVELS_PER_ROOT[m % 2];
    for (let y = 0; y < height; y++) {
      const above = m * size + Math.max(y - 1, 0) * width, here = m * size + y * width;
      const below = m * size + Math.min(y + 1, height - 1) * width;
      const column = (x) => cells[above + x] + 2 * cells[here + x] + cells[below + x];
      for (let x = 0; x < width; x++) {
        const sum = column(Math.max(x - 1, 0)) + 2 * column(x) + column(Math.min(x + 1, width - 1));
        maps[here + x] = Math.min(f(f(Math.sqrt(sum)) * factor), 255);
      }
    }
  }
  return maps;
}

/** Return the parts of gradients along the four directions, added up in cells of `SCALE` by `SCALE` pixels. */
function addCells({ pixels, columns, rows }, width, height) {
  const size = width * height, cells = new Uint16Array(N_MAPS * size);
  // Beyond its edge the crop goes on with its edge pixels.
  const start = (y) => Math.min(Math.max(y, 0), rows - 1) * columns;
  for (let y = 0; y < SCALE * height; y++) {
    const above = start(y - 1), here = start(y), below = start(y + 1);
    for (let x = 0; x < SCALE * width; x++) {
      const at = Math.min(x, columns - 1);
      const left = pixels[here + Math.min(Math.max(x - 1, 0), columns - 1)];
      const across = pixels[here + Math.min(x + 1, columns - 1)] - left, down = pixels[below + at] - pixels[above + at];
      const flat = Math.abs(across), steep = Math.abs(down), both = Math.min(flat, steep);
      const cell = (y >> 1) * width + (x >> 1);
      cells[cell] += flat - both;
      cells[cell + (across > 0 === down > 0 ? 1 : 3) * size] += both;
      cells[cell + 2 * size] += steep - both;
    }
  }
  return cells;
}
