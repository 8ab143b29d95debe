/** Which task an arrow key leads to. */
import type { Place } from "./graph";

const WAYS: Record<string, [x: number, y: number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};
/** What lies aside counts as farther away. */
const ASIDE = 3;

export function nearest(places: readonly Place[], from: string, key: string): string | null {
  const way = WAYS[key];
  const here = places.find((place) => place.id === from);
  if (!way || !here) return null;
  let best: string | null = null;
  let least = Infinity;
  for (const place of places) {
    const [dx, dy] = [place.x - here.x, place.y - here.y];
    const ahead = dx * way[0] + dy * way[1];
    const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (ahead <= 0 || ahead + ASIDE * aside >= least) continue;
    least = ahead + ASIDE * aside;
    best = place.id;
  }
  return best;
}
