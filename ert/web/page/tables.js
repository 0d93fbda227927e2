/** Landmarks as JSON and CSV, with the keys and columns that `ert align --json` and `ert predict --out` write. */

const CSV_DECIMALS = 6;
/** In JSON. A box is where landmarks come from: with three decimals it can give other landmarks. */
const BOX_DECIMALS = 6;

/**
 * @typedef {{box: number[], roll: number, landmarks: Float64Array, std: Float64Array | null,
 *   confidence: number | null}} Found
 * @typedef {{name: string, width: number, height: number, objects: Found[], error: string | null}} Photo
 */

/**
 * The landmarks of photos as JSON.
 * @param {string} modelName
 * @param {string[]} names of the landmarks
 * @param {Photo[]} photos
 * @returns {string}
 */
export function toJson(modelName, names, photos) {
  const images = photos.map((photo) => {
    if (photo.error !== null) {
      return { file: photo.name, error: photo.error };
    }
    return { file: photo.name, width: photo.width, height: photo.height, faces: photo.objects.map(jsonObject) };
  });
  return JSON.stringify({ model: modelName, landmark_names: names, images }, null, 1) + "\n";
}

function jsonObject({ box, roll, landmarks, std, confidence }) {
  const points = [];
  for (let k = 0; k < landmarks.length; k += 2) {
    points.push([rounded(landmarks[k], 3), rounded(landmarks[k + 1], 3)]);
  }
  const object = { box: box.map((value) => rounded(value, BOX_DECIMALS)), roll: rounded(roll, BOX_DECIMALS),
    landmarks: points };
  if (std !== null) {
    object.std = Array.from(std, (value) => rounded(value, 3));
  }
  if (confidence !== null) {
    object.confidence = rounded(confidence, 4);
  }
  return object;
}

/**
 * The landmarks of photos as a table, a row for each object; a photo without an object has a row with empty cells.
 * @param {string[]} names of the landmarks
 * @param {Photo[]} photos
 * @returns {string}
 */
export function toCsv(names, photos) {
  const readable = photos.filter((photo) => photo.error === null);
  const objects = readable.flatMap((photo) => photo.objects);
  const has = {
    roll: objects.some((object) => object.roll !== 0),
    confidence: objects.some((object) => object.confidence !== null),
    std: objects.some((object) => object.std !== null),
  };
  const header = ["image", "specimen", "object", "left", "top", "width", "height"];
  header.push(...["roll", "confidence"].filter((name) => has[name]));
  const axes = has.std ? ["x", "y", "std"] : ["x", "y"];
  header.push(...names.flatMap((name) => axes.map((axis) => `${axis}_${name}`)));
  const rows = readable.flatMap((photo) => {
    const start = [photo.name, photo.name.replace(/(?<=.)\.[^.]*$/, "")];
    const cells = photo.objects.map((object, i) => [...start, i + 1, ...objectCells(object, has)]);
    return cells.length ? cells : [[...start, ...Array(header.length - 2).fill("")]];
  });
  return [header, ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
}

function objectCells({ box, roll, landmarks, std, confidence }, has) {
  const cells = [...box];
  if (has.roll) {
    cells.push(roll);
  }
  if (has.confidence) {
    cells.push(confidence ?? "");
  }
  for (let k = 0; k < landmarks.length / 2; k++) {
    cells.push(landmarks[2 * k], landmarks[2 * k + 1]);
    if (has.std) {
      cells.push(std === null ? "" : std[k]);
    }
  }
  return cells;
}

function cell(value) {
  const text = typeof value === "number" ? String(rounded(value, CSV_DECIMALS)) : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function rounded(value, decimals) {
  // Adding 0 makes 0 of -0.
  return Number(value.toFixed(decimals)) + 0;
}
