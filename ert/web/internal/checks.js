/**
 * What a model file may hold, as the Python library checks it: nothing in a file is taken on trust, so that no
 * prediction takes hours, reads beyond an array or ends in landmarks that are no numbers.
 *
 * @typedef {import("./cascade.js").Values} Values
 */

/** A model file that cannot be used; its message is one line. */
export class ModelError extends Error {
  name = "ModelError";
}

/** @param {any} condition  @param {() => string} text */
export function check(condition, text) {
  if (!condition) throw new ModelError(text());
}

// Whether it is an integer, minimum and maximum of each number among the parameters of training.
const LIMITS = {
  n_members: [true, 1, 4], n_stages: [true, 1, 1000], n_trees: [true, 1, 100_000], max_depth: [true, 1, 10],
  learning_rate: [false, 1e-6, 1], n_trees_averaged: [true, 1, 100_000], n_pixels: [true, 2, 10_000],
  n_pool_candidates: [true, 0, 10_000], n_split_tests: [true, 1, 10_000], prior_length: [false, 1e-6, 1e6],
  padding: [false, -0.4, 5], pool_spread: [false, 0, 5], spread_decay: [false, 0.1, 1], n_inits: [true, 1, 10_000],
  n_shapes_mixed: [true, 1, 100], shift_jitter: [false, 0, 1], scale_jitter: [false, 0, 1],
  roll_jitter: [false, 0, 180], occlusion: [false, 0, 1], warp: [false, 0, 1], lighting: [false, 0, 1],
  n_components: [true, 1, 10_000], stages_per_basis: [true, 1, 1000], working_size: [true, 8, 2000],
  blur: [false, 0, 50], min_contrast: [false, 0, 127], random_state: [true, 0, 2 ** 32 - 1],
};
const CHOICES = {
  kind: ["ert", "dlib"], leaf_bits: [8, 16], normalizer: [null, "inter-ocular", "inter-pupil", "box", "diagonal"],
  channel_order: ["rgb", "bgr"], gray_weights: ["luma", "dlib"], tree_target: ["shape", "landmark"],
  channels: ["gray", "gray+orientation"],
};
const BOX_SOURCES = ["given", "whole", "face", "learned"];
const MAX_CANDIDATES = 500_000_000;
const MAX_LANDMARKS = 10_000, MAX_SHAPE_SIDES = 50, MAX_DELTA_SIDES = 50, MAX_STAGE_SIDES = 1e10;
const MAX_FOREST_OUTPUT = 1e6, MAX_BASIS_PRODUCTS = 30_000_000, BASIS_PRODUCTS_PER_BYTE = 4;
const MAX_PIXELS = 16_000_000, MAX_REGION_SIDES = 20, MAX_BLURRED_SIDES = 100;
const MAX_FLOAT = 3.4028234663852886e38;
const CELL_PIXELS = 4, N_DIRECTIONS = 8, MAX_CELLS = 16, MAX_FILTERS = 24;
const NAMES = { "|u1": "uint8", "|i1": "int8", "<u2": "uint16", "<i2": "int16", "<i4": "int32", "<f4": "float32" };

export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const quoted = (value) => (JSON.stringify(value) ?? "nothing").slice(0, 100);
const has = (object, key) => Object.hasOwn(object, key);
const isText = (value) => typeof value === "string";
const typeName = (type) => NAMES[type] ?? "float64";

/** Check a number by the limits of a parameter; `whole` is null for what is not written as an integer. */
function checkSize(name, value, whole = value, most = LIMITS[name][2]) {
  const [isInteger, least] = LIMITS[name];
  const good = typeof (isInteger ? whole : value) === "number" && value >= least && value <= most;
  const kind = isInteger ? "an integer" : "a number";
  check(good, () => `${name}=${quoted(value)}: expected ${kind} from ${least} to ${most}`);
}

function checkNumbers(what, values, keys, isInteger = false) {
  for (const key of keys) {
    const good = has(values, key) && typeof values[key] === "number";
    check(good, () => `${what}: ${key} is ${quoted(values[key])}, expected ${isInteger ? "an integer" : "a number"}`);
  }
}

// ---------------------------------------------------------------------------------------------------------- header

/** Check all of a header but the locator, and return what prediction needs of it.
 * @param {any} header  @param {any} whole  the same with null in place of numbers that are not integers
 * @param {Record<string, Values>} arrays  of the cascade */
export function checkHeader(header, whole, arrays) {
  const nLandmarks = arrays.mean_shape.shape[0];
  const { kind, params, history, summary } = header;
  check(kind === "ert" || kind === "dlib", () => `kind=${quoted(kind)}: expected ert or dlib`);
  check(isObject(params), () => "the header has no params");
  checkParams(params, whole.params, nLandmarks);
  const between = isText(params.normalizer) && params.normalizer.startsWith("inter-");
  check(!between || nLandmarks >= 48, () => `${params.normalizer} distance of ${nLandmarks} landmarks, expected 68`);
  check(Array.isArray(history) && history.every(isObject), () => "history: expected a list");
  for (const entry of history) checkNumbers("history", entry, ["stage", ...Object.keys(entry)]);
  checkSummary(summary, whole.summary);
  if (header.confidence != null) {
    check(isObject(header.confidence), () => "the header's confidence is no object");
    checkConfidenceSummary(header.confidence.summary);
  }
  const source = has(header, "box_source") ? header.box_source : "given";
  check(BOX_SOURCES.includes(source), () => `box_source: ${quoted(source)}, expected ${BOX_SOURCES.join(", ")}`);
  const names = header.landmark_names, mirror = whole.mirror_map;
  const named = Array.isArray(names) && names.every(isText) && names.length === nLandmarks;
  check(named && new Set(names).size === nLandmarks, () => `landmark_names: expected ${nLandmarks} different names`);
  check(has(header, "mirror_map"), () => "the header has no mirror_map");
  const mirrorMap = header.mirror_map === null ? null : checkMirror(mirror, nLandmarks);
  const [given, nMembers] = has(header, "n_members") ? [header.n_members, whole.n_members] : [1, 1];
  checkSize("n_members", given, nMembers);
  checkAlone(kind, nMembers);
  if (kind === "dlib") return { names, mirrorMap, nMembers };
  checkSize("stages_per_basis", header.stages_per_basis, whole.stages_per_basis);
  const spec = checkSpec(header.crop_spec, whole.crop_spec);
  return { names, mirrorMap, nMembers, spec, together: whole.stages_per_basis };
}

function checkAlone(kind, nMembers = 1) {
  check(kind !== "dlib" || nMembers === 1, () => `n_members=${nMembers}: expected 1 with kind='dlib'`);
}

function checkParams(params, whole, nLandmarks) {
  for (const [name, value] of Object.entries(params)) {
    if (has(LIMITS, name)) checkSize(name, value, whole[name]);
    else if (has(CHOICES, name)) check(CHOICES[name].includes(value), () => `${name}=${quoted(value)} is not known`);
    else if (name === "mirror") value === null || checkMirror(whole.mirror, nLandmarks);
    else throw new ModelError(`params: ${quoted(name)} is not known`);
  }
  const { n_trees: nTrees = 500, max_depth: depth = 4, n_split_tests: nTests = 20 } = params;
  check(nTrees * 2 ** depth * nTests <= MAX_CANDIDATES, () => "params: too many candidate splits per stage");
  checkAlone(params.kind, params.n_members);
  const spread = params.tree_target !== "landmark" || params.pool_spread > 0;
  check(spread, () => "pool_spread=0: expected more than 0 with tree_target='landmark'");
}

const FACE68 = [
  ...span(16, 0), ...span(26, 17), ...span(27, 30), ...span(35, 31), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
  ...span(54, 48), ...span(59, 55), ...span(64, 60), ...span(67, 65),
];
const SCHEMES = { face5: [2, 3, 0, 1, 4], face68: FACE68 };

function span(from, to) {
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => (to > from ? from + i : from - i));
}

/** Return the mirror map of a scheme, or one given as a list, checked. */
function checkMirror(mirror, nLandmarks) {
  const map = isText(mirror) && has(SCHEMES, mirror) ? SCHEMES[mirror] : mirror;
  const paired = (to, i) => Number.isInteger(to) && map[to] === i;
  const good = Array.isArray(map) && map.length === nLandmarks && map.every(paired);
  check(good, () => `mirror: expected each number from 0 to ${nLandmarks - 1} once, in pairs`);
  return map;
}

function checkSummary(summary, whole) {
  check(isObject(summary) && isObject(summary.notes), () => "summary: expected an object with notes");
  checkNumbers("summary", whole, ["n_objects", "n_samples", "n_missing"], true);
  const texts = ["digest", "library_version", ...(has(summary, "trained_on") ? ["trained_on"] : [])];
  check(texts.every((key) => isText(summary[key])), () => `summary: expected texts as ${texts.join(", ")}`);
  check(Object.values(summary.notes).every(isText), () => "notes: expected texts");
  if (summary.validation != null) checkValidation(summary.validation, whole.validation);
  if (summary.unlabelled != null) checkUnlabelled(summary.unlabelled, whole.unlabelled);
}

function checkValidation(validation, whole) {
  check(isObject(validation), () => "validation: expected an object");
  checkNumbers("validation", whole, ["n_images", "n_objects", "n_found"], true);
  const named = ["method", "normalizer", "unit"].every((key) => isText(validation[key]));
  check(named, () => "validation: expected texts as method, normalizer, unit");
  const figures = ["length", "scattered_error"].filter((key) => validation[key] !== null);
  checkNumbers("validation", validation, ["error", "low", "high", "training_error", "pixels", ...figures]);
}

function checkUnlabelled(unlabelled, whole) {
  check(isObject(unlabelled), () => "unlabelled: expected an object");
  checkNumbers("unlabelled", whole, ["n_photos", "n_empty", "n_unreadable", "n_marked", "n_kept"], true);
  if (unlabelled.spread !== null) checkNumbers("unlabelled", unlabelled, ["spread"]);
}

function checkConfidenceSummary(summary) {
  check(isObject(summary), () => "confidence: expected a summary");
  const optional = ["background_rejected", "failed_auc"];
  const known = Object.keys(summary).filter((key) => summary[key] !== null || !optional.includes(key));
  checkNumbers("confidence", summary, ["n_folds", ...known]);
}

/** Check how crops are cut, and return it. @returns {{region: number[], workingSize: number, blur: number,
 *   minContrast: number}} */
export function checkSpec(spec, whole, mostBlurred = MAX_BLURRED_SIDES) {
  check(isObject(spec), () => "crop_spec: expected an object");
  const { region, working_size: workingSize, blur, min_contrast: minContrast = 0, ...rest } = spec;
  check(Object.keys(rest).length === 0, () => `crop_spec: ${quoted(Object.keys(rest)[0])} is not known`);
  const inside = Array.isArray(region) && region.length === 4;
  const good = inside && region.every((edge) => typeof edge === "number" && Math.abs(edge) <= MAX_REGION_SIDES);
  check(good && region[0] < region[2] && region[1] < region[3], () => `region ${quoted(region)}, expected four sides`);
  checkSize("working_size", workingSize, whole.working_size);
  checkSize("blur", blur);
  checkSize("min_contrast", minContrast);
  const [width, height] = [region[2] - region[0], region[3] - region[1]];
  check(Math.max(width, height) * blur <= mostBlurred, () => `blur=${blur} in a region of ${width} x ${height} sides`);
  const edges = region.map((edge) => edge * workingSize), sides = [edges[2] - edges[0], edges[3] - edges[1]];
  const [columns, rows] = sides.map((side) => (blur === 0 ? Math.ceil(1.5 * side) + 2 : Math.ceil(side) + 1));
  check(columns * rows <= MAX_PIXELS, () => `crops of ${columns} x ${rows} pixels, expected at most ${MAX_PIXELS}`);
  return { region, workingSize, blur, minContrast };
}

// ---------------------------------------------------------------------------------------------------------- arrays

/** @param {Values} array  @param {(number | null)[]} shape  null: any @param {string[]} types */
function checkShape(name, array, shape, types) {
  const { shape: found, type } = array;
  const same = found.length === shape.length && shape.every((n, i) => found[i] === n);
  const text = () => `${name} has shape (${found}) and type ${typeName(type)}, expected (${shape}) of ${types}`;
  check(same && types.includes(typeName(type)), text);
}

function bounds(array) {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < array.length; i++) {
    const value = array[i];
    if (value < low) low = value;
    if (value > high) high = value;
    if (value !== value) return [NaN, NaN];
  }
  return [low, high];
}

/** Check that all numbers of an array are within bounds, and none of them is NaN. */
function checkBounds(name, { data }, least, most) {
  if (data.length === 0 || most === MAX_FLOAT && !(data instanceof Float32Array)) return;
  const [low, high] = bounds(data);
  check(low >= least && high <= most, () => `${name} has numbers from ${low} to ${high}, expected ${least} to ${most}`);
}

function largest({ data }) {
  const [low, high] = bounds(data);
  return Math.max(high, -low);
}

/** Check what leaves (..., trees, leaves, numbers) can add up to; scales and basis may be empty. */
function checkSum(name, leaves, scales, basis, most) {
  let size = leaves.shape.at(-3);
  if (basis.data.length) size *= basis.shape.at(-2) * largest(scales) * largest(basis);
  // There are millions of leaves: nearly always the largest integer of their type is small enough.
  if (size * ({ "|i1": 128, "<i2": 32768 }[leaves.type] ?? Infinity) <= most) return;
  size *= largest(leaves);
  check(size <= most, () => `${name}: leaves and scales add up to ${size}, expected at most ${most}`);
}

function checkTrees(what, nTrees, nSplits, nPixels) {
  const full = nSplits >= 1 && ((nSplits + 1) & nSplits) === 0;
  check(full, () => `${what}${nTrees} trees of ${nSplits} splits are not full binary trees`);
  checkSize("n_trees", nTrees);
  checkSize("max_depth", Math.round(Math.log2(nSplits + 1)));
  checkSize("n_pixels", nPixels);
}

function dimensions(name, array, n) {
  check(array.shape.length === n, () => `${name} has shape (${array.shape}), expected ${n} dimensions`);
  return array.shape;
}

/** Gray levels, and four maps of orientations. */
const MAX_CHANNEL = 4;

/** Check that the arrays of a cascade fit together, that no index is out of bounds, and no number absurd.
 * @param {Record<string, Values>} arrays  @param {"ert" | "dlib"} kind  @param {number} [together]  stages per basis */
export function checkArrays(arrays, kind, together = 1) {
  checkSize("stages_per_basis", together);
  const nLandmarks = arrays.mean_shape.shape[0];
  const [nStages, nPixels] = dimensions("anchors", arrays.anchors, 2);
  const [, nTrees, nSplits] = dimensions("thresholds", arrays.thresholds, 3);
  const [, nComponents] = dimensions("basis", arrays.basis, 3);
  const exact = kind === "dlib" && nComponents === 0;
  const leafSize = exact ? 2 * nLandmarks : nComponents;
  const leafTypes = exact ? ["float32"] : ["int8", "int16"];
  checkShape("mean_shape", arrays.mean_shape, [nLandmarks, 2], ["float32"]);
  checkShape("anchors", arrays.anchors, [nStages, nPixels], ["uint16"]);
  checkShape("deltas", arrays.deltas, [nStages, nPixels, 2], ["float32"]);
  checkShape("pairs", arrays.pairs, [nStages, nTrees, nSplits, 2], ["uint16"]);
  checkShape("thresholds", arrays.thresholds, [nStages, nTrees, nSplits], [kind === "dlib" ? "float32" : "int16"]);
  checkShape("leaves", arrays.leaves, [nStages, nTrees, nSplits + 1, leafSize], leafTypes);
  checkShape("scales", arrays.scales, [nStages, nComponents], ["float32"]);
  const basisShape = [Math.ceil(nStages / together), nComponents, 2 * nLandmarks];
  checkShape("basis", arrays.basis, basisShape, [kind === "dlib" ? "int16" : "int8"]);
  const few = nLandmarks >= 1 && nLandmarks <= MAX_LANDMARKS;
  check(few, () => `${nLandmarks} landmarks: expected 1 to ${MAX_LANDMARKS}`);
  checkSize("n_stages", nStages);
  checkTrees("", nTrees, nSplits, nPixels);
  checkSize("n_components", leafSize, leafSize, Math.max(LIMITS.n_components[2], 2 * nLandmarks));
  checkBounds("mean_shape", arrays.mean_shape, -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES);
  checkBounds("deltas", arrays.deltas, -MAX_DELTA_SIDES, MAX_DELTA_SIDES);
  checkBounds("thresholds", arrays.thresholds, -MAX_FLOAT, MAX_FLOAT);
  checkSum("the cascade", arrays.leaves, arrays.scales, arrays.basis, MAX_STAGE_SIDES);
  const nBytes = Object.values(arrays).reduce((sum, { data }) => sum + data.byteLength, 0);
  const products = nStages * Math.max(nComponents, 16) * 2 * nLandmarks;
  const most = MAX_BASIS_PRODUCTS + BASIS_PRODUCTS_PER_BYTE * nBytes;
  check(products <= most, () => `stages take ${products} products for each face, expected at most ${most}`);
  checkBounds("anchors", arrays.anchors, 0, nLandmarks - 1);
  checkBounds("pairs", arrays.pairs, 0, nPixels - 1);
  if (!arrays.channels) return;
  checkShape("channels", arrays.channels, [nStages, nPixels], ["uint8"]);
  checkBounds("channels", arrays.channels, 0, MAX_CHANNEL);
}

/** Check the arrays of a further member: all sizes but the number of stages are those of the first.
 * @param {Record<string, Values>} arrays  @param {Record<string, Values>} first  @param {number} number  from 2 */
export function checkMember(arrays, first, together, number) {
  for (const [name, { shape, type }] of Object.entries(first)) {
    checkShape(`member ${number}: ${name}`, arrays[name], [arrays[name].shape[0], ...shape.slice(1)], [typeName(type)]);
  }
  try {
    checkArrays(arrays, "ert", together);
  } catch (error) {
    throw new ModelError(`member ${number}: ${error.message}`);
  }
}

/** Check the arrays of a confidence model. @param {Record<string, Values>} arrays */
export function checkConfidence(arrays, nLandmarks) {
  const what = "confidence model: ", [nPixels] = dimensions(`${what}anchors`, arrays.anchors, 1);
  const [, nKnots] = dimensions(`${what}curve`, arrays.curve, 2);
  const [, nSteps] = dimensions(`${what}within_curve`, arrays.within_curve, 2);
  const [nLevels] = dimensions(`${what}ratios`, arrays.ratios, 1);
  const expected = {
    anchors: [[nPixels], "uint16", 0, nLandmarks - 1],
    deltas: [[nPixels, 2], "float32", -MAX_DELTA_SIDES, MAX_DELTA_SIDES],
    curve: [[2, nKnots], "float64", -100, 100],
    baseline: [[nLandmarks], "float64", -100, 100],
    ratios: [[nLevels], "float64", 0, 1e100],
    // Means of probabilities, which rounding may carry beyond 1.
    within_curve: [[2, nSteps], "float64", 0, 1.1],
    confidence_weights: [[3], "float64", -1e6, 1e6],
  };
  for (const [forest, nOutputs] of [["errors", nLandmarks], ["trust", 1]]) {
    const [nTrees, nSplits] = dimensions(`${what}${forest} thresholds`, arrays[`${forest}_thresholds`], 2);
    const [nComponents] = dimensions(`${what}${forest} scales`, arrays[`${forest}_scales`], 1);
    checkTrees(`${what}${forest}: `, nTrees, nSplits, nPixels);
    checkSize("n_components", nComponents);
    expected[`${forest}_pairs`] = [[nTrees, nSplits, 2], "uint16", 0, nPixels - 1];
    expected[`${forest}_thresholds`] = [[nTrees, nSplits], "int16", -MAX_FLOAT, MAX_FLOAT];
    expected[`${forest}_leaves`] = [[nTrees, nSplits + 1, nComponents], "int8", -MAX_FLOAT, MAX_FLOAT];
    expected[`${forest}_scales`] = [[nComponents], "float32", -MAX_FLOAT, MAX_FLOAT];
    expected[`${forest}_basis`] = [[nComponents, nOutputs], "int8", -MAX_FLOAT, MAX_FLOAT];
  }
  for (const [name, [shape, type, low, high]] of Object.entries(expected)) {
    checkShape(`${what}${name}`, arrays[name], shape, [type]);
    checkBounds(`${what}${name}`, arrays[name], low, high);
  }
  for (const forest of ["errors", "trust"]) {
    const [leaves, scales, basis] = ["leaves", "scales", "basis"].map((part) => arrays[`${forest}_${part}`]);
    checkSum(`${what}${forest}`, leaves, scales, basis, MAX_FOREST_OUTPUT);
  }
  for (const [name, n] of [["curve", nKnots], ["ratios", nLevels], ["within_curve", nSteps]]) {
    const rising = arrays[name].data.subarray(0, n);
    const increasing = n >= 2 && rising.every((value, i) => i === 0 || value >= rising[i - 1]);
    check(increasing, () => `${what}${name}: expected increasing numbers`);
  }
}

/** Check the arrays of a locator, and the corners that its cascade locates.
 * @param {Record<string, Values>} arrays  @param {Record<string, Values>} corners */
export function checkLocator({ pixels }, arrays, corners, nLandmarks) {
  const [nFilters, rows, columns] = dimensions("locator: filters", arrays.filters, 4);
  check(nLandmarks >= 2, () => `locator: ${nLandmarks} landmarks, expected at least 2`);
  const few = nFilters >= 1 && nFilters <= MAX_FILTERS;
  const small = Math.min(rows, columns) >= 1 && Math.max(rows, columns) <= MAX_CELLS;
  check(few && small, () => `locator: ${nFilters} filters of ${columns} x ${rows} cells`);
  const sized = typeof pixels === "number" && pixels >= CELL_PIXELS && pixels <= MAX_CELLS * CELL_PIXELS;
  check(sized, () => `locator: pixels=${quoted(pixels)}, expected ${CELL_PIXELS} to ${MAX_CELLS * CELL_PIXELS}`);
  const expected = {
    shape: [[nLandmarks, 2], "float32", -MAX_SHAPE_SIDES, MAX_SHAPE_SIDES],
    sides: [[2], "float64", 0.05, 1.95],
    relative_sides: [[2], "float64", 0.02, 3],
    rolls: [[nFilters], "float32", -180, 180],
    filters: [[nFilters, rows, columns, N_DIRECTIONS], "float32", -1e6, 1e6],
    offsets: [[nFilters], "float32", -1e6, 1e6],
    start: [[3], "float64", 0, 3],
    confidence_weights: [[2], "float64", -1e6, 1e6],
  };
  for (const [name, [shape, type, low, high]] of Object.entries(expected)) {
    checkShape(`locator: ${name}`, arrays[name], shape, [type]);
    checkBounds(`locator: ${name}`, arrays[name], low, high);
  }
  const [width, height] = arrays.sides.data, [least, most] = arrays.relative_sides.data;
  const even = Math.abs((width + height) / 2 - 1) <= 1e-6;
  check(even, () => `locator: sides ${width} and ${height}, expected a mean of 1`);
  check(least <= most, () => `locator: relative_sides ${least} and ${most}, expected increasing numbers`);
  check(corners.mean_shape.shape[0] === 4, () => "locator: expected a cascade of 4 corners");
}
