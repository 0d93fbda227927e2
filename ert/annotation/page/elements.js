/** Elements made with DOM calls: what comes from files or from the server is text, never markup. */

/**
 * Set attributes: functions are listeners ("onclick"), true is an empty attribute, and null or false leaves it out.
 * @param {Element} node
 * @param {Object<string, any>} attributes
 */
function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * @param {string} tag
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string)} children
 * @returns {SVGElement}
 */
export function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

/** Change a text only when it is another one, so that screen readers do not read it again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}

/**
 * @param {string} label
 * @param {(event: Event) => void} onclick
 * @param {Object<string, any>} [attributes]
 */
export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", ...attributes, onclick }, label);
}

let lastId = 0;

/** A field under its label. */
export function labeled(label, field, attributes = {}) {
  field.id ||= `panel-field-${++lastId}`;
  return element("div", { class: "field", ...attributes }, element("label", { for: field.id }, label), field);
}

/** Replace the children of a node; the one with the focus keeps it, known by its `data-key`. */
export function refill(node, children) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  node.replaceChildren(...children);
  if (key !== undefined) node.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** Hide a button, or show it; if it has the focus, another one gets it: keys must not act on the photo suddenly. */
export function setHidden(node, isHidden, other) {
  const hadFocus = node === document.activeElement;
  node.hidden = isHidden;
  if (hadFocus && isHidden) other.focus();
}

/** Show one of two buttons in the same place; the one that is shown takes over the focus. */
export function showOneOf(isFirst, first, second) {
  const [shown, hidden] = isFirst ? [first, second] : [second, first];
  shown.hidden = false;
  setHidden(hidden, true, shown);
}

/** A table with a header; the first column names the row. */
export function table(caption, headers, rows, attributes = {}) {
  const cell = (value, column) => element(column ? "td" : "th", column ? {} : { scope: "row" }, value);
  const head = element("tr", {}, ...headers.map((header) => element("th", { scope: "col" }, header)));
  const body = rows.map((row) => element("tr", {}, ...row.map(cell)));
  const parts = [element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body)];
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    element("table", attributes, ...parts));
}

/** Small screens, where the panels are a drawer; as in page.css. */
export const NARROW = globalThis.matchMedia?.("(max-width: 700px), (max-height: 500px) and (orientation: landscape)");
export const isNarrow = () => NARROW.matches;

/** Fold the panel of a section, or unfold it, where it covers the photo. */
export function foldDrawer(section, isFolded) {
  if (isNarrow()) section.parentElement.open = !isFolded;
}

/** What a panel says beside its title, also while it is folded. */
export function setSummary(section, text) {
  const summary = section.parentElement.querySelector("summary");
  if (!summary.querySelector(".summary-note")) summary.append(" ", element("span", { class: "summary-note" }));
  setText(summary.querySelector(".summary-note"), text);
}

/** A number with three digits that count: 0.0123, 1.23, 12.3, 1230. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return String(Number(value.toPrecision(3)));
}

/** A text that begins with a capital letter. */
export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");

/** "1 photo", "2 photos". */
export const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** Run a request and show its error, one line, instead of throwing it. */
export async function showErrors(line, request) {
  try {
    const answer = await request();
    setText(line, "");
    return answer;
  } catch (error) {
    setText(line, error.message);
    return null;
  }
}

/** What a person has typed, kept until the tab is closed; a browser may refuse to keep anything. */
export const session = {
  read(key, otherwise) {
    try {
      return JSON.parse(sessionStorage.getItem(key)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  write(key, value) {
    try {
      sessionStorage.setItem(key, JSON.stringify(value));
    } catch {
      // Nothing is lost but the memory of what was typed.
    }
  },
};
