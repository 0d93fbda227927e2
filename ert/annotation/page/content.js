/**
 * What a photo contains: plain data and functions without side effects.
 *
 * @typedef {object} Marked one object of a photo
 * @property {([number, number] | null)[]} landmarks in pixels of the photo
 * @property {number[]} hidden landmarks that cannot be seen, marked all the same
 * @property {number[]} [missing] landmarks that the person marked as missing (null in the file)
 * @property {[number, number, number, number] | null} box left, top, width, height; null: derived
 * @property {string} id
 *
 * @typedef {object} Content
 * @property {"todo" | "started" | "done" | "skipped"} status
 * @property {Marked[]} objects
 * @property {number | null} scale length of a pixel
 */

/** @param {number} n number of landmarks @returns {Marked} */
export function emptyObject(n) {
  return { landmarks: new Array(n).fill(null), hidden: [], missing: [], box: null, id: "" };
}

/**
 * A file does not say which of the landmarks without a position are missing and which are not marked yet. Landmarks
 * are marked in order: those before the last marked one were left out on purpose.
 *
 * @param {Marked} object
 * @param {boolean} done whether all landmarks were handled
 * @returns {number[]}
 */
export function guessMissing(object, done) {
  const last = object.landmarks.findLastIndex((point) => point !== null);
  const end = done ? object.landmarks.length : last;
  return object.landmarks.flatMap((point, k) => (point === null && k < end ? [k] : []));
}

/** @param {any} photo as the server sends it @returns {Content} */
export function contentOf(photo) {
  const done = photo.status === "done";
  // In a photo that is done, all landmarks were handled, also by another program.
  const missingOf = (object) => (done ? null : object.missing) ?? guessMissing(object, done);
  const objects = photo.objects.map((object) => ({ ...object, missing: missingOf(object) }));
  return { status: photo.status, objects, scale: photo.scale ?? null };
}

/** @param {Marked} object */
const isEmpty = (object) => object.landmarks.every((point) => point === null);

/** @param {Content} content @returns {object} what is sent to the server */
export function toServer(content) {
  const isKept = (object) => !isEmpty(object) || (content.status !== "done" && object.missing?.length > 0);
  const objects = content.objects.filter(isKept).map((object) => ({
    landmarks: object.landmarks,
    hidden: object.hidden.filter((k) => object.landmarks[k] !== null),
    missing: (object.missing ?? []).filter((k) => object.landmarks[k] === null).sort((a, b) => a - b),
    box: object.box,
    id: object.id,
  }));
  return { status: content.status, objects, scale: content.scale };
}

/**
 * @param {any} before plain data
 * @param {any} after plain data; is changed
 * @returns {any} `after` with what is the same taken from `before`, so that a long history of edits needs little memory
 */
export function shared(before, after) {
  if (!isData(before) || !isData(after)) return after;
  const keys = Object.keys(after);
  for (const key of keys) after[key] = shared(before[key], after[key]);
  const same = keys.length === Object.keys(before).length && keys.every((key) => after[key] === before[key]);
  return same ? before : after;
}

const isData = (value) => typeof value === "object" && value !== null;

/** @param {Content} a @param {Content} b @returns {boolean} whether the server would store the same */
export function sameForServer(a, b) {
  return JSON.stringify(toServer(a)) === JSON.stringify(toServer(b));
}

/** @param {Content} a @param {Content} b @returns {boolean} the same, for a server that keeps no missing landmarks */
export function sameButMissing(a, b) {
  return sameForServer(...[a, b].map((content) => (
    { ...content, objects: content.objects.map((object) => ({ ...object, missing: [] })) })));
}

/** @param {Marked} object @param {number} k @returns {boolean} whether a click may still place the landmark */
export function isOpen(object, k) {
  return object.landmarks[k] === null && !object.missing?.includes(k);
}

/**
 * @param {Marked} object
 * @param {number} [after] search begins behind this landmark and goes round
 * @returns {number | null} the next landmark to be placed
 */
export function nextOpen(object, after = -1) {
  const n = object.landmarks.length;
  for (let i = 1; i <= n; i += 1) {
    const k = (after + i + n) % n;
    if (isOpen(object, k)) return k;
  }
  return null;
}

/** @param {Marked} object @returns {[number, number, number, number] | null} the smallest box around the landmarks */
export function boundingBox(object) {
  const points = object.landmarks.filter((point) => point !== null);
  if (!points.length) return null;
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const left = Math.min(...xs);
  const top = Math.min(...ys);
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
}

/** @param {any} proposal answer of the server @returns {Marked[]} its objects as a person would have marked them */
export function proposedObjects(proposal) {
  return (proposal?.objects ?? []).map((object) => ({
    landmarks: object.landmarks.map((point) => (point ? [point[0], point[1]] : null)),
    hidden: [],
    missing: [],
    box: null,
    id: "",
  }));
}

/** @param {Marked} object is changed @param {number} k @param {[number, number]} point */
export function setPoint(object, k, point) {
  object.landmarks[k] = rounded(point);
  object.missing = object.missing.filter((other) => other !== k);
}

/** @param {Marked} object is changed @param {number} k @param {boolean} missing in the photo; else to be placed */
export function removePoint(object, k, missing) {
  object.landmarks[k] = null;
  object.hidden = object.hidden.filter((other) => other !== k);
  object.missing = object.missing.filter((other) => other !== k).concat(missing ? [k] : []);
}

/** Rounded for the file: a thousandth of a pixel is far below what anybody can mark. */
export const rounded = ([x, y]) => [Math.round(x * 1000) / 1000, Math.round(y * 1000) / 1000];

/**
 * @param {string[]} names names of all landmarks
 * @param {number} k
 * @returns {string} number and name, as "3 wing tip"; the number alone if that is the name
 */
export const titleOf = (names, k) => (names[k] === String(k) ? names[k] : `${k} ${names[k]}`);
