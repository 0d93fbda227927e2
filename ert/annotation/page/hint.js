/** One line that says what a click and the most important keys do now. */

import { nextOpen, titleOf } from "./content.js";

/**
 * @param {import("./store.js").Store} store
 * @param {{mode: string, curveStart: number | null}} tools
 * @returns {string}
 */
export function hint(store, tools) {
  const { pick } = store;
  if (pick) return `${pick.text} (${pick.points.length} of ${pick.n}) Without a mouse: arrow keys, P. Esc: stop.`;
  if (tools.mode === "box") return "Draw the box of the object from corner to corner. Delete: no box. Esc: stop.";
  if (tools.mode === "pan") return "Drag to move the photo. V: mark landmarks again.";
  if (tools.mode === "curve") return curveHint(store, tools);
  if (store.isProposal) {
    return "Proposed by the model. Drag what is wrong. Enter: accept, next photo. X: mark by hand instead.";
  }
  const k = store.target;
  if (k !== null) {
    const next = titleOf(store.project.landmarks, k);
    if (store.current.hidden.includes(k)) {
      return `Hidden: click or tap where landmark ${next} must be. H: it is visible.${other(store)}`;
    }
    return `Click or tap landmark ${next}. M: it is not in the photo. H: it cannot be seen.${other(store)}`;
  }
  if (store.photo.status === "done") return "Done. Drag a landmark to correct it. Enter: next photo.";
  return "All landmarks are placed. Drag to correct. Enter: done, next photo. N: another object.";
}

function other(store) {
  const open = store.objects.findIndex((object, o) => o !== store.object && nextOpen(object) !== null);
  return open >= 0 ? ` Object ${open + 1} has landmarks left, too.` : "";
}

function curveHint(store, { curveStart }) {
  if (curveStart === null) return "Curve: click the landmark at which it begins. Esc: stop.";
  const name = titleOf(store.project.landmarks, curveStart);
  return `Curve from ${name}: click points along the line, then the landmark at which it ends. Esc: stop.`;
}
