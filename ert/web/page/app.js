/** The page: photos and the camera go in, landmarks come out. */
import { grayImage, loadModel } from "../ert.js";
import { Camera } from "./camera.js";
import { drawPicture } from "./drawing.js";
import { readBytes, readExample, readSettings } from "./embedded.js";
import { Finder } from "./finder.js";
import { decode, MAX_MEGAPIXELS, readGray } from "./photos.js";
import { element, plural, save, showObjects, showPhotos, showPoints } from "./panels.js";
import { Rate } from "./rate.js";
import { toCsv, toJson } from "./tables.js";
import { View } from "./view.js";

const settings = readSettings();
const view = new View(element("view"), element("canvas"), settings.links);
const camera = new Camera(onFrame, onCameraStop, settings.object === "face" ? "user" : "environment");
const rate = new Rate();
const photos = [];
/** The photo that is shown, with its pixels; null while the camera runs. */
let shown = null;
let model = null;
let finder = null;
/** Boxes that were drawn on the picture of the camera. */
let cameraBoxes = [];
let lastFrame = null;
/** The photo that was chosen from the list last. */
let chosen = null;
/** Photos are processed one after the other. */
let queue = Promise.resolve();

start();

async function start() {
  try {
    model = await loadModel(readBytes("model"));
    finder = new Finder(model, settings.boxSource, settings.cascade);
  } catch (error) {
    status("");
    alertText(`The model in this page cannot be used: ${error.message}`);
    document.documentElement.dataset.state = "failed";
    return;
  }
  for (const id of ["choose", "camera", "accurate"]) {
    element(id).disabled = false;
  }
  element("most").hidden = settings.boxSource !== "learned";
  element("legend").hidden = !model.hasConfidence;
  view.drawing = settings.boxSource === "given";
  showDrawing();
  listen();
  status("");
  performance.mark("ready");
  document.documentElement.dataset.state = "ready";
  enqueue(() => finder.warmUp());
  const example = readExample();
  if (example) {
    addPhotos([example]);
  }
}

function listen() {
  element("choose").addEventListener("click", () => element("files").click());
  element("files").addEventListener("change", (event) => {
    addPhotos(event.target.files);
    event.target.value = "";
  });
  element("camera").addEventListener("click", () => (camera.running ? stopCamera() : startCamera()));
  element("keep").addEventListener("click", keepFrame);
  element("draw").addEventListener("click", () => {
    view.drawing = !view.drawing;
    showDrawing();
  });
  element("accurate").addEventListener("change", () => repeat());
  element("most-objects").addEventListener("change", () => {
    finder.restart();
    repeat({ again: true });
  });
  element("whole").addEventListener("click", () => zoom(null));
  element("box").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = new FormData(event.target);
    addBox(["left", "top", "width", "height"].map((name) => Number(values.get(name))));
  });
  view.addEventListener("box", (event) => {
    addBox(event.detail);
    // A finger scrolls again.
    view.drawing = settings.boxSource === "given";
    showDrawing();
  });
  element("save-csv").addEventListener("click", () =>
    save("landmarks.csv", new Blob([toCsv(model.landmarkNames, photos)], { type: "text/csv" })));
  element("save-json").addEventListener("click", () =>
    save("landmarks.json", new Blob([toJson(settings.name, model.landmarkNames, photos)],
      { type: "application/json" })));
  element("save-png").addEventListener("click", savePicture);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    element("view").classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? element("view").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    element("view").classList.remove("over");
    addPhotos(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
}

// Photos

function addPhotos(files) {
  const added = Array.from(files, (file) => ({ file, name: file.name, width: 0, height: 0, objects: [], error: null,
    done: false }));
  if (!added.length) {
    return;
  }
  stopCamera();
  alertText("");
  photos.push(...added);
  refresh();
  added.forEach((photo, i) => enqueue(async () => {
    status(`Photo ${i + 1} of ${added.length}: ${photo.name} …`);
    // The text is painted before the work begins.
    await new Promise((resolve) => setTimeout(resolve));
    await process(photo, i === 0);
  }));
  enqueue(() => status(summary(added)));
}

function enqueue(job) {
  queue = queue.then(job).catch((error) => alertText(`Something went wrong: ${error.message}.`));
}

async function process(photo, isFirst) {
  const opened = await open(photo);
  photo.done = true;
  if (opened !== null) {
    try {
      photo.objects = search(opened);
    } catch (error) {
      photo.error = `no landmarks: ${error.message}`;
    }
  }
  if (shown?.photo === photo || (isFirst && !camera.running)) {
    show(photo, opened);
  } else {
    opened?.bitmap.close();
    refresh();
  }
}

function search(opened) {
  return inPhoto(opened, (gray) => finder.find(gray, { mode: mode(), maxObjects: maxObjects() }));
}

/** Read a photo; null if it cannot be read, and then the photo has the reason. */
async function open(photo) {
  let bitmap = null;
  try {
    bitmap = await decode(photo.file);
    const { width, height } = bitmap;
    Object.assign(photo, { width, height });
    return { photo, bitmap, ...readGray(bitmap, model.grayWeights) };
  } catch {
    photo.error = bitmap === null
      ? "this browser cannot read it as a photo (most read JPEG, PNG, WebP, GIF and BMP)"
      : `this browser has too little memory for ${photo.width} x ${photo.height} pixels`;
    bitmap?.close();
    return null;
  }
}

/** Objects that are found in the gray pixels of a photo, in pixels of the photo. */
function inPhoto({ gray, factor }, find) {
  const enlarge = (values, shift) => values.map((value) => (value + shift) * factor - shift);
  const objects = find(gray);
  return factor === 1 ? objects : objects.map((object) => ({
    ...object,
    box: object.box.map((value) => value * factor),
    landmarks: enlarge(object.landmarks, 0.5),
    std: object.std && enlarge(object.std, 0),
  }));
}

function locate(opened, found) {
  const box = found.box.map((value) => value / opened.factor);
  return inPhoto(opened, (gray) => [finder.locate(gray, { ...found, box }, mode())])[0];
}

/** Locate the landmarks of all photos again, in the boxes that they have or in those of a new search. */
function repeat({ again = false } = {}) {
  for (const photo of photos.filter(({ done, error }) => done && error === null)) {
    enqueue(async () => {
      status(`${photo.name} …`);
      await new Promise((resolve) => setTimeout(resolve));
      const opened = shown?.photo === photo ? shown : await open(photo);
      if (opened !== null) {
        photo.objects = again ? search(opened) : photo.objects.map((object) => locate(opened, object));
      }
      if (shown?.photo === photo) {
        show(photo, opened);
      } else {
        opened?.bitmap.close();
        refresh();
      }
    });
  }
  enqueue(() => status(photos.length ? summary(photos) : ""));
}

function show(photo, opened) {
  const before = shown;
  shown = opened;
  alertText(photo === null ? "" : fault(photo));
  if (before !== null && before !== opened) {
    view.show(null);
    before.bitmap.close();
  }
  refresh();
}

/** One sentence about a photo without landmarks. */
function fault(photo) {
  if (photo.error !== null) {
    return `${photo.name}: ${photo.error}.`;
  }
  if (!photo.done || photo.objects.length || settings.boxSource === "given") {
    return "";
  }
  return `${photo.name}: no ${settings.object} found. Draw a box around it, or try another photo.`;
}

function summary(some) {
  const readable = some.filter(({ error }) => error === null);
  const n = readable.reduce((sum, photo) => sum + photo.objects.length, 0);
  if (!n && readable.length && settings.boxSource === "given") {
    return `Draw a box around each ${settings.object} with the mouse, a finger or a pen.`;
  }
  const nFaults = some.length - readable.length;
  const unused = nFaults ? ` ${plural(nFaults, "file")} could not be used.` : "";
  const reduced = readable.some(({ width, height }) => width * height > MAX_MEGAPIXELS * 1e6)
    ? ` Photos of more than ${MAX_MEGAPIXELS} megapixels were reduced to that size for the search.` : "";
  return `${plural(n, settings.object)} in ${plural(readable.length, "photo")}.${unused}${reduced}`;
}

// Boxes

function addBox(box) {
  if (camera.running) {
    addCameraBox(box);
    return;
  }
  if (shown === null) {
    alertText("Choose a photo first.");
    return;
  }
  const { photo } = shown;
  try {
    photo.objects.push(locate(shown, { box }));
  } catch (error) {
    alertText(`${photo.name}: ${error.message}.`);
    return;
  }
  alertText("");
  status(summary([photo]));
  refresh();
}

function addCameraBox(box) {
  if (lastFrame === null) {
    return;
  }
  try {
    finder.locate(lastFrame.gray, { box });
    cameraBoxes.push(box);
    alertText("");
  } catch (error) {
    alertText(`This box cannot be used: ${error.message}.`);
  }
}

function showDrawing() {
  element("draw").setAttribute("aria-pressed", String(view.drawing));
}

function zoom(box) {
  view.zoom(box);
  element("whole").hidden = !view.zoomed;
}

// The camera

async function startCamera() {
  alertText("");
  status("Waiting for the camera …");
  element("camera").disabled = true;
  try {
    finder.restart();
    cameraBoxes = [];
    await camera.start();
    chosen = null;
    show(null, null);
    status(settings.boxSource === "given" ? `Draw a box around each ${settings.object}.` : "The camera is running.");
  } catch (error) {
    status("");
    alertText(error.message);
  }
  element("camera").disabled = false;
  refresh();
}

function stopCamera() {
  if (camera.running) {
    camera.stop();
    onCameraStop("The camera is off.");
  }
}

function onCameraStop(reason) {
  lastFrame = null;
  rate.restart();
  status(reason);
  view.show(null);
  refresh();
}

function onFrame(pixels, canvas, seconds, begin) {
  const gray = grayImage(pixels, model.grayWeights);
  if (lastFrame !== null && (lastFrame.gray.width !== gray.width || lastFrame.gray.height !== gray.height)) {
    // The device was turned: boxes that were drawn are elsewhere.
    cameraBoxes = [];
    finder.restart();
  }
  const found = performance.now();
  const objects = finder.follow(gray, seconds, { boxes: cameraBoxes, maxObjects: maxObjects() });
  const milliseconds = performance.now() - found;
  lastFrame = { canvas, gray, objects };
  view.show({ image: canvas, width: canvas.width, height: canvas.height, objects, mirrored: camera.facesUser });
  rate.add(begin, performance.now() - begin, milliseconds, objects.length);
  const text = rate.text(settings.object);
  if (text !== null) {
    Object.assign(element("rate"), { textContent: text, hidden: false });
    Object.assign(element("rate").dataset, rate.figures());
    showObjects(objects, settings.object, null, null);
  }
}

function keepFrame() {
  lastFrame?.canvas.toBlob((blob) => addPhotos([new File([blob], `camera_${photos.length + 1}.png`)]));
}

// What is shown

function refresh() {
  const running = camera.running;
  element("camera").textContent = running ? "Stop the camera" : "Use the camera";
  element("camera").setAttribute("aria-pressed", String(running));
  element("keep").hidden = !running;
  element("draw").disabled = shown === null && !running;
  element("hint").hidden = running || shown !== null;
  element("rate").hidden = !running;
  element("whole").hidden = !view.zoomed;
  showPhotos(photos, shown?.photo, settings.object, select);
  const objects = shown?.photo.objects ?? [];
  if (!running) {
    view.show(shown && { image: shown.bitmap, width: shown.bitmap.width, height: shown.bitmap.height, objects });
    element("canvas").setAttribute("aria-label", shown
      ? `${shown.photo.name} with the landmarks of ${plural(objects.length, settings.object)}` : "No photo yet");
  }
  showObjects(objects, settings.object, (object) => zoom(object.box), remove);
  showPoints(objects, model.landmarkNames, settings.object);
  const found = photos.some((photo) => photo.objects.length);
  element("save-csv").disabled = element("save-json").disabled = !found;
  element("save-png").disabled = shown === null;
}

async function select(photo) {
  stopCamera();
  chosen = photo;
  const opened = photo.error === null ? await open(photo) : null;
  if (chosen === photo) {
    show(photo, opened);
  } else {
    opened?.bitmap.close();
  }
}

function remove(object) {
  const { photo } = shown;
  photo.objects = photo.objects.filter((other) => other !== object);
  refresh();
}

function savePicture() {
  const { bitmap, photo } = shown;
  drawPicture(bitmap, photo.objects, settings.links).toBlob((blob) => {
    if (blob === null) {
      alertText("The picture is too large for this browser to save.");
    } else {
      save(`${photo.name.replace(/\.[^.]*$/, "")}_landmarks.png`, blob);
    }
  }, "image/png");
}

function mode() {
  return element("accurate").checked ? "accurate" : "fast";
}

function maxObjects() {
  return Math.min(Math.max(Math.round(element("most-objects").valueAsNumber) || 1, 1), 50);
}

function status(text) {
  element("status").textContent = text;
}

function alertText(text) {
  element("alert").textContent = text;
  element("alert").hidden = !text;
}
