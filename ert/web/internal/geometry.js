// Similarities between shapes, by least squares; rotations. Shapes are x0, y0, x1, y1, ...

/**
 * Fit the similarity that carries points onto a target: (x, y) ─> a (x - u) - b (y - v), b (x - u) + a (y - v), moved
 * to the center.
 *
 * @param {ArrayLike<number>} points
 * @param {ArrayLike<number>} target - As many; NaN where one is missing.
 * @returns {{a: number, b: number, middle: number[], center: number[], n: number}} The rotation and scale, the centers
 *     of the points and of the target, and the number of points that are not missing.
 */
export function fitSimilarity(points, target) {
  const isThere = (i) => !Number.isNaN(target[i]) && !Number.isNaN(target[i + 1]);
  let n = 0, x = 0, y = 0, u = 0, v = 0, a = 0, b = 0, squares = 0;
  for (let i = 0; i < points.length; i += 2) {
    if (!isThere(i)) continue;
    n++;
    x += target[i];
    y += target[i + 1];
    u += points[i];
    v += points[i + 1];
  }
  [x, y, u, v] = [x, y, u, v].map((sum) => sum / Math.max(n, 1));
  for (let i = 0; i < points.length; i += 2) {
    if (!isThere(i)) continue;
    const p = points[i] - u, q = points[i + 1] - v, s = target[i] - x, t = target[i + 1] - y;
    a += p * s + q * t;
    b += p * t - q * s;
    squares += p * p + q * q;
  }
  return { a: a / (squares || 1), b: b / (squares || 1), middle: [u, v], center: [x, y], n };
}

/**
 * @param {number} degrees
 * @returns {number[]} a, b, c, d of the matrix ((a, b), (c, d)) that rotates clockwise where y points down.
 */
export function rotation(degrees) {
  const angle = (degrees * Math.PI) / 180;
  const cos = Math.cos(angle), sin = Math.sin(angle);
  return [cos, -sin, sin, cos];
}

/**
 * @param {Float64Array[]} shapes
 * @returns {Float64Array} Their mean.
 */
export function meanShape(shapes) {
  return shapes[0].map((_, i) => shapes.reduce((sum, shape) => sum + shape[i], 0) / shapes.length);
}
