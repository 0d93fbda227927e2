// Tests of the page's modules that need no browser: `node --test page_modules.mjs`, or pytest (test_page_modules.py).

import assert from "node:assert/strict";
import { test } from "node:test";

const page = (name) => import(new URL(`../../ert/annotation/page/${name}`, import.meta.url));
const { ApiError } = await page("api.js");
const { boundingBox, contentOf, guessMissing, nextOpen, removePoint, setPoint, shared, titleOf,
  toServer } = await page("content.js");
const { landmarksBetween, placeCurve, spaced } = await page("curves.js");
const { History } = await page("history.js");
const { hint } = await page("hint.js");
const { keyName } = await page("keys.js");
const { findLandmark } = await page("landmarks.js");
const { PhotoImage } = await page("photo_image.js");
const { Saver } = await page("saving.js");
const { Store } = await page("store.js");
const { noticeOf } = await page("topbar.js");
const { Transform } = await page("transform.js");

const turn = () => new Promise((resolve) => { setImmediate(resolve); });
/** Wait until everything that needs no timer has happened. */
async function settle() {
  for (let i = 0; i < 30; i += 1) await turn();
}
const marked = (landmarks, rest = {}) => ({ landmarks, hidden: [], missing: [], box: null, id: "", ...rest });

class FakeStorage {
  items = {};
  getItem(key) { return this.items[key] ?? null; }
  setItem(key, value) { this.items[key] = value; }
  removeItem(key) { delete this.items[key]; }
}

/** A server in memory with photos of three landmarks. */
class FakeServer {
  constructor(n = 3) {
    this.project = { title: "T", file: "a.csv", landmarks: ["tip", "mid", "end"], links: [], unit: "mm", n_photos: n };
    this.photos = Array.from({ length: n }, (_, id) => ({
      id, name: `${id}.jpg`, width: 100, height: 80, revision: 0, status: "todo", objects: [], scale: null, findings: [],
    }));
    this.proposals = {};
    this.changed = [];
    this.model = 0;
    this.down = 0;
    this.log = [];
    this.held = null;
    const answer = (run) => async (...args) => {
      await turn();
      this.log.push(args[0]);
      if (this.held) await this.held;
      if (this.down) throw new ApiError(this.down === 401 ? 401 : 0, "The server does not answer.");
      return structuredClone(run(...args));
    };
    this.api = { get: answer((path) => this.get(path)), put: answer((path, body) => this.put(path, body)),
      post: answer(() => ({})), del: answer(() => ({})) };
  }

  get(path) {
    const [, id, what] = /^\/api\/photos\/(\d+)(?:\/(\w+))?/.exec(path) ?? [];
    if (what === "next") return { id: this.photos.find((p) => p.id !== Number(id) && p.status === "todo")?.id ?? null };
    if (what === "proposal") return { model: this.model, objects: this.proposals[id] ?? [] };
    if (id !== undefined) return this.photos[id];
    if (path === "/api/project") return this.project;
    if (path.startsWith("/api/status")) {
      return { changes: this.changed.length, changed: this.changed.slice(Number(path.split("=")[1])),
        disk: { state: "saved", text: "" }, counts: {}, model: { version: this.model } };
    }
    return { total: this.photos.length, photos: this.photos };
  }

  put(path, body) {
    const photo = this.photos[Number(path.split("/")[3])];
    if (photo.revision !== body.revision) throw new ApiError(409, "changed", { photo: structuredClone(photo) });
    Object.assign(photo, structuredClone(body), { revision: photo.revision + 1 });
    this.changed.push(photo.id);
    return { revision: photo.revision };
  }
}

async function opened(server = new FakeServer(), storage = null) {
  const store = new Store(server.api, storage);
  store.messages = [];
  store.addEventListener("message", (event) => store.messages.push(event.detail));
  await store.start(0);
  await settle();
  return store;
}

const place = (store, k, point) => store.editObject(`${k} placed`, (object) => { object.landmarks[k] = point; });

test("history goes back and forward without a limit, and drops what was undone after another edit", () => {
  const history = new History();
  for (let i = 0; i < 5000; i += 1) history.push({ photo: i % 7, description: "", before: i, after: i + 1 });
  for (let i = 4999; i >= 0; i -= 1) assert.equal(history.back().before, i);
  assert.equal(history.back(), null);
  assert.equal(history.forward().after, 1);
  history.push({ photo: 0, description: "", before: 1, after: "new" });
  assert.equal(history.forward(), null);
  assert.equal(history.contentOf(0), "new");
  assert.equal(history.contentOf(9), null);
});

test("edits in a row with the same key are undone together", () => {
  const history = new History();
  history.push({ photo: 0, before: 0, after: 1, merge: "a" });
  history.push({ photo: 0, before: 1, after: 2, merge: "a" });
  history.push({ photo: 0, before: 2, after: 3, merge: "b" });
  assert.equal(history.entries.length, 2);
  assert.equal(history.back().before, 2);
  assert.deepEqual([history.undoable.before, history.undoable.after], [0, 2]);
});

test("content: order of landmarks, missing ones, box, what the server gets", () => {
  const object = marked([[1, 2], null, null, [5, 9]], { hidden: [0, 2], missing: [1] });
  assert.equal(nextOpen(object), 2);
  assert.equal(nextOpen(object, 2), 2);
  assert.equal(nextOpen(marked([[0, 0]])), null);
  assert.deepEqual(boundingBox(object), [1, 2, 4, 7]);
  assert.equal(boundingBox(marked([null])), null);
  assert.deepEqual(guessMissing(object, false), [1, 2]);
  assert.deepEqual(guessMissing(marked([[1, 1], null]), false), []);
  assert.deepEqual(guessMissing(marked([[1, 1], null]), true), [1]);
  const sent = toServer({ status: "started", objects: [object, marked([null])], scale: 0.5 });
  assert.deepEqual(sent, { status: "started", scale: 0.5,
    objects: [{ landmarks: object.landmarks, hidden: [0], missing: [1], box: null, id: "" }] });
  const stored = { landmarks: [null, [1, 1]], hidden: [], box: null, id: "" };
  assert.deepEqual(contentOf({ status: "done", objects: [stored] }).objects[0].missing, [0]);
  // The server may know of none that is missing; an object of which only that is known is kept until the photo is done.
  assert.deepEqual(contentOf({ status: "done", objects: [{ ...stored, missing: [] }] }).objects[0].missing, [0]);
  assert.deepEqual(contentOf({ status: "started", objects: [{ ...stored, missing: [] }] }).objects[0].missing, []);
  const unseen = [marked([null, null], { missing: [0] })];
  assert.equal(toServer({ status: "started", objects: unseen, scale: null }).objects.length, 1);
  assert.equal(toServer({ status: "done", objects: unseen, scale: null }).objects.length, 0);
  const before = { a: [[1, 2], null], b: 1 };
  const after = shared(before, { a: [[1, 2], [3, 4]], b: 1 });
  assert.ok(after !== before && after.a[0] === before.a[0] && after.a[1][1] === 4);
  assert.equal(shared(before, { a: [[1, 2], null], b: 1 }), before);
  assert.notEqual(shared(before, { a: [[1, 2]], b: 1 }), before);
  assert.equal(titleOf(["0", "tip"], 0), "0");
  assert.equal(titleOf(["0", "tip"], 1), "1 tip");
});

test("landmarks are found by number, name and the beginning of a name", () => {
  const names = ["tip", "Wing base", "7"];
  assert.deepEqual(["1", "7", "wing", "TIP", "9", "", "x"].map((text) => findLandmark(names, text)),
    [1, 2, 1, 0, null, null, null]);
});

test("curves: equal distances along the line, in both directions", () => {
  assert.deepEqual(spaced([[0, 0], [4, 0]], 3), [[1, 0], [2, 0], [3, 0]]);
  assert.deepEqual(spaced([[0, 0], [3, 0], [3, 3]], 1), [[3, 0]]);
  const corner = spaced([[0, 0], [2, 0], [2, 4]], 5);
  corner.forEach(([x, y], i) => assert.ok(Math.abs(x + y - (i + 1)) < 1e-9));
  assert.deepEqual(spaced([[1, 1], [1, 1]], 2), [[1, 1], [1, 1]]);
  assert.deepEqual(spaced([[0, 0], [0, 0], [4, 0], [4, 0]], 1), [[2, 0]]);
  assert.deepEqual(landmarksBetween(2, 5), [3, 4]);
  assert.deepEqual(landmarksBetween(5, 2), [4, 3]);
  assert.deepEqual(landmarksBetween(3, 4), []);
  const object = marked([[0, 0], null, [9, 9], [3, 0]], { missing: [1] });
  placeCurve(object, 3, 0, []);
  assert.deepEqual(object.landmarks, [[0, 0], [1, 0], [2, 0], [3, 0]]);
  assert.deepEqual(object.missing, []);
});

test("zoom and pan: what is under the pointer stays there", () => {
  const fit = Transform.fit([200, 100], [424, 424]);
  assert.equal(fit.scale, 2);
  assert.deepEqual(fit.toScreen([-0.5, -0.5]), [12, 112]);
  const point = fit.toImage([100, 150]);
  const zoomed = fit.zoom([100, 150], 3, 0.1).pan(5, -2);
  zoomed.toScreen(point).forEach((v, i) => assert.ok(Math.abs(v - [105, 148][i]) < 1e-9));
  assert.equal(fit.zoom([0, 0], 1e9, 0.1).scale, 40);
  assert.equal(fit.zoom([0, 0], 1e-9, 0.1).scale, 0.1);
  assert.deepEqual(fit.visible([200, 100], [424, 424]), [0, 0, 200, 100]);
  assert.deepEqual(new Transform(2, -100, 0).visible([200, 100], [60, 40]), [50, 0, 30, 20]);
  const away = fit.pan(1e6, -1e6).limited([200, 100], [424, 424]);
  assert.deepEqual([away.x, away.y], [318, 106 - 200]);
});

test("keys have one name on every keyboard", () => {
  const event = (key, rest = {}) => keyName({ key, ...rest });
  assert.equal(event("m"), "M");
  assert.equal(event("?", { shiftKey: true }), "?");
  assert.equal(event("Z", { shiftKey: true, metaKey: true }), "Ctrl+Shift+Z");
  assert.equal(event("Tab", { shiftKey: true }), "Shift+Tab");
});

test("an edit is saved, undone and redone; the newest content wins", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  assert.equal(store.target, 0);
  place(store, 0, [1, 1]);
  place(store, 1, [2, 2]);
  place(store, 2, [3, 3]);
  assert.equal(store.saver.state, "saving");
  await settle();
  assert.equal(store.saver.state, "saved");
  assert.deepEqual(server.photos[0].objects[0].landmarks, [[1, 1], [2, 2], [3, 3]]);
  assert.equal(server.photos[0].status, "started");
  assert.equal(server.photos[0].revision, 2, "the second request has both later edits");
  await store.undo();
  await store.undo();
  await store.undo();
  await store.undo();
  await settle();
  assert.deepEqual([server.photos[0].objects, server.photos[0].status], [[], "todo"]);
  await store.redo();
  await settle();
  assert.deepEqual(server.photos[0].objects[0].landmarks, [[1, 1], null, null]);
});

test("undo opens the photo of the edit; several at once are done in order", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  place(store, 0, [1, 1]);
  await store.open(1);
  place(store, 0, [2, 2]);
  await store.open(2);
  await Promise.all([store.undo(), store.undo()]);
  assert.equal(store.photo.id, 0);
  await settle();
  assert.deepEqual(server.photos.map((photo) => photo.objects.length), [0, 0, 0]);
  await Promise.all([store.redo(), store.redo()]);
  await settle();
  assert.equal(store.photo.id, 1);
  assert.deepEqual(server.photos.map((photo) => photo.objects.length), [1, 1, 0]);
});

test("a photo that is left before it is saved comes back as it was left", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  let release;
  server.held = new Promise((resolve) => { release = resolve; });
  place(store, 0, [1, 1]);
  const back = store.open(1).then(() => store.open(0));
  await settle();
  release();
  server.held = null;
  await back;
  await settle();
  assert.deepEqual(store.photo.objects[0].landmarks[0], [1, 1]);
  assert.equal(store.history.entries.length, 1);
});

test("an answer that is older than what was saved in the meantime is not taken", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  const { get } = server.api;
  let release;
  server.api.get = async (path) => {
    const answer = await get(path);
    if (path === "/api/photos/0" && !release) await new Promise((resolve) => { release = resolve; });
    return answer;
  };
  server.changed.push(0);
  const polled = store.poll();
  await settle();
  place(store, 0, [1, 1]);
  await settle();
  assert.equal(store.saver.state, "saved");
  release();
  await polled;
  assert.deepEqual(store.photo.objects[0].landmarks[0], [1, 1]);
});

test("edits go on while the server is away, and are saved when it answers again", async () => {
  const server = new FakeServer();
  const storage = new FakeStorage();
  const store = await opened(server, storage);
  const timers = [];
  store.saver.later = (run, ms) => timers.push([run, ms]);
  server.down = 1;
  place(store, 0, [1, 1]);
  place(store, 1, [2, 2]);
  await settle();
  assert.equal(store.saver.state, "unreachable");
  assert.match(noticeOf(store)[0], /does not answer.*1 photo /s);
  for (const ms of [500, 1000, 2000, 4000, 5000, 5000]) {
    const [run, wait] = timers.pop();
    assert.equal(wait, ms);
    run();
    await settle();
  }
  assert.equal(JSON.parse(storage.getItem("ert.unsaved")).length, 1);
  assert.equal(await store.open(1), false);
  server.down = 401;
  timers.pop()[0]();
  await settle();
  assert.equal(store.saver.state, "signed out");
  server.down = 0;
  await store.poll();
  await settle();
  assert.equal(store.saver.state, "saved");
  assert.deepEqual(server.photos[0].objects[0].landmarks, [[1, 1], [2, 2], null]);
  assert.equal(storage.getItem("ert.unsaved"), null);
});

test("a page that was closed while the server was away saves its changes later", async () => {
  const server = new FakeServer();
  const storage = new FakeStorage();
  const first = await opened(server, storage);
  first.saver.later = () => {};
  server.down = 1;
  place(first, 0, [1, 1]);
  await settle();
  server.down = 0;
  const second = await opened(server, storage);
  assert.deepEqual(second.photo.objects[0].landmarks[0], [1, 1]);
  await second.poll();
  await settle();
  assert.deepEqual(server.photos[0].objects[0].landmarks[0], [1, 1]);
});

test("after an outage nothing is saved to another photo or dataset", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  store.saver.later = () => {};
  server.down = 1;
  place(store, 0, [1, 1]);
  await settle();
  server.down = 0;
  server.photos[0].name = "other.jpg";
  await store.poll();
  await settle();
  assert.equal(store.saver.state, "unreachable");
  assert.match(store.saver.text, /was 0.jpg, and is other.jpg/);
  assert.deepEqual(server.photos[0].objects, []);
});

test("a photo that was changed here and elsewhere: the person chooses, undo brings the other one back", async () => {
  for (const choice of ["mine", "theirs"]) {
    const server = new FakeServer();
    const store = await opened(server);
    const theirs = [{ landmarks: [[9, 9], null, null], hidden: [], box: null, id: "" }];
    Object.assign(server.photos[0], { revision: 5, objects: theirs, status: "started" });
    place(store, 0, [1, 1]);
    await settle();
    assert.equal(store.saver.state, "conflict");
    assert.match(noticeOf(store)[0], /0.jpg was changed in another window/);
    place(store, 1, [2, 2]);
    await settle();
    assert.equal(server.photos[0].revision, 5);
    await store.resolveConflict(choice);
    await settle();
    assert.equal(store.saver.state, "saved");
    const expected = choice === "mine" ? [[1, 1], [2, 2], null] : [[9, 9], null, null];
    assert.deepEqual(server.photos[0].objects[0].landmarks, expected);
    assert.deepEqual(store.photo.objects[0].landmarks, expected);
    await store.undo();
    await settle();
    const undone = choice === "mine" ? [[1, 1], null, null] : [[1, 1], [2, 2], null];
    assert.deepEqual(server.photos[0].objects[0].landmarks, undone);
  }
});

test("a change in another window is shown, and can be undone", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  server.put("/api/photos/0", { revision: 0, status: "started", scale: 2, objects: [] });
  await store.poll();
  assert.equal(store.photo.scale, 2);
  await store.undo();
  await settle();
  assert.equal(server.photos[0].scale, null);
});

test("a refused change is said, and the next one is tried", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  const put = server.api.put;
  server.api.put = async () => { throw new ApiError(400, "Too far away."); };
  place(store, 0, [1e9, 1]);
  await settle();
  assert.match(noticeOf(store)[0], /0.jpg cannot be saved: Too far away/);
  server.api.put = put;
  place(store, 0, [1, 1]);
  await settle();
  assert.equal(store.saver.state, "saved");
});

test("a file that was changed by another program: the person chooses", async () => {
  const store = await opened();
  store.status = { ...store.status, disk: { state: "changed outside", text: "a.csv: changed" } };
  const [text, choices] = noticeOf(store);
  assert.match(text, /^a.csv was changed by another program. Which version is right/);
  assert.deepEqual(choices.map(([label]) => label), ["Reload the file", "Keep mine"]);
  const sent = [];
  store.api.post = async (...request) => { sent.push(request); return { kept: "a (1).csv" }; };
  await choices[1][1]();
  assert.deepEqual(sent, [["/api/disk", { action: "keep mine" }]]);
  assert.match(store.messages.at(-1), /kept as a \(1\).csv/);
  store.status = { ...store.status, disk: { state: "failed", text: "The disk is full." } };
  assert.deepEqual(noticeOf(store), ["The disk is full.", []]);
});

test("a proposal: dragging one point keeps the rest; accepting it is one step", async () => {
  const proposed = { landmarks: [[1, 1], [2, 2], [3, 3]], std: [1, 1, 1], confidence: [1, 0.6, 0], box: [0, 0, 9, 9] };
  const server = new FakeServer();
  Object.assign(server, { model: 1, proposals: { 0: [proposed], 1: [proposed] } });
  const store = await opened(server);
  assert.ok(store.isProposal);
  assert.match(hint(store, { mode: "mark" }), /Proposed/);
  place(store, 1, [5, 5]);
  await settle();
  assert.equal(store.isProposal, false);
  assert.deepEqual(server.photos[0].objects[0].landmarks, [[1, 1], [5, 5], [3, 3]]);
  assert.equal(server.photos[0].status, "started");
  assert.equal(await store.accept(), true);
  await settle();
  assert.deepEqual([store.photo.id, server.photos[0].status], [1, "done"]);
  await store.accept();
  await settle();
  assert.deepEqual(server.photos[1].objects[0].landmarks, proposed.landmarks);
  assert.equal(store.photo.id, 2);
  await store.undo();
  await settle();
  assert.deepEqual([store.photo.id, store.isProposal], [1, true]);
  store.dismissProposal();
  assert.deepEqual([store.isProposal, store.target, store.current.landmarks[0]], [false, 0, null]);
});

test("the hint says what a click does, also for a hidden landmark", async () => {
  const store = await opened();
  assert.match(hint(store, { mode: "mark" }), /^Click or tap landmark 0 tip\. M: it is not in the photo/);
  store.editObject("hidden", (object) => { object.hidden = [0]; });
  assert.match(hint(store, { mode: "mark" }), /^Hidden: click or tap where landmark 0 tip must be/);
});

test("a new model changes the proposal, but not while something is dragged", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  Object.assign(server, { model: 1, proposals: { 0: [{ landmarks: [[1, 1], [2, 2], [3, 3]] }] } });
  store.busy = true;
  await store.poll();
  assert.equal(store.isProposal, false);
  store.busy = false;
  await store.poll();
  assert.equal(store.isProposal, true);
});

test("accepting says what is missing, and takes it as missing when asked again", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  assert.equal(await store.accept(), false);
  assert.match(store.messages.at(-1), /Nothing is marked/);
  place(store, 0, [1, 1]);
  assert.equal(await store.accept(), false);
  assert.match(store.messages.at(-1), /2 landmarks are not placed.* marks them/);
  place(store, 1, [2, 2]);
  assert.equal(await store.accept(), false);
  assert.match(store.messages.at(-1), /1 landmark is not placed.* marks it/);
  await store.accept(true);
  await settle();
  assert.deepEqual([server.photos[0].status, store.photo.id], ["done", 1]);
  await store.open(0);
  assert.equal(store.target, null);
});

test("a landmark that is missing is placed after all when it is selected", async () => {
  const store = await opened();
  store.editObject("missing", (object) => removePoint(object, 0, true));
  store.selectAfter(0);
  assert.deepEqual([store.selected, store.target], [1, 1]);
  store.select(0);
  assert.equal(store.target, 0);
  store.editObject("placed", (object) => setPoint(object, 0, [1.23456, 2]));
  assert.deepEqual([store.current.landmarks[0], store.current.missing], [[1.235, 2], []]);
  store.editObject("removed", (object) => removePoint(object, 0, false));
  store.select(null);
  assert.equal(store.target, 0);
});

test("several objects: each is edited by itself, and removed", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  place(store, 0, [1, 1]);
  store.addObject();
  assert.deepEqual([store.object, store.target], [1, 0]);
  place(store, 0, [2, 2]);
  await settle();
  assert.deepEqual(server.photos[0].objects.map((object) => object.landmarks[0]), [[1, 1], [2, 2]]);
  store.select(null, 0);
  store.removeObject();
  await settle();
  assert.deepEqual(server.photos[0].objects.map((object) => object.landmarks[0]), [[2, 2]]);
});

test("points are asked for, and can be refused", async () => {
  const store = await opened();
  const picked = store.pickPoints(2, "Click.");
  store.addPick([1, 2]);
  store.addPick([3, 4]);
  assert.deepEqual(await picked, [[1, 2], [3, 4]]);
  const refused = store.pickPoints(2, "Click.");
  await store.open(1);
  assert.equal(await refused, null);
});

test("steps that come faster than photos open are all taken", async () => {
  const store = await opened(new FakeServer(5));
  await Promise.all([store.step(1), store.step(1), store.step(1)]);
  assert.equal(store.photo.id, 3);
});

test("the last photo has no next one, and requests that fail are said", async () => {
  const server = new FakeServer(1);
  const store = await opened(server);
  await store.step(1);
  assert.match(store.messages.at(-1), /last photo/);
  assert.equal(await store.skip(), false);
  assert.match(store.messages.at(-1), /No other photo/);
});

test("retries of the saver wait for the timer", async () => {
  const calls = [];
  const timers = [];
  const saver = new Saver(async () => { calls.push(1); throw new ApiError(0, "down"); }, async () => {},
    { later: (run) => timers.push(run) });
  saver.save(0, "a", { status: "todo", objects: [], scale: null });
  await settle();
  saver.save(0, "a", { status: "todo", objects: [], scale: 1 });
  await settle();
  assert.deepEqual([calls.length, timers.length], [1, 1]);
});

test("large photos: the visible part in full, one request of a kind, bitmaps closed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const alive = new Set();
  const paths = [];
  const image = new PhotoImage(async (path, signal) => {
    paths.push(path);
    await turn();
    const side = Number(/side=(\d+)/.exec(path)[1]);
    const bitmap = { width: side, height: side, close: () => alive.delete(bitmap) };
    alive.add(bitmap);
    bitmap.signal = signal;
    return bitmap;
  });
  await image.open({ id: 4, width: 8000, height: 8000 });
  const look = async (transform) => {
    image.look(transform, [500, 500], 1);
    t.mock.timers.tick(1000);
    await settle();
  };
  await look(Transform.fit([8000, 8000], [500, 500]));
  assert.deepEqual(paths, ["/api/photos/4/image?side=2048"]);
  for (let i = 0; i < 30; i += 1) await look(new Transform(1, -100 * i, -3000));
  assert.ok(paths.length > 5 && paths.length < 25);
  assert.ok(alive.size <= 3);
  assert.match(paths[1], /^\/api\/photos\/4\/image\?side=\d+&left=0&top=2900&width=\d+&height=700$/);
  image.magnify([4000, 4000], 100, 0.2);
  t.mock.timers.tick(1000);
  await settle();
  const n = paths.length;
  image.magnify([7000, 7000], 100, 1);
  image.magnify([7001, 7000], 100, 1);
  t.mock.timers.tick(1000);
  await settle();
  image.magnify([7010, 7000], 100, 1);
  t.mock.timers.tick(1000);
  await settle();
  assert.deepEqual(paths.slice(n), ["/api/photos/4/image?side=200&left=6901&top=6900&width=200&height=200"]);
  await image.open({ id: 5, width: 100, height: 100 });
  await image.prefetch(6);
  assert.match(paths.at(-1), /photos\/6\/image\?side=2048$/);
  assert.equal(alive.size, 2);
  // It is not asked for again when it opens, nor kept when another one opens.
  const asked = paths.length;
  await image.open({ id: 6, width: 100, height: 100 });
  assert.deepEqual([paths.length, alive.size], [asked, 1]);
  await image.prefetch(7);
  await image.open({ id: 8, width: 100, height: 100 });
  await settle();
  assert.equal(alive.size, 1);
  for (let id = 9; id < 1000; id += 1) {
    image.prefetch(id + 1);
    await image.open({ id, width: 100, height: 100 });
    if (id % 3) image.prefetch(id + 1);
  }
  image.close();
  await settle();
  assert.equal(alive.size, 0);
});

test("large photos: a pointer that moves over a view at rest does not delay the details", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const paths = [];
  const image = new PhotoImage(async (path) => {
    paths.push(path);
    return { width: 2048, height: 2048, close: () => {} };
  });
  await image.open({ id: 4, width: 8000, height: 8000 });
  for (let i = 0; i < 10; i += 1) {
    image.look(new Transform(1, -1000, -3000), [500, 500], 1);
    t.mock.timers.tick(50);
  }
  assert.equal(paths.length, 2);
});

test("a photo ahead that cannot be loaded is loaded when it opens", async () => {
  let down = true;
  const image = new PhotoImage(async () => {
    if (down) throw new ApiError(0, "The server does not answer.");
    return { width: 10, height: 10, close: () => {} };
  });
  await image.prefetch(2);
  down = false;
  await image.open({ id: 2, width: 10, height: 10 });
  assert.ok(image.parts.base);
  assert.equal(image.error, "");
});

test("landmarks at the end that were marked as missing stay so after a reload", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  place(store, 0, [5, 5]);
  store.editObject("missing", (object) => removePoint(object, 2, true));
  await settle();
  assert.deepEqual(server.photos[0].objects[0].missing, [2]);
  const again = await opened(server);
  assert.deepEqual(again.current.missing, [2]);
  assert.equal(again.target, 1);
  // Nothing but the word "missing" is another one: saved as well.
  again.editObject("to be placed", (object) => removePoint(object, 2, false));
  await settle();
  assert.deepEqual(server.photos[0].objects[0].missing, []);
});

test("a server that keeps no missing landmarks: this page remembers them", async () => {
  const server = new FakeServer();
  const put = server.put.bind(server);
  server.put = (path, body) => {
    for (const object of body.objects) delete object.missing;
    return put(path, body);
  };
  const store = await opened(server);
  place(store, 0, [5, 5]);
  store.editObject("missing", (object) => removePoint(object, 2, true));
  await settle();
  await store.open(1);
  await store.open(0);
  assert.deepEqual(store.current.missing, [2]);
  assert.equal(store.history.undoable.description, "missing");
});

test("what changed elsewhere while the person drags is loaded afterwards", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  store.busy = true;
  server.put("/api/photos/0", { revision: 0, status: "started", objects: [marked([[1, 1], null, null])], scale: null });
  await store.poll();
  assert.equal(store.photo.objects.length, 0);
  store.busy = false;
  await store.poll();
  assert.equal(store.photo.objects.length, 1);
});

test("a proposal that arrives after the first landmark does not replace it", async () => {
  const server = new FakeServer();
  const proposed = { landmarks: [[1, 1], [2, 2], [3, 3]], std: [1, 1, 1], confidence: [1, 1, 1], box: [0, 0, 9, 9] };
  Object.assign(server, { model: 1, proposals: { 1: [proposed] } });
  const store = await opened(server);
  await store.open(1);
  place(store, 0, [7, 7]);
  await settle();
  assert.equal(store.proposal.objects.length, 1);
  assert.equal(store.isProposal, false);
  assert.deepEqual(store.objects[0].landmarks, [[7, 7], null, null]);
});

test("Enter three times in a row finishes one photo", async () => {
  const server = new FakeServer(5);
  const store = await opened(server);
  store.editObject("placed", (object) => { object.landmarks = [[1, 1], [2, 2], [3, 3]]; });
  await Promise.all([store.accept(), store.accept(), store.accept()]);
  await settle();
  assert.deepEqual(server.photos.map(({ status }) => status), ["done", "todo", "todo", "todo", "todo"]);
  assert.equal(store.photo.id, 1);
  assert.equal(store.history.entries.filter(({ description }) => description === "Photo done").length, 1);
});

test("what an earlier page kept is not readable: the page starts", async () => {
  const storage = new FakeStorage();
  storage.items["ert.unsaved"] = "[[0, {";
  const store = await opened(new FakeServer(), storage);
  assert.equal(store.saver.state, "saved");
});

test("the photo that is expected next is asked for once; another one opens if it was done elsewhere", async () => {
  const server = new FakeServer(5);
  const store = await opened(server);
  const finish = () => store.editObject("placed", (object) => { object.landmarks = [[1, 1], [2, 2], [3, 3]]; });
  assert.equal(await store.peek(), 1);
  finish();
  await store.accept();
  assert.equal(store.photo.id, 1);
  assert.equal(server.log.filter((path) => path === "/api/photos/1").length, 1);
  assert.equal(await store.peek(), 2);
  server.put("/api/photos/2", { revision: 0, status: "done", objects: [], scale: null });
  finish();
  await store.accept();
  await settle();
  assert.equal(store.photo.id, 3);
  assert.deepEqual(server.photos.map(({ status }) => status), ["done", "done", "done", "todo", "todo"]);
});

test("undo while the edit is being saved, and photos opened quickly: the server gets the last state", async () => {
  const server = new FakeServer(4);
  const store = await opened(server);
  let release;
  place(store, 0, [5, 5]);
  server.held = new Promise((resolve) => { release = resolve; });
  await store.undo();
  assert.equal(store.saver.state, "saving");
  const opening = [1, 2, 3].map((id) => store.open(id));
  server.held = null;
  release();
  await Promise.all(opening);
  await settle();
  assert.equal(store.photo.id, 3);
  assert.equal(store.saver.state, "saved");
  assert.deepEqual([server.photos[0].objects, server.photos[0].status], [[], "todo"]);
  await store.redo();
  await settle();
  assert.deepEqual([store.photo.id, server.photos[0].objects[0].landmarks[0]], [0, [5, 5]]);
});

test("a photo changed here and in another tab while both save: nothing is overwritten", async () => {
  const server = new FakeServer();
  const store = await opened(server);
  server.put("/api/photos/0", { revision: 0, status: "started", objects: [marked([[9, 9], null, null])], scale: null });
  place(store, 0, [5, 5]);
  await settle();
  assert.equal(store.saver.state, "conflict");
  assert.deepEqual(server.photos[0].objects[0].landmarks[0], [9, 9]);
  await store.resolveConflict("theirs");
  assert.deepEqual(store.current.landmarks[0], [9, 9]);
  await store.undo();
  await settle();
  assert.deepEqual(server.photos[0].objects[0].landmarks[0], [5, 5]);
});

test("a thousand photos: the page keeps what is needed to undo, and no more", async () => {
  const server = new FakeServer(1000);
  const store = await opened(server);
  for (let id = 0; id < 1000; id += 1) {
    await store.open(id);
    place(store, 0, [id % 90, 5]);
  }
  await settle();
  assert.equal(store.saver.unsaved.size, 0);
  assert.equal(store.history.entries.length, 1000);
  const { before, after } = store.history.entries[999];
  assert.equal(before.objects.length, 0);
  assert.equal(after.objects.length, 1);
});
