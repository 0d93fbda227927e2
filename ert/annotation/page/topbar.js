/** The bar at the top: the photo, the tools, and whether everything is saved. */

import { shownKeys } from "./keys.js";
import { button, element, refill, setHidden, setText } from "./elements.js";
import { hint } from "./hint.js";
import { STATUSES } from "./photos.js";

const SAVE_STATES = {
  saved: ["✓", "Saved"],
  saving: ["…", "Saving"],
  conflict: ["!", "Not saved: changed elsewhere"],
  refused: ["!", "Not saved"],
  unreachable: ["!", "Not reachable: retrying"],
  "signed out": ["!", "Not saved: open the new address"],
};

const DISK_STATES = { failed: "Not written to the file", "changed outside": "File changed by another program" };

/**
 * @param {HTMLElement} header is filled
 * @param {import("./store.js").Store} store
 * @param {import("./view.js").View} view
 * @param {import("./tools.js").Tools} tools
 * @param {Record<string, import("./actions.js").Action>} actions
 * @param {() => void} switchTheme
 */
export function mountTopbar(header, store, view, tools, actions, switchTheme) {
  const act = (id, text, attributes = {}) => {
    const keys = shownKeys(actions[id]);
    return button(text, (event) => actions[id].run(event), {
      title: keys ? `${actions[id].text} (${keys})` : actions[id].text, "data-action": id, ...attributes,
    });
  };
  const group = (label, ...children) => (
    element("div", { class: "group", role: "group", "aria-label": label }, ...children));
  const extra = (node) => {
    node.classList.add("extra");
    return node;
  };
  const name = element("h1", { id: "name" });
  const status = element("span", { id: "photo-status" });
  // Not read aloud: it changes with every edit. The notice tells of what is not saved.
  const saved = element("span", { id: "save-state" });
  const modes = {
    mark: act("mark", "Mark"), box: act("box", "Box"), curve: act("curve", "Curve"), pan: act("pan", "Pan"),
  };
  const objects = group("Objects");
  const zoom = element("span", { id: "zoom" });
  const hintLine = element("p", { id: "hint" });
  const undo = act("undo", "↶", { "aria-label": "Undo" });
  const redo = act("redo", "↷", { "aria-label": "Redo" });
  undo.append(element("span", { class: "wide" }, " Undo"));
  redo.append(element("span", { class: "wide" }, " Redo"));
  const keys = act("sheet", "?", { "aria-label": "? Keys" });
  keys.append(element("span", { class: "wide" }, " Keys"));
  const missing = act("missing", "Missing");
  const hidden = act("hidden", "Hidden");
  const accept = act("accept", "Done", { class: "main" });
  const byHand = act("byHand", "By hand");
  const stop = act("escape", "Stop", { hidden: true });
  const more = button("Tools", () => {
    more.setAttribute("aria-expanded", String(bar.classList.toggle("open")));
  }, { id: "more", "aria-expanded": "false", "aria-controls": "tools", title: "Show or hide the other tools" });
  // On a small screen, what is "extra" is shown after a click on "Tools".
  const bar = element("div", { id: "tools", class: "bar tools" },
    group("Landmark", missing, hidden),
    group("Edits", undo, extra(redo)), more,
    extra(group("Tools", ...Object.values(modes))),
    extra(objects),
    extra(group("Zoom", act("zoomOut", "−", { "aria-label": "Zoom out" }), zoom,
      act("zoomIn", "+", { "aria-label": "Zoom in" }), act("fit", "Fit"))),
    element("div", { class: "group finish" }, extra(byHand), extra(act("skip", "Skip")), accept));

  header.append(
    element("div", { class: "bar" },
      group("Photo", act("previous", "‹", { "aria-label": "Previous photo" }),
        act("next", "›", { "aria-label": "Next photo" })),
      name, status, saved,
      group("Page", button("◐", switchTheme, { title: "Light or dark", "aria-label": "Light or dark" }),
        keys)),
    bar,
    element("div", { class: "hints" }, hintLine, stop));

  function showObjects() {
    const n = store.objects.length;
    const chosen = (o) => button(String(o + 1), () => store.select(null, o), {
      "aria-pressed": String(o === store.object), "aria-label": `Object ${o + 1} of ${n}`, "data-key": `object ${o}`,
    });
    const chips = n > 1 ? store.objects.map((_, o) => chosen(o)) : [];
    const add = act("newObject", "+ Object", { "aria-label": "New object", "data-key": "add" });
    const attributes = { "aria-label": "Remove the object", "data-key": "remove" };
    refill(objects, [...chips, add, ...(n ? [act("removeObject", "− Object", attributes)] : [])]);
  }

  function show() {
    if (!store.photo) return;
    setText(name, store.photo.name);
    name.title = store.photo.name;
    document.title = `${store.photo.name} - ${store.project.title}`;
    const { icon, word } = STATUSES[store.photo.status];
    const counts = store.status?.counts;
    const progress = counts ? `, ${counts.done} of ${store.project.n_photos} done` : "";
    setText(status, `${icon} ${word}${progress}`);
    for (const [mode, node] of Object.entries(modes)) node.setAttribute("aria-pressed", String(tools.mode === mode));
    const k = store.selected ?? store.target;
    hidden.setAttribute("aria-pressed", String(k !== null && store.current.hidden.includes(k)));
    missing.disabled = hidden.disabled = k === null;
    undo.disabled = !store.history.undoable;
    redo.disabled = !store.history.redoable;
    byHand.hidden = !store.isProposal;
    setHidden(stop, !store.pick && tools.mode === "mark", view.canvas);
    setText(accept, store.isProposal ? "Accept" : "Done");
    setText(hintLine, hint(store, tools));
    setText(zoom, `${Math.round(view.transform.scale * 100)} %`);
  }

  function showSaved() {
    const disk = store.status?.disk.state;
    let [icon, text] = SAVE_STATES[store.saver.state];
    if (store.saver.state === "saved" && disk in DISK_STATES) [icon, text] = ["!", DISK_STATES[disk]];
    setText(saved, `${icon} ${text}`);
    saved.dataset.state = icon === "!" ? "bad" : store.saver.state;
  }

  for (const event of ["photo", "change", "select", "proposal", "project"]) store.addEventListener(event, showObjects);
  for (const event of ["photo", "change", "select", "proposal", "project", "pick", "status"]) {
    store.addEventListener(event, show);
  }
  for (const event of ["save", "status"]) store.addEventListener(event, showSaved);
  tools.addEventListener("mode", show);
  view.addEventListener("zoom", show);
  showSaved();
}

/**
 * What keeps changes from being saved, with what the person can do about it.
 *
 * @param {HTMLElement} notice is filled, or hidden
 * @param {import("./store.js").Store} store
 */
export function mountNotice(notice, store) {
  let shown = "";
  let isRecovering = false;
  function show() {
    const [text, choices] = noticeOf(store);
    isRecovering ||= shown !== "" && text === "";
    if (isRecovering && store.saver.state === "saved") {
      isRecovering = false;
      if (text === "") store.say("Everything is saved.");
    }
    notice.hidden = text === "";
    if (text === shown) return;
    shown = text;
    const run = (choice) => choice().catch((error) => store.say(error.message));
    notice.replaceChildren(text, ...choices.map(([label, choice]) => button(label, () => run(choice))));
  }
  for (const event of ["save", "status"]) store.addEventListener(event, show);
}

/** @param {import("./store.js").Store} store @returns {[string, [string, () => Promise<any>][]]} */
export function noticeOf(store) {
  const { saver } = store;
  const n = saver.unsaved.size;
  const kept = n ? ` Changes in ${n} ${n === 1 ? "photo" : "photos"} are kept in this tab and saved afterwards.` : "";
  if (saver.state === "signed out") {
    return [`The server was started again. Open the address that it printed, in this browser.${kept}`, []];
  }
  if (saver.state === "unreachable") {
    const why = saver.text || "The server does not answer.";
    return [`${why} Trying again. Is ert annotate still running?${kept}`, []];
  }
  if (saver.state === "conflict") {
    const [, { name }] = saver.conflict;
    return [`${name} was changed in another window or program, and here. Which version is right?`, [
      ["Use the other version", async () => store.resolveConflict("theirs")],
      ["Keep mine", async () => store.resolveConflict("mine")],
    ]];
  }
  if (saver.state === "refused") {
    const [, { name, refused }] = [...saver.unsaved].find(([, item]) => item.refused);
    return [`${name} cannot be saved: ${refused} Undo the last change, or correct it.`, []];
  }
  const disk = store.status?.disk;
  if (disk?.state === "changed outside") {
    const question = "Which version is right? The other one is kept as a copy.";
    return [`${store.project.file} was changed by another program. ${question}`, [
      ["Reload the file", () => store.resolveDisk("reload")],
      ["Keep mine", () => store.resolveDisk("keep mine")],
    ]];
  }
  return disk?.state === "failed" ? [disk.text, []] : ["", []];
}
