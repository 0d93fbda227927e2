/** Everything that a person can do, with the keys for it: keys, buttons and the sheet of keys come from this table. */

import { removePoint, titleOf } from "./content.js";

const NUDGE_FAST = 10;
const ZOOM_STEP = 1.25;
const CURSOR_STEPS = 24;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @typedef {object} Action
 * @property {string[]} keys as in `keyName`; none: a button alone
 * @property {string} text what it does
 * @property {string} group heading in the sheet of keys
 * @property {string} [shown] keys as the sheet shows them, if not `keys`
 * @property {(event?: KeyboardEvent) => void} run
 */

/** @param {number[]} hidden @param {number} k */
const toggled = (hidden, k) => (hidden.includes(k) ? hidden.filter((other) => other !== k) : [...hidden, k]);

/**
 * @param {import("./store.js").Store} store
 * @param {import("./view.js").View} view
 * @param {import("./tools.js").Tools} tools
 * @param {{sheet: () => void, goTo: () => void, panels: () => void}} windows
 * @returns {Record<string, Action>}
 */
export function makeActions(store, view, tools, windows) {
  const names = () => store.project.landmarks;
  const title = (k) => `Landmark ${titleOf(names(), k)}`;
  let asked = null;

  /** The landmark that M and H mean: the selected one, else the one that a click would place. */
  const meant = () => store.selected ?? store.target;

  function markMissing() {
    const k = meant();
    if (k === null) return store.say("Select the landmark that is missing (Tab, or a click on it).");
    store.editObject(`${title(k)} missing`, (object) => removePoint(object, k, true));
    return store.selectAfter(k);
  }

  function markHidden() {
    const k = meant();
    if (k === null) return store.say("Select the landmark that is hidden (Tab, or a click on it).");
    return store.editObject(`${title(k)} hidden or visible`, (object) => {
      object.hidden = toggled(object.hidden, k);
    });
  }

  function removeLandmark() {
    if (tools.mode === "box") return tools.setBox(null);
    const k = store.selected;
    if (k === null) return store.say("Select the landmark to be removed (Tab, or a click on it).");
    return store.editObject(`${title(k)} removed`, (object) => removePoint(object, k, false));
  }

  /** Landmark that arrow keys move: the selected one, or the one that was placed last. */
  function nudged() {
    const k = store.selected;
    if (k !== null && store.current.landmarks[k]) return k;
    const { last } = tools;
    const same = last && !view.cursor && last.photo === store.photo.id && last.object === store.object;
    return same && store.current.landmarks[last.landmark] ? last.landmark : null;
  }

  let repeats = 0;
  function arrow(dx, dy, event) {
    const k = nudged();
    if (k === null) return moveCursor(dx, dy, event);
    const step = Math.max(1, 1 / view.transform.scale) * (event.shiftKey ? NUDGE_FAST : 1);
    const [x, y] = store.current.landmarks[k];
    const { selected } = store;
    tools.move(k, [x + dx * step, y + dy * step], `nudge ${store.object} ${k}`);
    view.reveal(store.current.landmarks[k]);
    return store.select(selected);
  }

  /** The longer the key is held, the faster the cursor. */
  function moveCursor(dx, dy, event) {
    repeats = event.repeat ? Math.min(CURSOR_STEPS, repeats + 1) : 1;
    const step = (event.shiftKey ? NUDGE_FAST : repeats) / view.transform.scale;
    const [x, y] = view.cursor ?? startOfCursor();
    view.cursor = [x + dx * step, y + dy * step];
    view.pointer = null;
    view.reveal(view.cursor);
  }

  const startOfCursor = () => view.transform.toImage(view.pointer?.at ?? view.size.map((side) => side / 2));

  function putAtCursor() {
    if (!view.cursor && !view.pointer) {
      view.cursor = startOfCursor();
      view.invalidate();
      return store.say("The arrow keys move the cross; P puts the landmark there.");
    }
    const point = view.cursor ?? startOfCursor();
    if (store.pick) return store.addPick(point);
    if (tools.mode === "curve") return tools.addCorner(point);
    if (store.target === null && store.selected !== null) return tools.move(store.selected, point);
    return tools.place(point);
  }

  function cycle(by) {
    const n = names().length;
    const from = store.selected ?? (by > 0 ? -1 : n);
    store.select((from + by + n) % n);
    const point = store.current.landmarks[store.selected];
    if (point) view.reveal(point);
  }

  function enter() {
    if (tools.mode === "curve" && store.selected !== null) return tools.chooseCurveEnd(store.selected);
    if (store.isProposal && !view.isPhotoShown) return store.say("The photo is not shown yet.");
    const again = asked === store.photo;
    asked = store.photo;
    return store.accept(again);
  }

  function newObject() {
    const empty = store.objects.findIndex((object) => object.landmarks.every((point) => point === null));
    const n = store.objects.length;
    if (!n || empty >= 0) return store.select(0, Math.max(0, empty));
    return store.addObject();
  }

  const arrows = Object.entries(ARROWS).map(([key, [dx, dy]]) => [key, {
    keys: [key, `Shift+${key}`], group: "Mark", text: "", run: (event) => arrow(dx, dy, event),
  }]);
  const mode = (name) => () => tools.setMode(tools.mode === name ? "mark" : name);

  return {
    mark: { keys: ["V"], group: "Mark", text: "Mark landmarks: a click places the next one, dragging moves one. "
      + "Alt + click places it close to another one",
      shown: "Click or V", run: () => tools.setMode("mark") },
    put: { keys: ["P"], group: "Mark", text: "Place the landmark at the pointer; without a mouse, at a cross "
      + "that the arrow keys move",
      run: putAtCursor },
    nudge: { keys: [], group: "Mark", text: "Move the landmark by a pixel; with Shift by 10 pixels",
      shown: "← → ↑ ↓", run: () => {} },
    missing: { keys: ["M"], group: "Mark", text: "Missing: the landmark is not in this photo", run: markMissing },
    hidden: { keys: ["H"], group: "Mark", text: "Hidden: the landmark cannot be seen, and is placed where it "
      + "must be. Again: it is visible", run: markHidden },
    remove: { keys: ["Delete", "Backspace"], group: "Mark", text: "Remove the position of the landmark",
      run: removeLandmark },
    curve: { keys: ["C"], group: "Mark", text: "Curve: click a landmark, points along the line, another landmark. "
      + "The landmarks between the two are spaced evenly. Without a mouse: Tab and Enter, P", run: mode("curve") },
    box: { keys: ["B"], group: "Mark", text: "Draw the box of the object; Delete removes it", run: mode("box") },
    undo: { keys: ["Ctrl+Z"], group: "Mark", text: "Undo, also in other photos", run: () => store.undo() },
    redo: { keys: ["Ctrl+Y", "Ctrl+Shift+Z"], group: "Mark", text: "Redo", run: () => store.redo() },
    escape: { keys: ["Escape"], group: "Mark", text: "Cancel, or select nothing",
      run: () => { if (!tools.escape()) store.select(null); view.cursor = null; } },

    accept: { keys: ["Enter"], group: "Photo", text: "Accept: the photo is done, and the next one opens", run: enter },
    skip: { keys: ["S"], group: "Photo", text: "Skip the photo: it is not part of the dataset",
      run: () => store.skip() },
    byHand: { keys: ["X"], group: "Photo", text: "Mark by hand, without the proposal",
      run: () => store.dismissProposal() },
    previous: { keys: ["PageUp", "["], group: "Photo", text: "Previous photo by name", run: () => store.step(-1) },
    next: { keys: ["PageDown", "]"], group: "Photo", text: "Next photo by name", run: () => store.step(1) },
    back: { keys: [], group: "Photo", text: "The photo that was open before, as with Back of the browser",
      shown: "Alt+←", run: () => history.back() },

    nextLandmark: { keys: ["Tab"], group: "Select", text: "Next landmark", run: () => cycle(1) },
    previousLandmark: { keys: ["Shift+Tab"], group: "Select", text: "Previous landmark", run: () => cycle(-1) },
    goTo: { keys: ["G"], group: "Select", text: "Go to a landmark by number or name", run: windows.goTo },
    newObject: { keys: ["N"], group: "Select", text: "New object in this photo", run: newObject },
    nextObject: { keys: ["O"], group: "Select", text: "Next object",
      run: () => store.select(null, (store.object + 1) % Math.max(1, store.objects.length)) },
    removeObject: { keys: ["Shift+Delete"], group: "Select", text: "Remove the object",
      run: () => store.removeObject() },

    zoomIn: { keys: ["+", "="], group: "View", text: "Zoom in (also: wheel, two fingers)", shown: "+",
      run: () => view.zoom(ZOOM_STEP, view.pointer?.at) },
    zoomOut: { keys: ["-"], group: "View", text: "Zoom out", shown: "−",
      run: () => view.zoom(1 / ZOOM_STEP, view.pointer?.at) },
    fit: { keys: ["0"], group: "View", text: "Whole photo", run: () => view.fit() },
    zoomTo: { keys: ["F"], group: "View", text: "Zoom to the landmark, or to the object",
      run: () => view.show(store.selected === null ? names().map((_, k) => k) : [store.selected]) },
    pan: { keys: [], group: "View", text: "Pan: also with the right button, or with two fingers", shown: "Space + drag",
      run: mode("pan") },
    labels: { keys: ["L"], group: "View", text: "Labels: numbers, names, none",
      run: () => store.say(`Labels: ${view.nextLabels()}`) },
    panels: { keys: ["F6"], group: "View", text: "Go to the panels, to the buttons at the top, and back to the photo",
      run: windows.panels },
    sheet: { keys: ["?"], group: "View", text: "This list", run: windows.sheet },
    ...Object.fromEntries(arrows),
  };
}
