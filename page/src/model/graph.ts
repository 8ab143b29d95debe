/** Where the tasks of a graph are drawn: by dagre, or in plain layers where that would take too long. */
import { Graph, layout } from "@dagrejs/dagre";
import type { Dependency } from "./events";

export interface Place {
  id: string;
  x: number;
  y: number;
}

/** One dependency as an SVG path, with the rectangle that it lies in. */
export interface Edge extends Box {
  key: string;
  path: string;
}

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Drawing {
  places: Place[];
  edges: Edge[];
  width: number;
  height: number;
}

export const NODE = { width: 168, height: 44 };
const GAP = { rank: 56, node: 16 };
const MARGIN = 16;
/** Beyond this many tasks dagre takes seconds. */
export const DAGRE_MAX = 150;

export function draw(ids: readonly string[], dependencies: readonly Dependency[]): Drawing {
  const known = new Set(ids);
  const edges = dependencies.filter(([from, to]) => known.has(from) && known.has(to));
  return ids.length <= DAGRE_MAX ? byDagre(ids, edges) : inLayers(ids, edges);
}

function byDagre(ids: readonly string[], edges: readonly Dependency[]): Drawing {
  const graph = new Graph();
  graph.setGraph({
    rankdir: "LR", ranksep: GAP.rank, nodesep: GAP.node, marginx: MARGIN, marginy: MARGIN, ranker: "tight-tree",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of ids) graph.setNode(id, { ...NODE });
  for (const [from, to] of edges) graph.setEdge(from, to);
  layout(graph);
  const bends = edges.map(([from, to]) => (graph.edge(from, to) as { points: Point[] }).points.slice(1, -1));
  // dagre keeps only nodes within the drawing.
  const above = Math.min(MARGIN, ...bends.flat().map((point) => point.y)) - MARGIN;
  const places = ids.map((id) => {
    const node = graph.node(id) as Point;
    return { id, x: node.x - NODE.width / 2, y: node.y - NODE.height / 2 - above };
  });
  const at = new Map(places.map((place) => [place.id, place]));
  const paths = edges.map(([from, to], index) => {
    const points = bends[index]!.map(({ x, y }) => ({ x, y: y - above }));
    return edge(at.get(from)!, points, at.get(to)!);
  });
  const lowest = Math.max(0, ...bends.flat().map((point) => point.y - above));
  const whole = size(places);
  return { places, edges: paths, width: whole.width, height: Math.max(whole.height, lowest + MARGIN) };
}

/** Longest-path layers, ordered by the mean place of what each task depends on; linear in the graph. */
export function inLayers(ids: readonly string[], edges: readonly Dependency[]): Drawing {
  const before = new Map<string, string[]>(ids.map((id) => [id, []]));
  const after = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const [from, to] of edges) {
    before.get(to)!.push(from);
    after.get(from)!.push(to);
  }
  const layers = layersOf(ids, before, after);
  const row = new Map<string, number>();
  const places: Place[] = [];
  layers.forEach((layer, rank) => {
    const mean = (id: string): number => {
      const needs = before.get(id)!;
      return needs.length ? needs.reduce((sum, need) => sum + row.get(need)!, 0) / needs.length : 0;
    };
    const ordered = layer.map((id) => [mean(id), id] as const).sort((a, b) => a[0] - b[0]);
    ordered.forEach(([, id], index) => {
      row.set(id, index);
      const x = MARGIN + rank * (NODE.width + GAP.rank);
      places.push({ id, x, y: MARGIN + index * (NODE.height + GAP.node) });
    });
  });
  const at = new Map(places.map((place) => [place.id, place]));
  const paths = edges.map(([from, to]) => edge(at.get(from)!, [], at.get(to)!));
  return { places, edges: paths, ...size(places) };
}

function layersOf(
  ids: readonly string[], before: Map<string, string[]>, after: Map<string, string[]>,
): string[][] {
  const missing = new Map(ids.map((id) => [id, before.get(id)!.length]));
  const layers: string[][] = [];
  let layer = ids.filter((id) => missing.get(id) === 0);
  while (layer.length) {
    layers.push(layer);
    const next: string[] = [];
    for (const id of layer) {
      for (const follower of after.get(id)!) {
        const left = missing.get(follower)! - 1;
        missing.set(follower, left);
        if (left === 0) next.push(follower);
      }
    }
    layer = next;
  }
  return layers;
}

interface Point {
  x: number;
  y: number;
}

function edge(from: Place, bends: readonly Point[], to: Place): Edge {
  const points = [leaving(from), ...bends, entering(to)];
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  return {
    key: `${from.id}\n${to.id}`, path: through(points[0]!, points.slice(1)),
    left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys),
  };
}

/** Return what lies within a rectangle, if only in part, and the tasks that are wanted wherever they are. */
export function within({ places, edges }: Drawing, box: Box, wanted: ReadonlySet<string | null>): Pick<Drawing, "places" | "edges"> {
  const isIn = (each: Box): boolean =>
    each.right >= box.left && each.left <= box.right && each.bottom >= box.top && each.top <= box.bottom;
  return {
    places: places.filter(({ id, x, y }) =>
      wanted.has(id) || isIn({ left: x, top: y, right: x + NODE.width, bottom: y + NODE.height })),
    edges: edges.filter(isIn),
  };
}

function leaving(place: Place): Point {
  return { x: place.x + NODE.width, y: place.y + NODE.height / 2 };
}

function entering(place: Place): Point {
  return { x: place.x, y: place.y + NODE.height / 2 };
}

function through(from: Point, points: readonly Point[]): string {
  let path = `M${round(from.x)} ${round(from.y)}`;
  let last = from;
  for (const point of points) {
    const middle = round((last.x + point.x) / 2);
    path += `C${middle} ${round(last.y)} ${middle} ${round(point.y)} ${round(point.x)} ${round(point.y)}`;
    last = point;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function size(places: readonly Place[]): { width: number; height: number } {
  const width = places.reduce((most, place) => Math.max(most, place.x), 0) + NODE.width + MARGIN;
  const height = places.reduce((most, place) => Math.max(most, place.y), 0) + NODE.height + MARGIN;
  return { width, height };
}
