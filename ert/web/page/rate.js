/** Frames a second and the time that they take. */

const WINDOW_MILLISECONDS = 1000;
const TEXT_MILLISECONDS = 250;

export class Rate {
  #frames = [];
  #lastText = -Infinity;

  restart() {
    this.#frames = [];
    this.#lastText = -Infinity;
  }

  /**
   * Count a frame.
   * @param {number} begin in milliseconds
   * @param {number} milliseconds from reading the picture to painting it
   * @param {number} searching milliseconds of these for objects and their landmarks
   * @param {number} nObjects
   */
  add(begin, milliseconds, searching, nObjects) {
    this.#frames.push({ begin, milliseconds, searching, nObjects });
    while (begin - this.#frames[0].begin > WINDOW_MILLISECONDS) {
      this.#frames.shift();
    }
  }

  /** Of the last second: frames a second, median and longest time of a frame, mean time for an object. */
  figures() {
    const frames = this.#frames;
    const times = frames.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
    const span = frames.at(-1).begin - frames[0].begin;
    // Pictures in which an object is still searched for say nothing of the time for one.
    const searching = frames.reduce((total, frame) => total + (frame.nObjects ? frame.searching : 0), 0);
    const nObjects = frames.reduce((total, frame) => total + frame.nObjects, 0);
    return {
      framesPerSecond: span > 0 ? ((frames.length - 1) * 1000) / span : 0,
      median: times[Math.floor(times.length / 2)],
      longest: times.at(-1),
      perObject: nObjects ? searching / nObjects : NaN,
    };
  }

  /** The figures as text, four times a second; null in between. */
  text(what) {
    const now = this.#frames.at(-1).begin;
    if (now - this.#lastText < TEXT_MILLISECONDS) {
      return null;
    }
    this.#lastText = now;
    const { framesPerSecond, median, perObject } = this.figures();
    const each = Number.isNaN(perObject) ? "" : `, ${perObject.toFixed(1)} ms for each ${what}`;
    return `${framesPerSecond.toFixed(0)} frames a second, ${median.toFixed(1)} ms for a frame${each}`;
  }
}
