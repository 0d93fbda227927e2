/**
 * @typedef {object} Entry
 * @property {number} photo id of the photo
 * @property {string} description what was done, for the person
 * @property {any} before content of the photo before and after; neither is ever changed
 * @property {any} after
 * @property {string} [merge] edits in a row with the same key are undone together
 * @property {number} [object] what was selected before
 * @property {number | null} [selected]
 */

/** The edits of all photos in the order in which they were made, without a limit. */
export class History {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    /** Number of entries that are in effect; the ones behind can be redone. */
    this.position = 0;
  }

  /** @param {Entry} entry */
  push(entry) {
    const last = this.entries[this.position - 1];
    this.entries.length = this.position;
    if (entry.merge && last?.merge === entry.merge && last.photo === entry.photo) {
      last.after = entry.after;
      return;
    }
    this.entries.push(entry);
    this.position += 1;
  }

  /** @returns {Entry | null} the entry that `back` returns next */
  get undoable() {
    return this.entries[this.position - 1] ?? null;
  }

  /** @returns {Entry | null} the entry that `forward` returns next */
  get redoable() {
    return this.entries[this.position] ?? null;
  }

  /** @returns {Entry | null} */
  back() {
    const entry = this.undoable;
    if (entry) this.position -= 1;
    return entry;
  }

  /** @returns {Entry | null} */
  forward() {
    const entry = this.redoable;
    if (entry) this.position += 1;
    return entry;
  }

  /**
   * @param {number} photo
   * @returns {any} what the photo contains by the entries that are in effect; null if none is of this photo
   */
  contentOf(photo) {
    for (let i = this.position - 1; i >= 0; i -= 1) {
      if (this.entries[i].photo === photo) return this.entries[i].after;
    }
    return this.entries.find((entry) => entry.photo === photo)?.before ?? null;
  }
}
