/** Which rows of a long list are in sight. */

/** Return the tops of rows with these heights, and the bottom of the last. */
export function offsetsOf(heights: readonly number[]): number[] {
  const offsets = [0];
  for (const height of heights) offsets.push(offsets[offsets.length - 1]! + height);
  return offsets;
}

/** Return the first row in sight and the one after the last, with a few more at both ends. */
export function inSight(offsets: readonly number[], top: number, height: number, more = 6): [number, number] {
  const count = offsets.length - 1;
  const first = indexAt(offsets, top);
  const last = indexAt(offsets, top + height);
  return [Math.max(0, first - more), Math.min(count, last + 1 + more)];
}

function indexAt(offsets: readonly number[], place: number): number {
  let [low, high] = [0, offsets.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (offsets[middle]! <= place) low = middle;
    else high = middle - 1;
  }
  return low;
}
