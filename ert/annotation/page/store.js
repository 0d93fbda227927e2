/** The photo that is edited, and everything that panels and tools share. */

import * as server from "./api.js";
import {
  contentOf, emptyObject, isOpen, nextOpen, proposedObjects, sameButMissing, sameForServer, shared,
} from "./content.js";
import { History } from "./history.js";
import { Saver } from "./saving.js";

/**
 * Events: "project"; "photo" (another photo is open); "change" (the photo was edited); "select" (another landmark or
 * object); "proposal"; "opinion"; "status" (once a second); "save" (state of saving); "pick" (points are asked for);
 * "show" (landmarks to be brought into view, in `detail`); "message" (one line for the person, in `detail`).
 */
export class Store extends EventTarget {
  /** @param {{get: Function, put: Function, post: Function, del: Function}} [api] @param {Storage} [storage] */
  constructor(api = server, storage = globalThis.sessionStorage) {
    super();
    this.api = api;
    this.project = null;
    /** JSON of /api/photos/ID, as edited. Never change it: call `edit`. */
    this.photo = null;
    /** Index of the object that is edited. */
    this.object = 0;
    /** @type {number | null} landmark that keys apply to */
    this.selected = null;
    this.proposal = null;
    this.opinion = null;
    this.status = null;
    /** Order of `next`: "queue", "suspicious" or "name". */
    this.order = "queue";
    /** While the person drags something: no proposal may change under the pointer. */
    this.busy = false;
    /** @type {{n: number, text: string, points: [number, number][], resolve: Function} | null} */
    this.pick = null;
    this.history = new History();
    this.saver = new Saver(
      (id, body) => api.put(`/api/photos/${id}`, body),
      (id, name) => this.#verify(id, name),
      { storage },
    );
    this.saver.addEventListener("save", () => this.#emit("save"));
    this.changes = 0;
    this.dismissed = new Set();
    this.moving = Promise.resolve();
    this.opening = 0;
    /** @type {number | null} photo that is probably next */
    this.expected = null;
    /** The open photo was changed elsewhere, and could not be loaded again yet. */
    this.isOutdated = false;
    /** Photo that is opened, or is open. */
    this.goal = 0;
  }

  /** @param {number | null} id photo to begin with; null: the first of the queue */
  async start(id = null) {
    this.project = await this.api.get("/api/project");
    this.#emit("project");
    this.saver.restore();
    await this.poll();
    if (id !== null && id >= 0 && id < this.project.n_photos) return this.open(id);
    const { photos } = await this.api.get("/api/photos?order=queue&status=all&offset=0&limit=1");
    return this.open(photos[0]?.id ?? 0);
  }

  /** @param {string[]} landmarks new names */
  async rename(landmarks) {
    await this.api.put("/api/project", { landmarks });
    this.project = { ...this.project, landmarks };
    this.#emit("project");
  }

  // What is shown

  /** @returns {import("./content.js").Content} */
  get content() {
    const { status, objects, scale } = this.photo;
    return { status, objects, scale };
  }

  /** @returns {boolean} whether the points shown are a proposal that nobody touched */
  get isProposal() {
    return this.photo?.objects.length === 0 && this.photo.status !== "done" && this.#proposed.length > 0;
  }

  /** @returns {import("./content.js").Marked[]} objects shown: the marked ones, else the proposed ones */
  get objects() {
    return this.isProposal ? this.#proposed : this.photo?.objects ?? [];
  }

  /** @returns {import("./content.js").Marked} object that is edited; an empty one if there is none yet */
  get current() {
    return this.objects[this.object] ?? emptyObject(this.project.landmarks.length);
  }

  /** @returns {number | null} landmark that a click places: the selected one if it has no position, else the next */
  get target() {
    const k = this.selected;
    return k !== null && this.current.landmarks[k] === null ? k : nextOpen(this.current, k ?? -1);
  }

  /** Select the landmark to be placed after another one. @param {number} k */
  selectAfter(k) {
    this.select(nextOpen(this.current, k));
  }

  get #proposed() {
    return this.dismissed.has(this.photo?.id) ? [] : proposedObjects(this.proposal);
  }

  // Photos

  /**
   * @param {number} id
   * @param {Promise<any>} [answer] the photo, if it was asked for before
   * @returns {Promise<boolean>} false, with a message, if the server does not answer
   */
  async open(id, answer = this.#fetch(id)) {
    const turn = ++this.opening;
    this.goal = id;
    const photo = await answer;
    if (turn !== this.opening) return false;
    this.goal = photo ? id : this.photo?.id;
    if (!photo) return false;
    this.cancelPick();
    Object.assign(this, { proposal: null, opinion: null, object: 0, selected: null });
    Object.assign(this, { isOutdated: false, expected: null });
    this.#take(photo);
    this.selected = nextOpen(this.current);
    this.#emit("photo");
    this.loadProposal().catch(() => {});
    return true;
  }

  /** Open the photo to do next. @returns {Promise<boolean>} false if none is left */
  async next() {
    const { expected } = this;
    const early = expected === null ? undefined : this.#fetch(expected);
    const answer = await this.#ask(this.#nextPath);
    if (answer?.id === null) this.say("No other photo is left to do.");
    return (answer?.id ?? null) !== null && this.open(answer.id, answer.id === expected ? early : undefined);
  }

  /** @returns {Promise<number | null>} what `next` would open now */
  async peek() {
    const { photo } = this;
    const answer = await this.api.get(this.#nextPath).catch(() => null);
    if (this.photo.id === photo.id) this.expected = answer?.id ?? null;
    return answer?.id ?? null;
  }

  get #nextPath() {
    return `/api/photos/${this.photo.id}/next?order=${this.order}`;
  }

  /** @param {number} by 1: the photo behind this one by name; -1: the one before */
  async step(by) {
    const id = this.goal + by;
    if (id >= 0 && id < this.project.n_photos) await this.open(id);
    else this.say(by > 0 ? "This is the last photo." : "This is the first photo.");
  }

  async loadProposal() {
    const id = this.photo.id;
    if (this.photo.status === "done" || this.busy) return;
    const proposal = await this.api.get(`/api/photos/${id}/proposal`);
    if (this.photo.id !== id || this.busy) return;
    this.proposal = proposal;
    if (this.isProposal) Object.assign(this, { object: 0, selected: null });
    this.#emit("proposal");
  }

  /** What models say that were not trained on this photo; shown until another photo opens or `hideOpinion`. */
  async loadOpinion() {
    const id = this.photo.id;
    const opinion = await this.api.get(`/api/photos/${id}/opinion`);
    if (this.photo.id !== id) return;
    this.opinion = opinion;
    this.#emit("opinion");
  }

  /** @param {object[]} findings what is suspicious in the open photo after a change */
  takeFindings(findings) {
    this.photo = { ...this.photo, findings };
    this.#emit("select");
  }

  hideOpinion() {
    this.opinion = null;
    this.#emit("opinion");
  }

  /** Ask the server for news. Never throws. */
  async poll() {
    let status;
    try {
      status = await this.api.get(`/api/status?since=${this.changes}`);
    } catch (error) {
      this.saver.lost(error.status, error.message);
      return;
    }
    this.saver.reachable();
    const restarted = status.changes < this.changes;
    this.changes = status.changes;
    this.status = status;
    this.#emit("status");
    if (!this.photo) return;
    this.isOutdated ||= restarted || status.changed.includes(this.photo.id);
    if (this.isOutdated) await this.#refresh();
    if (status.model.version !== (this.proposal?.model ?? 0)) await this.loadProposal().catch(() => {});
  }

  // Edits

  /**
   * The only way to change a photo: recorded for undo, and saved.
   *
   * @param {string} description for the person, as "Landmark 3 moved"
   * @param {(content: import("./content.js").Content) => void} change changes the copy that it is given
   * @param {{merge?: string, object?: number, selected?: number | null}} [options] `merge`: edits in a row with the
   *   same key are undone together; `object`, `selected`: what is selected afterwards
   */
  edit(description, change, { merge, object = this.object, selected = this.selected } = {}) {
    const before = this.content;
    const draft = structuredClone(before);
    change(draft);
    const after = shared(before, draft);
    if (after !== before) {
      const entry = { photo: this.photo.id, description, before, after, merge };
      this.history.push({ ...entry, object: this.object, selected: this.selected });
      this.#set(after);
    }
    this.select(selected, object);
  }

  /**
   * Edit the current object. A proposal becomes the person's own with the first edit of one of its points.
   *
   * @param {string} description
   * @param {(object: import("./content.js").Marked) => void} change
   * @param {{merge?: string, object?: number, selected?: number | null}} [options]
   */
  editObject(description, change, options) {
    const adopted = this.isProposal ? this.#proposed : [];
    const i = this.object;
    const n = this.project.landmarks.length;
    this.edit(description, (content) => {
      content.objects.push(...adopted);
      while (content.objects.length <= i) content.objects.push(emptyObject(n));
      change(content.objects[i]);
      // A photo is done again when the person says so.
      const open = content.status === "done" && nextOpen(content.objects[i]) !== null;
      if (open || content.status === "todo" || content.status === "skipped") content.status = "started";
    }, options);
  }

  /** A new object in this photo, to be marked next. */
  addObject() {
    const empty = emptyObject(this.project.landmarks.length);
    const adopted = this.isProposal ? this.#proposed : [];
    const object = this.objects.length;
    this.edit("Object added", (content) => { content.objects.push(...adopted, empty); }, { object, selected: 0 });
  }

  removeObject() {
    const adopted = this.isProposal ? this.#proposed : [];
    this.edit("Object removed", (content) => {
      content.objects.push(...adopted);
      content.objects.splice(this.object, 1);
      if (content.status === "todo") content.status = "started";
      if (!content.objects.length) content.status = "todo";
    }, { selected: null });
    if (!this.photo.objects.length) this.dismissProposal();
  }

  /** @param {number | null} scale length of a pixel, in the unit of the project */
  setScale(scale) {
    this.edit(scale === null ? "Scale removed" : "Scale set", (content) => { content.scale = scale; });
  }

  undo() {
    return this.#travel(() => this.history.undoable, (entry) => {
      this.history.back();
      this.#set(entry.before);
      this.select(entry.selected ?? null, entry.object ?? 0);
      this.say(`Undone: ${entry.description}`);
      if (!this.proposal) this.loadProposal().catch(() => {});
    });
  }

  redo() {
    return this.#travel(() => this.history.redoable, (entry) => {
      this.history.forward();
      this.#set(entry.after);
      this.select(null, entry.object ?? 0);
      this.select(nextOpen(this.current));
      this.say(`Done again: ${entry.description}`);
    });
  }

  /**
   * Everything in this photo is right: its status becomes "done", and the next photo opens.
   *
   * @param {boolean} [incomplete] accept landmarks without a position as missing
   * @returns {Promise<boolean>} false, with a message, if something is left to do
   */
  async accept(incomplete = false) {
    const objects = this.objects.filter((object) => object.landmarks.some((point) => point !== null));
    if (!objects.length) {
      this.say("Nothing is marked in this photo. S skips it.");
      return false;
    }
    const open = objects.flatMap((object) => object.landmarks.filter((_, k) => isOpen(object, k)));
    if (open.length && !incomplete) {
      const [are, them] = open.length === 1 ? ["landmark is", "it"] : ["landmarks are", "them"];
      this.say(`${open.length} ${are} not placed. Enter or Done again marks ${them} as missing.`);
      return false;
    }
    this.edit(this.isProposal ? "Proposal accepted" : "Photo done", (content) => {
      content.objects = objects.map((object) => ({ ...object, missing: missingOf(object) }));
      content.status = "done";
    }, { object: 0, selected: null });
    return this.next();
  }

  /** This photo is left out; the next one opens. */
  async skip() {
    this.edit("Photo skipped", (content) => { content.status = "skipped"; });
    return this.next();
  }

  /** Mark this photo by hand, without its proposal. */
  dismissProposal() {
    this.dismissed.add(this.photo.id);
    this.select(nextOpen(this.current), 0);
    this.#emit("proposal");
  }

  /** @param {number | null} selected @param {number} [object] */
  select(selected, object = this.object) {
    this.object = Math.max(0, Math.min(object, this.objects.length - 1));
    this.selected = selected;
    this.#emit("select");
  }

  // Conversations with the person

  /** @param {string} text one line that is shown for some seconds */
  say(text) {
    this.#emit("message", text);
  }

  /**
   * Ask for points on the photo, for example the two ends of a ruler.
   *
   * @param {number} n
   * @param {string} text what to click on
   * @returns {Promise<[number, number][] | null>} points in pixels of the photo; null if the person gave up
   */
  pickPoints(n, text) {
    this.cancelPick();
    return new Promise((resolve) => {
      this.pick = { n, text, points: [], resolve };
      this.#emit("pick");
    });
  }

  /** @param {[number, number]} point */
  addPick(point) {
    const pick = this.pick;
    pick.points.push(point);
    if (pick.points.length === pick.n) this.#endPick(pick.points);
    else this.#emit("pick");
  }

  cancelPick() {
    if (this.pick) this.#endPick(null);
  }

  #endPick(points) {
    const { resolve } = this.pick;
    this.pick = null;
    this.#emit("pick");
    resolve(points);
  }

  /** @param {number[]} landmarks of the current object to be brought into view; empty: the whole photo */
  show(landmarks) {
    this.#emit("show", landmarks);
  }

  // Saving

  /** @param {"mine" | "theirs"} choice after a photo was changed here and elsewhere */
  async resolveConflict(choice) {
    const [id, { content, name }] = this.saver.conflict;
    const theirs = this.saver.resolve(id, choice);
    if (choice === "mine") return;
    this.#recordElsewhere(id, content, contentOf(theirs));
    if (this.photo.id === id) this.#take({ ...this.photo, ...theirs });
    this.#emit("change");
    this.say(`${name}: the other version is shown. Undo brings yours back.`);
  }

  /** @param {"reload" | "keep mine"} action after the file was changed by another program */
  async resolveDisk(action) {
    const answer = await this.api.post("/api/disk", { action });
    if (answer.kept) this.say(`The other version is kept as ${answer.kept}.`);
    await this.#refresh();
    return answer;
  }

  /** Take a photo of the server, or what is not saved of it. */
  #take(photo) {
    const { id } = photo;
    const unsaved = this.saver.unsaved.get(id);
    let content = unsaved?.content ?? contentOf(photo);
    if (!unsaved) {
      this.saver.revisions.set(id, photo.revision);
      const known = this.history.contentOf(id);
      // The same for the server: what this page alone knows of the photo is kept.
      const isSame = photo.objects.every((object) => object.missing) ? sameForServer : sameButMissing;
      if (known && isSame(known, content)) content = known;
      else if (known) this.#recordElsewhere(id, known, content);
    }
    this.photo = { ...photo, ...content };
  }

  #recordElsewhere(photo, before, after) {
    this.history.push({ photo, description: "Changes made elsewhere", before, after });
  }

  async #refresh() {
    const { id } = this.photo;
    if (this.saver.unsaved.has(id) || this.busy) return;
    const photo = await this.#fetch(id);
    if (!photo || this.photo.id !== id || this.saver.unsaved.has(id) || this.busy) return;
    this.isOutdated = false;
    if (photo.revision === this.saver.revisions.get(id)) return;
    const before = this.content;
    this.history.contentOf(id) ?? this.#recordElsewhere(id, before, contentOf(photo));
    this.#take(photo);
    this.select(this.selected);
    this.#emit("change");
  }

  #set(content) {
    const same = sameForServer(this.content, content);
    this.photo = { ...this.photo, ...content };
    if (!same) this.saver.save(this.photo.id, this.photo.name, content);
    this.#emit("change");
  }

  #travel(find, apply) {
    this.moving = this.moving.then(async () => {
      const wanted = find();
      if (!wanted) return;
      if (wanted.photo !== this.photo.id) await this.open(wanted.photo);
      const entry = find();
      if (entry && entry.photo === this.photo.id) apply(entry);
    }).catch((error) => this.say(error.message));
    return this.moving;
  }

  /** The photo as the server has it; again if it was saved in the meantime, for then the answer may be an older one. */
  async #fetch(id) {
    for (;;) {
      const revision = this.saver.revisions.get(id);
      const photo = await this.#ask(`/api/photos/${id}`);
      if (this.saver.revisions.get(id) === revision || this.saver.unsaved.has(id)) return photo;
    }
  }

  async #ask(path) {
    try {
      return await this.api.get(path);
    } catch (error) {
      this.say(error.message);
      return null;
    }
  }

  async #verify(id, name) {
    const project = await this.api.get("/api/project");
    const photo = await this.api.get(`/api/photos/${id}`);
    if (this.project && project.file !== this.project.file) {
      throw new server.ApiError(0, `Another dataset is served now: ${project.file}.`);
    }
    if (photo.name !== name) throw new server.ApiError(0, `Photo ${id + 1} was ${name}, and is ${photo.name} now.`);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @param {import("./content.js").Marked} object @returns {number[]} all landmarks without a position */
const missingOf = (object) => object.landmarks.flatMap((point, k) => (point === null ? [k] : []));
