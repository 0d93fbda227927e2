/** A chart of the error against the number of annotated photos. */
import { drawing, short } from "./elements.js";

const WIDTH = 320;
const HEIGHT = 190;
const FRAME = { left: 44, right: 10, top: 10, bottom: 38 };

/**
 * Round numbers from 0 to at least `high`.
 * @param {number} high
 * @param {number} [most] steps at most
 * @returns {number[]}
 */
export function ticks(high, most = 5) {
  if (!(high > 0)) return [0, 1];
  const size = 10 ** Math.floor(Math.log10(high / most));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((each) => high / each <= most * (1 + 1e-9));
  const n = Math.ceil(high / step - 1e-9);
  return Array.from({ length: n + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** One error in words. */
export function errorText({ n_photos: n, error, low, high, unit }) {
  return `${n} photos: ${short(error)} ${unit} (95 % interval ${short(low)} to ${short(high)})`;
}

/**
 * @param {{n_photos: number, error: number, low: number, high: number, unit: string}[]} errors
 * @returns {SVGElement}
 */
export function errorChart(errors) {
  const unit = errors[0].unit;
  const label = `Error on photos that the model has not seen, against annotated photos. ${errorText(errors.at(-1))}`;
  const svg = drawing("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  const xTicks = ticks(Math.max(...errors.map((each) => each.n_photos))).filter(Number.isInteger);
  const yTicks = ticks(Math.max(...errors.map((each) => Math.max(each.error, each.high ?? 0))));
  const x = scale(xTicks.at(-1), FRAME.left, WIDTH - FRAME.right);
  const y = scale(yTicks.at(-1), HEIGHT - FRAME.bottom, FRAME.top);
  drawAxes(svg, xTicks, yTicks, x, y);
  const text = (attributes, words) => svg.append(drawing("text", attributes, words));
  text({ x: (FRAME.left + WIDTH - FRAME.right) / 2, y: HEIGHT - 5, class: "middle" }, "annotated photos");
  const middle = (FRAME.top + HEIGHT - FRAME.bottom) / 2;
  text({ x: 11, y: middle, class: "middle", transform: `rotate(-90 11 ${middle})` }, `error (${unit})`);
  svg.append(drawing("polyline", { points: errors.map((e) => `${x(e.n_photos)},${y(e.error)}`).join(" ") }));
  for (const each of errors) svg.append(drawError(each, x, y));
  return svg;
}

const scale = (high, from, to) => (value) => Number((from + (value / high) * (to - from)).toFixed(1));

function drawAxes(svg, xTicks, yTicks, x, y) {
  const [left, right] = [FRAME.left, WIDTH - FRAME.right];
  const bottom = HEIGHT - FRAME.bottom;
  for (const value of yTicks) {
    svg.append(drawing("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    svg.append(drawing("text", { x: left - 5, y: y(value) + 4, class: "end" }, String(value)));
  }
  for (const value of xTicks) {
    svg.append(drawing("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 }));
    svg.append(drawing("text", { x: x(value), y: bottom + 16, class: "middle" }, String(value)));
  }
  svg.append(drawing("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
}

function drawError(each, x, y) {
  const at = x(each.n_photos);
  const [low, high] = [y(Math.max(0, each.low ?? each.error)), y(each.high ?? each.error)];
  const interval = `M${at - 3} ${low}h6M${at} ${low}V${high}M${at - 3} ${high}h6`;
  return drawing("g", {}, drawing("title", {}, errorText(each)), drawing("path", { d: interval }),
    drawing("circle", { cx: at, cy: y(each.error), r: 3 }));
}
