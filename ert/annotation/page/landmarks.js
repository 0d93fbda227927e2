/** The list of landmarks of the object that is edited. */

import { button, element, showErrors } from "./elements.js";
import { isOpen, titleOf } from "./content.js";

// Longer ones are cut off where two landmarks share a line.
const LONG_TITLE = 12;

/** @param {import("./store.js").Store} store @param {number} k @returns {[string, string]} sign and word */
export function stateOf(store, k) {
  const object = store.current;
  if (object.hidden.includes(k)) return ["◌", "hidden"];
  if (object.landmarks[k]) return store.isProposal ? ["◇", "proposed"] : ["●", "placed"];
  return isOpen(object, k) ? ["", "to be placed"] : ["–", "missing"];
}

/**
 * @param {HTMLElement} section is filled
 * @param {import("./store.js").Store} store
 * @param {() => void} chosen called after a landmark was selected
 */
export function mount(section, store, chosen) {
  const list = element("ol", { class: "landmarks" });
  const error = element("p", { class: "error", role: "alert", hidden: true });
  const rename = button("Rename …", startRenaming);
  section.append(list, error, rename);

  function show() {
    if (!store.photo || list.querySelector("input")) return;
    const names = store.project.landmarks;
    while (list.children.length > names.length) list.lastChild.remove();
    while (list.children.length < names.length) list.append(item(list.children.length));
    list.classList.toggle("long", names.some((_, k) => titleOf(names, k).length > LONG_TITLE));
    names.forEach((_, k) => showOne(list.children[k].firstChild, k));
  }

  function item(k) {
    const choose = () => {
      store.select(k);
      chosen();
    };
    return element("li", {}, button("", choose));
  }

  function showOne(node, k) {
    const [sign, word] = stateOf(store, k);
    const text = titleOf(store.project.landmarks, k);
    if (node.textContent !== text + sign) {
      node.replaceChildren(element("span", {}, text), element("span", { class: "sign", "aria-hidden": true }, sign));
    }
    node.setAttribute("aria-label", `${text}, ${word}`);
    node.title = `${text}: ${word}`;
    node.dataset.state = word;
    node.setAttribute("aria-pressed", String(store.selected === k));
    node.classList.toggle("target", store.target === k);
    if (store.selected === k) reach(node);
  }

  /** Scroll the list, and not the panels around it, in which the person may be elsewhere. */
  function reach({ offsetTop, offsetHeight }) {
    const { scrollTop, clientHeight } = list;
    list.scrollTop = Math.min(offsetTop, Math.max(scrollTop, offsetTop + offsetHeight - clientHeight));
  }

  function startRenaming() {
    const names = store.project.landmarks;
    const inputs = names.map((value, k) => element("input", { value, "aria-label": `Name of landmark ${k}` }));
    const stop = () => {
      form.replaceWith(list);
      list.replaceChildren();
      rename.hidden = false;
      show();
    };
    const save = async (event) => {
      event.preventDefault();
      const renamed = inputs.map((input) => input.value.trim());
      if (await showErrors(error, () => store.rename(renamed).then(() => true))) stop();
    };
    const form = element("form", { class: "rename", onsubmit: save },
      element("ol", { class: "landmarks" }, ...inputs.map((input) => element("li", {}, input))),
      element("div", { class: "buttons" }, element("button", { type: "submit", class: "main" }, "Save names"),
        button("Cancel", stop)));
    list.replaceWith(form);
    rename.hidden = true;
    inputs[0].focus();
  }

  for (const event of ["project", "photo", "change", "select", "proposal"]) store.addEventListener(event, show);
}

/**
 * @param {string[]} names
 * @param {string} text number or beginning of a name
 * @returns {number | null} landmark
 */
export function findLandmark(names, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  const exact = names.findIndex((name) => name.toLowerCase() === wanted);
  if (exact >= 0) return exact;
  const number = Number(wanted);
  if (Number.isInteger(number) && number >= 0 && number < names.length) return number;
  const begins = names.findIndex((name) => name.toLowerCase().startsWith(wanted));
  return begins >= 0 ? begins : null;
}
