// Searches in steps of some milliseconds, as generators: of a video, a search is spread over several frames.

/**
 * Take all steps of a search, and return what it finds.
 *
 * @template T
 * @param {Generator<void, T, any>} steps
 * @returns {T}
 */
export function lastOf(steps) {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}
