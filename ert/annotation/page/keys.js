/** Keys, and the sheet that lists them. */

import { button, element } from "./elements.js";

const FIELDS = "input, textarea, select, [contenteditable]";
/** What is done again and again while its key is held down. */
const REPEATED = ["undo", "redo", "previous", "next", "nextLandmark", "previousLandmark", "zoomIn", "zoomOut",
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const PRESSABLE = "button, a, summary, [role=option], [role=listbox], [role=button]";

/** @param {KeyboardEvent} event @returns {string} as "Ctrl+Shift+Z"; the Command key of a Mac is Ctrl */
export function keyName(event) {
  const letter = event.key.length === 1;
  const key = letter ? event.key.toUpperCase() : event.key;
  // Shift is part of signs such as "?" and "+", and not of letters.
  const shift = event.shiftKey && (!letter || /[A-Z]/.test(key));
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shift ? "Shift+" : ""}${key}`;
}

/**
 * @param {Record<string, import("./actions.js").Action>} actions
 * @param {import("./view.js").View} view
 * @param {import("./tools.js").Tools} tools
 */
export function listen(actions, view, tools) {
  const table = new Map(Object.values(actions).flatMap((action) => action.keys.map((key) => [key, action])));
  const repeated = new Set(REPEATED.map((id) => actions[id]));
  document.addEventListener("keydown", (event) => {
    const key = keyName(event);
    const { target } = event;
    if (event.defaultPrevented || document.querySelector("dialog[open]") || !view.store.photo) return;
    const action = table.get(key);
    const onPhoto = target === view.canvas || target === document.body;
    if (target.closest(FIELDS) && key !== "F6") return;
    if (key === " " && onPhoto) {
      tools.space = true;
      view.canvas.style.cursor = "grab";
      event.preventDefault();
    }
    if (!action || !(onPhoto || leavesFocus(target, key))) return;
    event.preventDefault();
    // A key that is held down must not accept or skip photos that nobody has looked at.
    if (event.repeat && !repeated.has(action)) return;
    if (tools.gesture && action !== actions.escape) return;
    action.run(event);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " ") return;
    tools.space = false;
    view.canvas.style.cursor = "";
  });
  window.addEventListener("blur", () => { tools.space = false; });
}

/** Keys that a focused button or list needs for itself stay its own. */
function leavesFocus(target, key) {
  if (/^(Shift\+)?(Tab|Arrow.*|Home|End)$|^(Page.*|Delete|Backspace)$/.test(key)) return false;
  return !(target.closest(PRESSABLE) && (key === "Enter" || key === " "));
}

const SHOWN = { PageUp: "Page up", PageDown: "Page down", Escape: "Esc", "Ctrl+Z": "Ctrl+Z" };

/** @param {import("./actions.js").Action} action @returns {string} its keys for the person, as "M" */
export function shownKeys(action) {
  return action.shown ?? action.keys.map((key) => SHOWN[key] ?? key).join(" or ");
}

/**
 * @param {HTMLDialogElement} dialog is filled
 * @param {Record<string, import("./actions.js").Action>} actions
 */
export function fillSheet(dialog, actions) {
  const listed = Object.values(actions).filter((action) => action.text);
  const groups = [...new Set(listed.map((action) => action.group))];
  const parts = groups.map((group) => element("section", {},
    element("h3", {}, group),
    element("dl", {}, ...listed.filter((action) => action.group === group).flatMap((action) => [
      element("dt", {}, ...shownKeys(action).split(" or ").map((key) => element("kbd", {}, key))),
      element("dd", {}, action.text),
    ]))));
  const close = button("Close", () => dialog.close(), { autofocus: true });
  dialog.replaceChildren(element("header", {}, element("h2", { id: "sheet-title" }, "Keys"), close),
    element("div", { class: "groups" }, ...parts));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
