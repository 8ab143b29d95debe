// Goal: what is drawn is right: spans, rows, lists, layouts, addresses, streams; on small cases by hand.
import { describe, expect, it } from "vitest";
import { nearest } from "../src/model/direction";
import type { Dependency, Execution, TalkaEvent } from "../src/model/events";
import { duration, ticks } from "../src/model/format";
import { DAGRE_MAX, NODE, draw, inLayers, within } from "../src/model/graph";
import { merge } from "../src/model/listing";
import { inSight, offsetsOf } from "../src/model/rows";
import { rowsByWorker, spansOf } from "../src/model/spans";
import { HOME, addressOf, parse } from "../src/router";
import { Parser } from "../src/stream";

let version = 0;
const event = (type: string, at: number, more: Partial<TalkaEvent> = {}): TalkaEvent =>
  ({ version: ++version, at, type, cause: "", task_id: "a", ...more });

describe("spans", () => {
  const events = [
    event("TaskReady", 1),
    event("TaskQueued", 2, { attempt: 1 }),
    event("TaskScheduled", 4, { attempt: 1, worker_id: "w" }),
    event("TaskStarted", 5.2, { attempt: 1, started_at: 5000 }),
    event("TaskRetrying", 8.3, { attempt: 1, finished_at: 8000 }),
    event("TaskReady", 9),
    event("TaskQueued", 9, { attempt: 2 }),
  ];

  it("are one after another, each from an instant that whoever knows best has told", () => {
    expect(spansOf(events).map((span) => [span.phase, span.attempt, span.worker, span.from, span.to])).toEqual([
      ["queue", 1, "", 1, 2], ["resource", 1, "", 2, 4], ["start", 1, "w", 4, 5], ["run", 1, "w", 5, 8],
      ["retry", 1, "", 8, 9], ["queue", 2, "", 9, 9], ["resource", 2, "", 9, null],
    ]);
  });

  it("lie above each other where a worker does two things at once", () => {
    const run = (task_id: string, from: number, to: number): TalkaEvent[] => [
      event("TaskScheduled", from, { task_id, worker_id: "w", attempt: 1 }),
      event("TaskStarted", from, { task_id, attempt: 1 }),
      event("TaskSucceeded", to, { task_id, attempt: 1 }),
    ];
    const all = [...run("a", 0, 4), ...run("b", 1, 3), ...run("c", 4, 5)];
    const [row] = rowsByWorker(spansOf(all));
    expect(row!.lanes).toBe(2);
    expect(row!.spans.map((span) => [span.task, row!.laneOf.get(span)])).toEqual([
      ["a", 0], ["a", 0], ["b", 1], ["b", 1], ["c", 0], ["c", 0],
    ]);
  });
});

describe("layouts", () => {
  const edges: Dependency[] = [["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"], ["a", "d"]];

  it.each([["dagre", draw], ["layers", inLayers]])("by %s go from left to right without overlaps", (_, layout) => {
    const { places, width, height } = layout(["a", "b", "c", "d"], edges);
    const at = Object.fromEntries(places.map((place) => [place.id, place]));
    for (const [from, to] of edges) expect(at[from]!.x + NODE.width).toBeLessThan(at[to]!.x);
    expect(Math.abs(at["b"]!.y - at["c"]!.y)).toBeGreaterThanOrEqual(NODE.height);
    for (const place of places) {
      expect(place.x).toBeGreaterThanOrEqual(0);
      expect(place.x + NODE.width).toBeLessThanOrEqual(width);
      expect(place.y + NODE.height).toBeLessThanOrEqual(height);
    }
  });

  it("place each of many tasks", () => {
    const ids = Array.from({ length: DAGRE_MAX + 1 }, (_, index) => `t${index}`);
    const chain = ids.slice(1).map((id, index): Dependency => [ids[index]!, id]);
    expect(new Set(draw(ids, chain).places.map((place) => place.x)).size).toBe(ids.length);
    expect(draw([], []).places).toEqual([]);
  });

  it("are drawn only where they are looked at, with what is wanted all the same", () => {
    const drawing = inLayers(["a", "b", "c", "d"], edges);
    const { x, y } = drawing.places.find((place) => place.id === "d")!;
    const found = within(drawing, { left: x - 1, top: y - 1, right: x + 1, bottom: y + 1 }, new Set(["a", null]));
    expect(found.places.map((place) => place.id)).toEqual(["a", "d"]);
    expect(found.edges.map((edge) => edge.key)).toEqual([]);
    const between = within(drawing, { left: x - 20, top: y + 20, right: x - 10, bottom: y + 25 }, new Set());
    expect(between.edges.map((edge) => edge.key)).toEqual(["b\nd", "c\nd", "a\nd"]);
  });

  it("let arrow keys find what is next", () => {
    const { places } = inLayers(["a", "b", "c", "d"], edges);
    expect(["ArrowRight", "ArrowLeft", "ArrowUp"].map((key) => nearest(places, "a", key))).toEqual(["b", null, null]);
    expect(nearest(places, "b", "ArrowDown")).toBe("c");
  });
});

describe("lists", () => {
  it("draw only what is in sight, and a little more", () => {
    const offsets = offsetsOf(Array.from({ length: 1000 }, () => 30));
    expect(inSight(offsets, 3000, 300, 2)).toEqual([98, 113]);
    expect(inSight(offsets, 0, 300, 2)).toEqual([0, 13]);
    expect(inSight(offsetsOf([]), 0, 300)).toEqual([0, 0]);
  });

  it("take in what changed, newest first, and lose what matches no more", () => {
    const one = (id: string, version: number, status: string, at: number): Execution =>
      ({ execution_id: id, name: id, version, status, accepted_at: at }) as Execution;
    const listed = [one("b", 5, "running", 2), one("a", 9, "running", 1)];
    const changes = new Map([["a", one("a", 8, "failed", 1)], ["b", one("b", 6, "failed", 2)], ["c", one("c", 1, "running", 3)]]);
    const ids = (status: string, search = ""): string[] =>
      merge(listed, changes, { status, search }).map((each) => `${each.execution_id}${each.version}`);
    expect(ids("")).toEqual(["c1", "b6", "a9"]);
    expect(ids("running")).toEqual(["c1", "a9"]);
    expect(ids("", "B")).toEqual(["b6"]);
  });
});

it("addresses lead to where they came from", () => {
  const route = { ...HOME, execution: "x y/z", tab: "what-if", task: "a&b", at: 7, other: "y" } as const;
  const address = new URL(addressOf(route), "http://page");
  expect(parse(address.pathname, address.search)).toEqual(route);
  expect(parse("/executions/x/nothing", "?at=-1")).toEqual({ ...HOME, execution: "x" });
  expect(parse("/alerts", "").page).toBe("alerts");
  expect(addressOf({ ...HOME, page: "pools" })).toBe("/pools");
});

it("a stream may come in any pieces", () => {
  const text = ': heartbeat\n\nid: 1\nevent: TaskReady\ndata: {"a": "b: c"}\n\nid: 2\nevent: over\ndata: {}\n\n';
  for (let size = 1; size <= text.length; size++) {
    const parser = new Parser();
    const found = [];
    for (let place = 0; place < text.length; place += size) found.push(...parser.push(text.slice(place, place + size)));
    expect(found).toEqual([
      { id: "1", event: "TaskReady", data: '{"a": "b: c"}' }, { id: "2", event: "over", data: "{}" },
    ]);
  }
});

it("durations and axes are round", () => {
  expect([0, 0.0421, 3.21, 59.97, 75, 3700, 200000].map(duration)).toEqual(
    ["0 ms", "42 ms", "3.2 s", "1 min 0 s", "1 min 15 s", "1 h 1 min", "2 d 7 h"]);
  expect(ticks(10, 5)).toEqual([0, 2, 4, 6, 8, 10]);
});
