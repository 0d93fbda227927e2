/** What is drawn over the photo. Colors are fixed: they lie on photos, in the light page and in the dark one. */

import { nearest } from "./comparison.js";
import { boundingBox, titleOf } from "./content.js";

/** Colors that color-blind people can tell apart (Okabe and Ito); shapes say the same. */
export const CONFIDENCE = [
  { least: 0.8, color: "#56b4e9", shape: "circle", text: "confident" },
  { least: 0.5, color: "#f0e442", shape: "diamond", text: "less confident" },
  { least: 0, color: "#ff8c3b", shape: "triangle", text: "uncertain" },
];
const POINT = "#7ee08a";
const SELECTED = "#ffffff";
const OTHER = "#c8c8c8";
const HIDDEN = "#e6a7d6";
const OPINION = "#ff5fd2";
const FINDING = "#ff8c3b";
const DARK = "rgba(0, 0, 0, 0.75)";
const RADIUS = 4.5;
const SHAPES = {
  square: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  triangle: [[0, -1.4], [1.3, 1], [-1.3, 1]],
};

/** @param {number | null | undefined} confidence 0 to 1 @returns {typeof CONFIDENCE[0]} */
function confidenceClass(confidence) {
  return CONFIDENCE.find(({ least }) => (confidence ?? 1) >= least) ?? CONFIDENCE[CONFIDENCE.length - 1];
}

/** Stroke a path twice: dark below, so that it is seen on any photo. */
function stroke(context, color, width, path, dash = []) {
  context.beginPath();
  path();
  context.setLineDash(dash);
  context.lineWidth = width + 2;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = color;
  context.stroke();
  context.setLineDash([]);
}

function outline(context, shape, [x, y], r) {
  if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else {
    SHAPES[shape].forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
    context.closePath();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} at in the view
 * @param {{hidden?: boolean, proposed?: boolean, confidence?: number, selected?: boolean, other?: boolean}} look
 */
export function drawPoint(context, at, look) {
  const { color: confidenceColor, shape: confidenceShape } = confidenceClass(look.confidence);
  let [shape, color] = look.proposed ? [confidenceShape, confidenceColor] : ["circle", POINT];
  if (look.hidden) [shape, color] = ["square", HIDDEN];
  if (look.other) color = OTHER;
  const r = look.other ? RADIUS - 1.5 : RADIUS;
  if (look.proposed || look.hidden) stroke(context, color, 2, () => outline(context, shape, at, r));
  else {
    context.beginPath();
    outline(context, shape, at, r);
    context.fillStyle = color;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = DARK;
    context.stroke();
  }
  context.fillStyle = DARK;
  context.fillRect(at[0] - 0.5, at[1] - 0.5, 1, 1);
  if (look.selected) stroke(context, SELECTED, 2, () => context.arc(at[0], at[1], r + 5, 0, 2 * Math.PI));
}

/** @param {CanvasRenderingContext2D} context @param {string} text @param {[number, number]} at in the view */
export function drawLabel(context, text, [x, y], strong = false) {
  context.font = strong ? "600 14px system-ui, sans-serif" : "12px system-ui, sans-serif";
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  context.strokeStyle = "rgba(0, 0, 0, 0.85)";
  context.strokeText(text, x, y);
  context.fillStyle = "#ffffff";
  context.fillText(text, x, y);
}

/** @param {CanvasRenderingContext2D} context @param {[number, number][]} points in the view @param {string} [color] */
export function drawLine(context, points, color = "#ffffff") {
  stroke(context, color, 1.5, () => points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y)), [6, 4]);
}

/** @param {CanvasRenderingContext2D} context @param {[number, number]} at in the view */
export function drawCross(context, [x, y], color = SELECTED, r = 14) {
  stroke(context, color, 1.5, () => {
    context.moveTo(x - r, y);
    context.lineTo(x + r, y);
    context.moveTo(x, y - r);
    context.lineTo(x, y + r);
  });
}

/** @param {CanvasRenderingContext2D} context @param {number[]} box @param {any} transform @param {boolean} drawn */
export function drawBox(context, [left, top, width, height], transform, drawn = true) {
  const [x, y] = transform.toScreen([left, top]);
  const size = [width * transform.scale, height * transform.scale];
  stroke(context, drawn ? "#ffffff" : OTHER, drawn ? 2 : 1, () => context.rect(x, y, ...size), drawn ? [] : [4, 4]);
}

function drawLinks(context, landmarks, links, transform) {
  context.lineWidth = 1;
  context.strokeStyle = "rgba(255, 255, 255, 0.6)";
  context.beginPath();
  for (const [a, b] of links) {
    if (!landmarks[a] || !landmarks[b]) continue;
    context.moveTo(...transform.toScreen(landmarks[a]));
    context.lineTo(...transform.toScreen(landmarks[b]));
  }
  context.stroke();
}

/** Where the person and models disagree: a line from the point to a cross. */
function drawOpinion(context, object, opinion, transform) {
  opinion.landmarks.forEach((point, k) => {
    if (!point) return;
    const at = transform.toScreen(point);
    if (object?.landmarks[k]) drawLine(context, [transform.toScreen(object.landmarks[k]), at], OPINION);
    drawCross(context, at, OPINION, 5);
  });
}

/**
 * @typedef {object} Scene
 * @property {import("./store.js").Store} store
 * @property {import("./transform.js").Transform} transform
 * @property {{landmark: number, point: [number, number]} | null} moved landmark that is dragged
 * @property {"numbers" | "names" | "none"} labels
 * @property {number | null} hovered landmark under the pointer
 */

/** @param {CanvasRenderingContext2D} context @param {Scene} scene */
export function drawObjects(context, scene) {
  const { store, transform } = scene;
  const order = store.objects.map((_, o) => o).sort((a, b) => (a === store.object) - (b === store.object));
  for (const o of order) drawObject(context, scene, store.objects[o], o);
  const opinions = store.opinion?.objects ?? [];
  for (const opinion of opinions) drawOpinion(context, nearest(opinion, store.photo.objects), opinion, transform);
  for (const finding of store.photo.findings ?? []) {
    const landmarks = store.photo.objects[finding.object ?? 0]?.landmarks ?? [];
    for (const k of finding.landmarks ?? []) {
      if (!landmarks[k]) continue;
      const [x, y] = transform.toScreen(landmarks[k]);
      stroke(context, FINDING, 2, () => context.arc(x, y, 13, 0, 2 * Math.PI), [4, 3]);
    }
  }
}

function drawObject(context, { store, transform, moved, labels, hovered }, object, o) {
  const current = o === store.object;
  const landmarks = object.landmarks.map((point, k) => (current && moved?.landmark === k ? moved.point : point));
  const box = object.box ?? (current && store.objects.length === 1 ? null : boundingBox(object));
  if (box) drawBox(context, box, transform, object.box !== null);
  drawLinks(context, landmarks, store.project.links, transform);
  const proposal = store.photo.status === "done" ? null : store.proposal?.objects[o];
  landmarks.forEach((point, k) => {
    if (!point) return;
    const at = transform.toScreen(point);
    const proposed = isProposed(point, proposal?.landmarks[k]);
    const std = proposed && current ? (proposal.std?.[k] ?? 0) * transform.scale : 0;
    if (std > 8) stroke(context, OTHER, 1, () => context.arc(at[0], at[1], std, 0, 2 * Math.PI), [2, 4]);
    const selected = current && store.selected === k;
    const hidden = object.hidden.includes(k);
    drawPoint(context, at, { hidden, proposed, confidence: proposal?.confidence?.[k], selected, other: !current });
    const named = labels === "names" || selected || (current && hovered === k);
    const text = named ? titleOf(store.project.landmarks, k) + (hidden ? " (hidden)" : "") : String(k);
    if (current && (labels !== "none" || named)) drawLabel(context, text, [at[0] + 8, at[1] - 7], selected);
  });
}

/** @returns {boolean} whether a point is where the model put it */
function isProposed(point, proposed) {
  return Boolean(proposed) && Math.hypot(point[0] - proposed[0], point[1] - proposed[1]) < 0.01;
}

/**
 * A magnified part of the view in a circle.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} center of the circle in the view
 * @param {number} radius
 * @param {() => void} paint paints the part
 */
export function drawLoupe(context, center, radius, paint) {
  context.save();
  context.beginPath();
  context.arc(...center, radius, 0, 2 * Math.PI);
  context.fillStyle = "#303030";
  context.fill();
  context.clip();
  paint();
  context.restore();
  drawCross(context, center, SELECTED, 7);
  stroke(context, SELECTED, 2, () => context.arc(...center, radius, 0, 2 * Math.PI));
}
