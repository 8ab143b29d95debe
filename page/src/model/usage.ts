/** How much was held of what there was, as a number and as an outline to draw. */
import type { Series } from "./insight";

/** Return the share that was held on average, of what there was; null where there was nothing. */
export function averageOf(series: Series): number | null {
  const sum = (amounts: readonly number[]): number => amounts.reduce((all, each) => all + each, 0);
  const capacity = sum(series.capacity);
  return capacity ? sum(series.held) / capacity : null;
}

/** Return the outline of an area of steps, `width` by `height`, where `most` reaches the top. */
export function steps(amounts: readonly number[], most: number, width: number, height: number): string {
  const wide = width / Math.max(1, amounts.length);
  const y = (amount: number): string => (height - (most > 0 ? amount / most : 0) * height).toFixed(1);
  const path = amounts.map((amount, index) => `V${y(amount)}H${((index + 1) * wide).toFixed(1)}`).join("");
  return `M0 ${height}${path}V${height}Z`;
}

/** Resources that somebody can run out of come first, slots last. */
export function resourcesOf(total: Record<string, Series>): string[] {
  const held = (name: string): number => total[name]!.most_held;
  const order = (name: string): number => (name === "slots" ? 2 : held(name) > 0 ? 0 : 1);
  return Object.keys(total).sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
}
