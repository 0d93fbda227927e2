/** Points spaced evenly along a line. */

import { setPoint } from "./content.js";

/**
 * @param {[number, number][]} line corners of the line, at least one
 * @param {number} n
 * @returns {[number, number][]} n points between its ends, at equal distances along it
 */
export function spaced(line, n) {
  const lengths = [0];
  for (let i = 1; i < line.length; i += 1) {
    lengths.push(lengths[i - 1] + Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]));
  }
  const total = lengths[lengths.length - 1];
  const points = [];
  let i = 1;
  for (let j = 1; j <= n; j += 1) {
    const at = (total * j) / (n + 1);
    while (i < line.length - 1 && lengths[i] < at) i += 1;
    points.push(between(line[i - 1], line[i] ?? line[i - 1], at - lengths[i - 1], (lengths[i] ?? 0) - lengths[i - 1]));
  }
  return points;
}

function between(a, b, part, whole) {
  const t = whole > 0 ? part / whole : 0;
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t];
}

/**
 * @param {number} first
 * @param {number} last
 * @returns {number[]} landmarks between two others, in the direction from `first` to `last`
 */
export function landmarksBetween(first, last) {
  const step = Math.sign(last - first);
  return Array.from({ length: Math.max(0, Math.abs(last - first) - 1) }, (_, i) => first + (i + 1) * step);
}

/**
 * Place the landmarks between two marked ones along a line.
 *
 * @param {import("./content.js").Marked} object is changed
 * @param {number} first
 * @param {number} last
 * @param {[number, number][]} corners of the line between the two landmarks; none: a straight line
 */
export function placeCurve(object, first, last, corners) {
  const between = landmarksBetween(first, last);
  const points = spaced([object.landmarks[first], ...corners, object.landmarks[last]], between.length);
  between.forEach((k, i) => setPoint(object, k, points[i]));
}
