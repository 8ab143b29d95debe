// Goal: what is said about time and resources is right: averages, outlines, pairs of bars; on small cases by hand.
import { expect, it } from "vitest";
import type { SimulatedRun } from "../src/model/insight";
import { amountsOf, pairsOfRuns, pairsOfSpent } from "../src/model/pairs";
import { averageOf, resourcesOf, steps } from "../src/model/usage";

const series = (capacity: number[], held: number[]) =>
  ({ capacity, held, most_capacity: Math.max(...capacity), most_held: Math.max(...held) });

it("a share is of what there was, and of nothing where there was nothing", () => {
  expect(averageOf(series([2, 4], [1, 2]))).toBe(0.5);
  expect(averageOf(series([0, 2], [0, 1]))).toBe(0.5);
  expect(averageOf(series([0, 0], [0, 0]))).toBeNull();
});

it("an outline has a step for each slice, and the most reaches the top", () => {
  expect(steps([0, 2, 1], 2, 30, 10)).toBe("M0 10V10.0H10.0V0.0H20.0V5.0H30.0V10Z");
  expect(steps([0], 0, 30, 10)).toBe("M0 10V10.0H30.0V10Z");
});

it("resources that were held come first, slots last", () => {
  const total = { slots: series([9], [9]), disk_mb: series([5], [0]), memory_mb: series([5], [1]), cpu_cores: series([5], [2]) };
  expect(resourcesOf(total)).toEqual(["cpu_cores", "memory_mb", "disk_mb", "slots"]);
});

it("two runs are paired by task, in the order in which anything began", () => {
  const run = (tasks: Record<string, [number | null, number, number]>): SimulatedRun => ({
    status: "succeeded", makespan_s: 9, lower_bound_s: 9, utilisation: {},
    tasks: Object.fromEntries(Object.entries(tasks).map(([id, [ready_s, start_s, end_s]]) =>
      [id, { status: "succeeded", ready_s, start_s, end_s, worker: "w" }])),
  });
  const pairs = pairsOfRuns(run({ a: [0, 1, 3], b: [3, 5, 6] }), run({ b: [null, 0.5, 2], c: [2, 2, 3] }));
  expect(pairs.map((pair) => pair.task)).toEqual(["b", "a", "c"]);
  expect(pairs[0]).toEqual({
    task: "b", first: { wait: [3, 5], run: [5, 6] }, second: { wait: [0.5, 0.5], run: [0.5, 2] },
  });
  expect(pairs[1]!.second).toEqual({ wait: null, run: null });
  expect(pairsOfRuns(null, run({ a: [0, 1, 3] })).map((pair) => pair.first.run)).toEqual([null]);
});

it("of two executions the task that differs most comes first, and what ran in neither is left out", () => {
  const spent = [
    { task_id: "same", first_waited_s: 0, second_waited_s: 0, first_ran_s: 2, second_ran_s: 2 },
    { task_id: "slower", first_waited_s: 1, second_waited_s: null, first_ran_s: 2, second_ran_s: 7 },
    { task_id: "never", first_waited_s: null, second_waited_s: null, first_ran_s: null, second_ran_s: null },
  ];
  expect(pairsOfSpent(spent).map((pair) => [pair.task, pair.first.run, pair.second.run])).toEqual([
    ["slower", [1, 3], [0, 7]], ["same", [0, 2], [0, 2]],
  ]);
});

it("amounts are names and numbers, and what is wrong is named", () => {
  expect(amountsOf("cpu_cores=8, memory_mb=0.5  a=b=1")).toEqual({ cpu_cores: 8, memory_mb: 0.5, "a=b": 1 });
  expect(amountsOf("  ")).toEqual({});
  expect(amountsOf("cpu_cores=-1")).toContain("cpu_cores=-1");
  expect(amountsOf("cpu_cores")).toContain("cpu_cores");
});
