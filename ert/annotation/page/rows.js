/** A list of any length of which only the rows in sight exist as elements. */
import { element } from "./elements.js";

const SPARE_ROWS = 3;
// Thumbnails are asked for once the list rests, so that scrolling through thousands asks for none in between.
const REST_MS = 90;

/**
 * The rows in sight, with some above and below.
 * @returns {{first: number, end: number}} rows first <= i < end
 */
export function rowsInSight(scrollTop, height, rowHeight, n, spare = SPARE_ROWS) {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - spare);
  const end = Math.min(n, Math.ceil((scrollTop + height) / rowHeight) + spare);
  return { first: Math.min(first, end), end };
}

/** Where to scroll so that a row is fully in sight; as little as possible. */
export function scrollFor(index, scrollTop, height, rowHeight) {
  if (index * rowHeight < scrollTop) return index * rowHeight;
  return Math.max(scrollTop, (index + 1) * rowHeight - height);
}

/** The row that a key moves to, or null if it is not a key of lists. */
export function rowAfter(key, index, n, page) {
  const moves = {
    ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: n - 1,
  };
  return n && key in moves ? Math.min(n - 1, Math.max(0, moves[key])) : null;
}

export class RowList {
  /**
   * @param {object} options
   * @param {number} options.rowHeight pixels
   * @param {string} options.label what the list is called
   * @param {() => HTMLElement} options.make an empty row
   * @param {(row: HTMLElement, index: number) => void} options.fill show row `index` in an element used before
   * @param {(row: HTMLElement, index: number) => void} options.rest the same for what is only shown at rest
   * @param {(index: number) => void} options.choose a row was clicked, or Enter pressed on it
   */
  constructor({ rowHeight, label, make, fill, rest, choose }) {
    Object.assign(this, { rowHeight, make, fill, rest, choose, n: 0, active: 0 });
    this.name = `rows-${label.toLowerCase().replaceAll(" ", "-")}`;
    this.space = element("div", { class: "rows-space", role: "presentation" });
    this.node = element("div", { class: "rows", role: "listbox", tabindex: 0, "aria-label": label }, this.space);
    this.rows = [];
    this.node.addEventListener("scroll", () => this.show(), { passive: true });
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.node.addEventListener("click", (event) => this.onClick(event));
    new ResizeObserver(() => this.show()).observe(this.node);
  }

  /** Show `n` rows, whose contents may have changed. */
  update(n) {
    this.n = n;
    this.active = Math.max(0, Math.min(this.active, n - 1));
    this.space.style.height = `${n * this.rowHeight}px`;
    for (const row of this.rows) row.index = -1;
    this.show();
  }

  /** Make a row the active one and scroll to it. */
  reach(index) {
    this.active = index;
    const { scrollTop, clientHeight } = this.node;
    this.node.scrollTop = scrollFor(index, scrollTop, clientHeight, this.rowHeight);
    for (const row of this.rows) this.mark(row);
    this.show();
  }

  show() {
    const { scrollTop, clientHeight } = this.node;
    const { first, end } = rowsInSight(scrollTop, clientHeight, this.rowHeight, this.n);
    while (this.rows.length < end - first) this.rows.push(this.add());
    const used = new Set();
    // Row i always takes the same element, so that scrolling by one row changes one element.
    for (let i = first; i < end; i++) {
      const row = this.rows[i % this.rows.length];
      used.add(row);
      if (row.index !== i) this.place(row, i);
    }
    for (const row of this.rows) row.node.hidden = !used.has(row);
    this.node.setAttribute("aria-activedescendant", this.n ? `${this.name}-${this.active}` : "");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.atRest(), REST_MS);
  }

  add() {
    const node = this.make();
    node.setAttribute("role", "option");
    this.space.append(node);
    // The number of elements decides which row takes which: all are placed anew.
    for (const row of this.rows) row.index = -1;
    return { node, index: -1 };
  }

  place(row, i) {
    row.index = i;
    row.isComplete = false;
    row.node.id = `${this.name}-${i}`;
    row.node.style.transform = `translateY(${i * this.rowHeight}px)`;
    row.node.setAttribute("aria-setsize", this.n);
    row.node.setAttribute("aria-posinset", i + 1);
    this.mark(row);
    this.fill(row.node, i);
  }

  mark(row) {
    row.node.classList.toggle("active", row.index === this.active);
  }

  atRest() {
    for (const row of this.rows) {
      if (row.node.hidden || row.isComplete || row.index < 0) continue;
      row.isComplete = true;
      this.rest(row.node, row.index);
    }
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight) - 1);
    const index = rowAfter(event.key, this.active, this.n, page);
    if (index !== null) this.reach(index);
    else if (this.n && (event.key === "Enter" || event.key === " ")) this.choose(this.active);
    else return;
    // The keys of the photo do not act as well.
    event.preventDefault();
    event.stopPropagation();
  }

  onClick(event) {
    const row = this.rows.find(({ node }) => node.contains(event.target));
    if (!row) return;
    this.reach(row.index);
    this.choose(row.index);
  }
}
