/**
 * Objects rotated in the image plane: located in a copy of the image that is rotated back.
 *
 * @typedef {import("./crop.js").Pixels} Pixels
 */
import { rint } from "./cascade.js";
import { Crop, squareBox } from "./crop.js";

const MAX_SCALE = 1.25, MAX_SHIFT_SIDES = 0.3, MAX_PIXELS = 16_000_000;
// Positions are integers in units of 2 ** -20 pixels; 10 bits of their fractions are used.
const ONE = 2 ** 20, FRACTION_BITS = 10;

/** Locate the landmarks of an object whose roll is known, from several initializations.
 * @param {import("./cascade.js").Cascade} cascade  or one of dlib's  @param {Pixels} image
 * @param {number[]} box  as it would be drawn around the upright object, with the same center
 * @param {number} roll  in degrees, clockwise  @returns {Float64Array[]} in image pixels */
export function locateRotated(cascade, image, box, roll, inits, mirrorMap, weights) {
  const [x, y, side] = squareBox(box);
  const { distances, workingSize, stretched } = cascade.reach();
  const sides = stretched ? [box[2] - 1, box[3] - 1] : [side, side];
  const stretch = Math.max(...sides) / side;
  const radius = MAX_SCALE * stretch * Math.hypot(...distances) + MAX_SHIFT_SIDES;
  const largest = Math.max(1, Math.trunc((Math.floor(Math.sqrt(MAX_PIXELS)) - 2) / (1.5 * 2 * radius)));
  const region = [0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius];
  const crop = new Crop({ region, workingSize: Math.min(workingSize, largest), blur: 0, minContrast: 0 });
  crop.cut(image, weights, x, y, side);
  const zoom = crop.scale / side, place = [crop.shiftX + crop.scale / 2, crop.shiftY + crop.scale / 2];
  // The center of the copy has the same fraction of a pixel: an upright copy has identical pixels.
  const half = distances.map((distance) => Math.ceil(distance * stretch * crop.scale) + 1);
  const middle = place.map((value, i) => half[i] + value - Math.floor(value));
  const angle = (roll * Math.PI) / 180, cos = Math.cos(angle), sin = Math.sin(angle);
  const start = [
    place[0] - (cos * middle[0] - sin * middle[1]), place[1] - (sin * middle[0] + cos * middle[1]),
  ];
  const copy = rotate(crop, cos, sin, start, 2 * half[0] + 2, 2 * half[1] + 2);
  const [width, height] = [sides[0] * zoom, sides[1] * zoom];
  const upright = [middle[0] - width / 2, middle[1] - height / 2, width + 1, height + 1];
  return cascade.predict(copy, upright, inits, mirrorMap, weights).map((shape) => {
    for (let i = 0; i < shape.length; i += 2) {
      const u = shape[i] - middle[0], v = shape[i + 1] - middle[1];
      shape[i] = (u * cos - v * sin + place[0]) / zoom + (x + side / 2 - place[0] / zoom);
      shape[i + 1] = (u * sin + v * cos + place[1]) / zoom + (y + side / 2 - place[1] / zoom);
    }
    return shape;
  });
}

/** Read a crop along rotated lines, interpolated; beyond its edges it goes on with its edge pixels. */
export function rotate({ pixels, columns, rows }, cos, sin, start, width, height) {
  const data = new Uint8Array(width * height);
  const right = rint(cos * ONE), down = rint(sin * ONE), lastX = (columns - 1) * ONE, lastY = (rows - 1) * ONE;
  const one = 1 << FRACTION_BITS, half = 1 << (2 * FRACTION_BITS - 1), unit = ONE / one;
  for (let r = 0, to = 0; r < height; r++) {
    const lineX = rint((-sin * r + start[0]) * ONE), lineY = rint((cos * r + start[1]) * ONE);
    for (let c = 0; c < width; c++, to++) {
      const x = Math.min(Math.max(lineX + c * right, 0), lastX), y = Math.min(Math.max(lineY + c * down, 0), lastY);
      const column = Math.floor(x / ONE), row = Math.floor(y / ONE);
      const i = row * columns + column, beside = x < lastX ? 1 : 0, under = y < lastY ? columns : 0;
      const u = Math.floor((x - column * ONE) / unit), v = Math.floor((y - row * ONE) / unit);
      const upper = pixels[i] * (one - u) + pixels[i + beside] * u;
      const lower = pixels[i + under] * (one - u) + pixels[i + under + beside] * u;
      data[to] = (upper * (one - v) + lower * v + half) >>> (2 * FRACTION_BITS);
    }
  }
  return { data, width, height };
}
