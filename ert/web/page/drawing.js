/** Photos and the landmarks on them, on a canvas of any size. */

/** Standard errors, as a fraction of the size, of the first and the last color. */
const CERTAIN = 0.01;
const UNCERTAIN = 0.05;
const COLORS = [[86, 180, 233], [240, 228, 66], [232, 95, 10]];
const SHADE = "rgba(8, 14, 28, 0.6)";
/** Widths in parts of the object's size, and in pixels of the screen at least. */
const LINE = 0.0065;
const DOT = 0.013;
const MIN_LINE_PIXELS = 1.2;
const MIN_DOT_PIXELS = 1.3;
/** Larger pictures are looked at reduced: thin lines would not be seen. */
const LARGE_PIXELS = 1600;
/** With more landmarks than this, dots are smaller. */
const MANY_LANDMARKS = 68;

/**
 * What part of a photo is drawn, and how large.
 * @typedef {{left: number, top: number, scale: number, mirroredWidth: number | null, pixelRatio: number}} Frame
 */

/**
 * The largest frame that shows a part of a photo on a canvas.
 * @param {{width: number, height: number}} canvas
 * @param {number[]} part left, top, width, height in the photo
 * @param {{pixelRatio?: number, mirrored?: boolean}} [options]
 * @returns {Frame}
 */
export function fitFrame(canvas, [left, top, width, height], { pixelRatio = 1, mirrored = false } = {}) {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  return {
    left: left - (canvas.width / scale - width) / 2,
    top: top - (canvas.height / scale - height) / 2,
    scale,
    mirroredWidth: mirrored ? canvas.width : null,
    pixelRatio,
  };
}

/** The place on a canvas of a point in a photo, whose pixel centers are at whole numbers. */
export function toCanvas(frame, x, y) {
  const across = (x + 0.5 - frame.left) * frame.scale;
  const place = frame.mirroredWidth === null ? across : frame.mirroredWidth - across;
  return [place, (y + 0.5 - frame.top) * frame.scale];
}

/** The point in a photo at a place on a canvas. */
export function toPhoto(frame, x, y) {
  const across = frame.mirroredWidth === null ? x : frame.mirroredWidth - x;
  return [across / frame.scale + frame.left - 0.5, y / frame.scale + frame.top - 0.5];
}

/**
 * Draw a photo.
 * @param {CanvasRenderingContext2D} context
 * @param {CanvasImageSource} image
 * @param {{width: number, height: number}} size
 * @param {Frame} frame
 */
export function drawPhoto(context, image, size, frame) {
  const { scale, left, top, mirroredWidth } = frame;
  context.save();
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (mirroredWidth !== null) {
    context.setTransform(-1, 0, 0, 1, mirroredWidth, 0);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(image, -left * scale, -top * scale, size.width * scale, size.height * scale);
  context.restore();
}

/**
 * Draw objects: box, lines between landmarks, landmarks; with numbers where they are several.
 * @param {CanvasRenderingContext2D} context
 * @param {{box: number[], landmarks: Float64Array, std?: Float64Array | null}[]} objects
 * @param {number[][]} links pairs of landmarks
 * @param {Frame} frame
 */
export function drawObjects(context, objects, links, frame) {
  context.save();
  context.lineCap = "round";
  context.lineJoin = "round";
  objects.forEach((object, i) => {
    drawObject(context, object, links, frame);
    if (objects.length > 1) {
      drawNumber(context, String(i + 1), object.box, frame);
    }
  });
  context.restore();
}

/**
 * A photo in its size with the objects on it.
 * @param {ImageBitmap} image
 * @param {object[]} objects
 * @param {number[][]} links
 * @returns {HTMLCanvasElement}
 */
export function drawPicture(image, objects, links) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: image.width, height: image.height });
  const context = canvas.getContext("2d");
  const pixelRatio = Math.max(1, Math.max(canvas.width, canvas.height) / LARGE_PIXELS);
  const frame = fitFrame(canvas, [0, 0, canvas.width, canvas.height], { pixelRatio });
  drawPhoto(context, image, canvas, frame);
  drawObjects(context, objects, links, frame);
  return canvas;
}

/** Draw the outline of a box. */
export function drawBox(context, [left, top, width, height], frame, line = 1.5 * frame.pixelRatio) {
  const [x0, y0] = toCanvas(frame, left - 0.5, top - 0.5);
  const [x1, y1] = toCanvas(frame, left + width - 0.5, top + height - 0.5);
  for (const [color, thick] of [[SHADE, 2.2 * line], ["#fff", line]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.strokeRect(Math.min(x0, x1), y0, Math.abs(x1 - x0), y1 - y0);
  }
}

/** The side of a square of the area that landmarks take, in pixels of the photo. */
export function objectSize(landmarks) {
  const range = (first) => {
    const values = landmarks.filter((value, i) => i % 2 === first && Number.isFinite(value));
    return values.length ? Math.max(...values) - Math.min(...values) : 0;
  };
  const width = range(0);
  const height = range(1);
  return Math.max(Math.sqrt(width * height), 0.3 * Math.max(width, height));
}

function drawObject(context, object, links, frame) {
  const { landmarks, std, box } = object;
  const size = objectSize(landmarks);
  const shown = size * frame.scale;
  const line = Math.max(LINE * shown, MIN_LINE_PIXELS * frame.pixelRatio);
  const many = Math.min(1, Math.sqrt(MANY_LANDMARKS / (landmarks.length / 2)));
  const dot = Math.max(DOT * shown * many, MIN_DOT_PIXELS * frame.pixelRatio);
  const points = [];
  for (let k = 0; k < landmarks.length; k += 2) {
    points.push(toCanvas(frame, landmarks[k], landmarks[k + 1]));
  }
  drawTurnedBox(context, box, object.roll ?? 0, frame, 0.7 * line);
  drawLinks(context, points, links, line);
  points.forEach(([x, y], k) => {
    drawDot(context, x, y, dot + 0.4 * line, "#080e1c");
    drawDot(context, x, y, dot, pointColor(std ? std[k] / size : null));
  });
}

function drawTurnedBox(context, box, roll, frame, line) {
  const [left, top, width, height] = box;
  const [x, y] = toCanvas(frame, left + (width - 1) / 2, top + (height - 1) / 2);
  context.save();
  context.translate(x, y);
  context.rotate(((frame.mirroredWidth === null ? roll : -roll) * Math.PI) / 180);
  context.globalAlpha = 0.85;
  for (const [color, thick] of [[SHADE, 2.2 * line], ["#fff", line]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.strokeRect((-width / 2) * frame.scale, (-height / 2) * frame.scale, width * frame.scale,
      height * frame.scale);
  }
  context.restore();
}

function drawLinks(context, points, links, line) {
  context.beginPath();
  for (const [a, b] of links) {
    context.moveTo(...points[a]);
    context.lineTo(...points[b]);
  }
  for (const [color, thick] of [[SHADE, 2.4 * line], ["#e8f1fb", line]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.stroke();
  }
}

function drawDot(context, x, y, radius, color) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

function drawNumber(context, text, [left, top], frame) {
  const [x, y] = toCanvas(frame, left, top);
  const height = 16 * frame.pixelRatio;
  context.font = `600 ${height}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  context.lineWidth = height / 5;
  context.strokeStyle = "#080e1c";
  context.strokeText(text, x, Math.max(y, 1.3 * height));
  context.fillStyle = "#fff";
  context.fillText(text, x, Math.max(y, 1.3 * height));
}

/** The color of a standard error relative to the size; null is one that is not known. */
function pointColor(error) {
  const share = error === null ? 0 : Math.min(Math.max((error - CERTAIN) / (UNCERTAIN - CERTAIN), 0), 1);
  const step = Math.min(Math.floor(share * (COLORS.length - 1)), COLORS.length - 2);
  const part = share * (COLORS.length - 1) - step;
  const mixed = COLORS[step].map((value, i) => Math.round(value + part * (COLORS[step + 1][i] - value)));
  return `rgb(${mixed.join(" ")})`;
}
