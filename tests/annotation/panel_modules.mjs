// What the panels compute. Run by test_page_modules.py.
import assert from "node:assert/strict";
import { test } from "node:test";

const page = new URL("../../ert/annotation/page/", import.meta.url);
const load = (name) => import(new URL(name, page));
const { correctionsText, headline, legendTexts, nextText } = await load("model.js");
const { checksText, repeatabilityTable, roundText } = await load("checks.js");
const { cutout, distances, extent, nearest, takeOver } = await load("comparison.js");
const { countsText, matching, rowText } = await load("photos.js");
const { rowAfter, rowsInSight, scrollFor } = await load("rows.js");
const { commandLine, kindOfError, lengthOfPixel, measurementText, readLength, unitText } = await load("units.js");
const { scaleText } = await load("measure.js");
const { sentence, short } = await load("elements.js");
const { errorText, ticks } = await load("chart.js");
const { CONFIDENCE } = await load("overlay.js");

test("photos are found by words of their names and by status", () => {
  const photos = [{ name: "Fish left 01.jpg", status: "done" }, { name: "fish right 01.jpg", status: "todo" }];
  assert.deepEqual(matching(photos, " 01 FISH", "all"), photos);
  assert.deepEqual(matching(photos, "left", "all"), [photos[0]]);
  assert.deepEqual(matching(photos, "", "todo"), [photos[1]]);
  assert.deepEqual(matching(photos, "left", "todo"), []);
});

test("counts of photos and objects", () => {
  assert.equal(countsText({ todo: 40, started: 5, done: 12, skipped: 1 }), "12 of 58 done, 5 started, 1 skipped");
  assert.equal(countsText({ todo: 3, started: 0, done: 0, skipped: 0 }), "0 of 3 done");
  assert.equal(rowText({ status: "todo", n_objects: 1 }), "to do");
  assert.equal(rowText({ status: "done", n_objects: 3 }), "done, 3 objects");
});

test("rows in sight", () => {
  assert.deepEqual(rowsInSight(0, 300, 60, 5000), { first: 0, end: 8 });
  assert.deepEqual(rowsInSight(6000, 300, 60, 5000), { first: 97, end: 108 });
  assert.deepEqual(rowsInSight(299_700, 300, 60, 5000), { first: 4992, end: 5000 });
  assert.deepEqual(rowsInSight(6000, 300, 60, 2), { first: 2, end: 2 });
  assert.deepEqual(rowsInSight(0, 0, 60, 0), { first: 0, end: 0 });
});

test("a list scrolls no more than it must", () => {
  assert.equal(scrollFor(2, 60, 300, 60), 60);
  assert.equal(scrollFor(0, 60, 300, 60), 0);
  assert.equal(scrollFor(10, 60, 300, 60), 360);
});

test("keys in a list", () => {
  assert.equal(rowAfter("ArrowDown", 3, 5, 2), 4);
  assert.equal(rowAfter("ArrowDown", 4, 5, 2), 4);
  assert.equal(rowAfter("PageUp", 3, 5, 2), 1);
  assert.equal(rowAfter("End", 0, 5, 2), 4);
  assert.equal(rowAfter("a", 0, 5, 2), null);
  assert.equal(rowAfter("End", 0, 0, 2), null);
});

test("the model in words", () => {
  assert.equal(headline({ state: "waiting", version: 0 }), "No model yet");
  assert.equal(headline({ state: "training", version: 0 }), "Training the first model …");
  assert.equal(headline({ state: "training", version: 2 }), "Training a new model …");
  assert.equal(headline({ state: "ready", version: 2 }), "Model 2");
  const next = "The next model is trained when 33 photos are done.";
  assert.equal(nextText({ state: "ready", version: 2, next_at: 33 }), next);
  assert.equal(nextText({ state: "ready", version: 2, next_at: null }), "");
  assert.equal(nextText({ state: "failed", version: 2, next_at: 33 }), "Model 2 is used meanwhile.");
  assert.equal(nextText({ state: "waiting", version: 0, next_at: 10 }), "");
});

test("corrected points", () => {
  assert.equal(correctionsText({ n_landmarks: 0, n_corrected: 0 }), "");
  assert.equal(correctionsText({ n_landmarks: 240, n_corrected: 1 }),
    "Of 240 proposed points in finished photos, 1 was corrected (0.4 %).");
});

test("the legend says what each color means", () => {
  const texts = legendTexts(CONFIDENCE);
  assert.deepEqual(texts, ["confident: 80 % or more", "less confident: 50 to 80 %", "uncertain: below 50 %"]);
});

test("ticks are round numbers that reach the largest value", () => {
  assert.deepEqual(ticks(4.2), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(ticks(22), [0, 5, 10, 15, 20, 25]);
  assert.deepEqual(ticks(0.3), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(5000), [0, 1000, 2000, 3000, 4000, 5000]);
  assert.deepEqual(ticks(0), [0, 1]);
  for (let high = 0.001; high < 1e6; high *= 1.37) {
    const all = ticks(high);
    assert.ok(all.length <= 6 && all.at(-1) >= high * (1 - 1e-9), String(high));
  }
});

test("numbers and sentences", () => {
  assert.deepEqual([0.012345, 1.2345, 1234.5, null, Number.NaN].map(short), ["0.0123", "1.23", "1230", "–", "–"]);
  assert.equal(sentence("no photo is done yet"), "No photo is done yet");
  assert.equal(sentence(undefined), "");
  const error = { n_photos: 22, error: 2.41, low: 2, high: 3, unit: "% of the size" };
  assert.equal(errorText(error), "22 photos: 2.41 % of the size (95 % interval 2 to 3)");
});

test("the check in words", () => {
  assert.equal(checksText({ state: "ready", n_suspicious: 1 }), "1 photo deserves a second look.");
  assert.equal(checksText({ state: "ready", n_suspicious: 2 }), "2 photos deserve a second look.");
  assert.equal(checksText({ state: "ready", n_suspicious: 0 }), "Nothing suspicious was found.");
  assert.equal(checksText({ state: "none", n_suspicious: 0, text: "" }), "Not checked yet.");
});

test("the second round in words and numbers", () => {
  assert.match(roundText({ of: "wings.tps", n: 20 }, 3), /^3 of 20 photos.*without looking at wings.tps\.$/);
  assert.match(roundText({ of: "wings.tps", n: 20 }, 20), /^20 of 20 photos.*compared with wings.tps\.$/);
  const figures = { mean: 0.5, deviation: 0.3 };
  const landmarks = [{ name: "a", mm: { mean: null } }];
  const answer = { n: 2, units: ["px", "percent", "mm"], overall: { mm: figures }, landmarks };
  const { headers, rows } = repeatabilityTable(answer);
  assert.deepEqual(headers, ["landmark", "mean distance (mm)", "standard deviation (mm)"]);
  assert.deepEqual(rows, [["a", "–", "–"], ["all landmarks", "0.5", "0.3"]]);
});

test("distances from the model's opinion, the largest first", () => {
  const object = { landmarks: [[0, 0], [30, 40], null, [30, 0]] };
  const opinion = { landmarks: [[0, 1], [30, 45], [5, 5], null] };
  assert.deepEqual(distances(object, opinion), [
    { k: 1, pixels: 5, percent: 10 }, { k: 0, pixels: 1, percent: 2 }, { k: 2, pixels: null, percent: null },
  ]);
});

test("the opinion about an object is the nearest one", () => {
  const [near, far] = [{ landmarks: [[1, 0], [11, 0]] }, { landmarks: [[100, 0], [110, 0]] }];
  assert.equal(nearest({ landmarks: [[0, 0], [10, 0]] }, [far, near]), near);
  assert.equal(nearest({ landmarks: [[99, 0], null] }, [far, near]), far);
  assert.equal(nearest({ landmarks: [null, null] }, [far, near]), far);
  assert.equal(nearest({ landmarks: [[0, 0]] }, []), null);
});

test("one landmark or all are taken over", () => {
  const opinion = { landmarks: [[1.23456, 2], [3, 4], null] };
  const one = { landmarks: [null, [0, 0], [9, 9]], missing: [0], hidden: [] };
  takeOver(one, opinion, 0);
  assert.deepEqual(one, { landmarks: [[1.235, 2], [0, 0], [9, 9]], missing: [], hidden: [] });
  takeOver(one, opinion);
  assert.deepEqual(one.landmarks, [[1.235, 2], [3, 4], [9, 9]]);
});

test("the part of the photo with all points lies in the photo", () => {
  assert.equal(extent([[null]]), null);
  assert.deepEqual(cutout([[null]], { width: 50, height: 40 }), [0, 0, 50, 40]);
  assert.deepEqual(cutout([[[100, 100], [200, 150]]], { width: 600, height: 400 }), [85, 85, 130, 80]);
  const [left, top, width, height] = cutout([[[-5, 2], [605, 399]]], { width: 600, height: 400 });
  assert.deepEqual([left, top, width, height], [0, 0, 600, 400]);
});

test("lengths and scales", () => {
  assert.deepEqual(["10", " 2,5 ", "1e3"].map(readLength), [10, 2.5, 1000]);
  assert.deepEqual(["0", "-1", "", "ten"].map(readLength), [null, null, null, null]);
  const points = [[0, 0], [30, 40]];
  assert.equal(lengthOfPixel(points, 10, "mm", "mm"), 0.2);
  assert.ok(Math.abs(lengthOfPixel(points, 1, "cm", "mm") - 0.2) < 1e-12);
  assert.ok(Math.abs(lengthOfPixel(points, 1, "in", "mm") - 0.508) < 1e-12);
  assert.equal(lengthOfPixel([[1, 1], [1, 1]], 10, "mm", "mm"), null);
  assert.equal(scaleText(null, "mm"), "This photo has no scale: lengths are in pixels.");
  assert.equal(scaleText(0.04, "um"), "1 µm = 25 pixels");
  assert.equal(unitText("mm²"), "mm²");
});

test("the command line that measures all photos", () => {
  const typed = { distances: " 0-4, nose-tail", angles: "", areas: "0-1-2", perimeters: " ", centroid_size: true };
  assert.equal(commandLine("my wings.csv", typed),
    'ert measure "my wings.csv" --distances "0-4, nose-tail" --areas 0-1-2 --centroid-size --out measurements.csv');
  assert.equal(commandLine("a.csv", { ...typed, distances: 'a-"b-c"', areas: "" }),
    "ert measure a.csv --distances 'a-\"b-c\"' --centroid-size --out measurements.csv");
});

test("errors and names of measurements", () => {
  assert.equal(kindOfError("distances: '0-9': no landmark 9"), "distances");
  assert.equal(kindOfError("scale: expected the length"), null);
  assert.equal(measurementText("distance_nose-tail"), "distance nose-tail");
  assert.equal(measurementText("width"), "width");
  assert.equal(measurementText("centroid_size"), "centroid size");
});
