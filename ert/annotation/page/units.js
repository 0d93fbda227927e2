/** Lengths, scales, and the command line that measures all photos. */

const METERS = { um: 1e-6, mm: 1e-3, cm: 1e-2, m: 1, in: 0.0254 };

/** The units that a length is typed in. */
export const UNITS = Object.keys(METERS);

/** A unit as it is written in text. */
export const unitText = (unit) => ({ um: "µm", px: "pixels" })[unit] ?? unit;

/**
 * A number as a person types it, with a point or a comma; null if it is none above 0.
 * @param {string} text
 */
export function readLength(text) {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() && Number.isFinite(value) && value > 0 ? value : null;
}

/**
 * The length of a pixel, in the unit of the project.
 * @param {[[number, number], [number, number]]} points in pixels
 * @param {number} length their distance
 * @param {string} unit of `length`
 * @param {string} wanted the unit of the project
 * @returns {number | null} null where both points are the same
 */
export function lengthOfPixel(points, length, unit, wanted) {
  const pixels = Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]);
  const factor = unit === wanted ? 1 : METERS[unit] / METERS[wanted];
  return pixels > 0 && Number.isFinite(factor) ? (length * factor) / pixels : null;
}

/** The measurements that are typed, in the order of the page, and how each is written. */
export const KINDS = {
  distances: { label: "Distances", example: "0-4, nose-tail" },
  angles: { label: "Angles (at the second landmark)", example: "0-1-2" },
  areas: { label: "Areas (landmarks along the outline)", example: "0-1-2-3" },
  perimeters: { label: "Perimeters (landmarks along the outline)", example: "0-1-2-3" },
};

/** The kind that an error of the server is about: "distances: '0-9': no landmark 9"; null if it is about none. */
export function kindOfError(text) {
  const word = text.split(/[:[ ]/, 1)[0];
  return word in KINDS ? word : null;
}

/** An argument in quotes where a shell needs them. */
function quoted(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return /["$`\\!]/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`;
}

/**
 * @param {string} file
 * @param {{centroid_size: boolean, [kind: string]: string | boolean}} typed
 */
export function commandLine(file, typed) {
  const kinds = Object.keys(KINDS).filter((kind) => typed[kind]?.trim());
  const options = kinds.map((kind) => `--${kind} ${quoted(typed[kind].trim())}`);
  if (typed.centroid_size) options.push("--centroid-size");
  return ["ert measure", quoted(file), ...options, "--out measurements.csv"].join(" ");
}

/** The name of a measurement in words: "distance_nose-tail" is "distance nose-tail". */
export const measurementText = (name) =>
  name === "centroid_size" ? "centroid size" : name.replace(/^(distance|angle|area|perimeter)_/, "$1 ");
