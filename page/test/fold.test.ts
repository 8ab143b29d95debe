// Goal: the page's fold gives every task and every execution the status that the scheduler's fold gives it,
// after every event of every golden history.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import type { TalkaEvent } from "../src/model/events";
import { evolve, fold, initial } from "../src/model/fold";

interface Recorded {
  id: string;
  events: TalkaEvent[];
  steps: { execution: string | null; tasks: Record<string, string> }[];
}

const FOLDER = new URL("./histories/", import.meta.url);
const NAMES = readdirSync(FOLDER);
const read = (name: string): Recorded[] => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));

describe("the fold", () => {
  it("has histories to be held against", () => expect(NAMES.length).toBeGreaterThan(30));

  test.each(NAMES)("agrees with the scheduler's on %s", (name) => {
    for (const { events, steps } of read(name)) {
      const state = initial();
      const tasks = new Map<string, string>();
      let status = "accepted";
      events.forEach((event, index) => {
        evolve(state, event, null);
        const step = steps[index]!;
        status = step.execution ?? status;
        for (const [id, after] of Object.entries(step.tasks)) after ? tasks.set(id, after) : tasks.delete(id);
        const found = new Map([...state.tasks.values()].map((task) => [task.id, task.status]));
        expect([event.version, state.status, sorted(found)]).toEqual([event.version, status, sorted(tasks)]);
      });
    }
  });

  it("gives the same forwards, backwards and from anywhere", () => {
    for (const { events } of NAMES.flatMap(read)) {
      const whole = fold(events, events.length, null);
      for (let count = events.length; count >= 0; count -= 7) {
        const there = structuredClone(fold(events, count, null));
        expect(there.version).toBe(count);
        expect(fold(events, events.length, null, there)).toEqual(whole);
      }
      const few = Math.min(3, events.length);
      expect(fold(events, few, null, whole)).toEqual(fold(events, few, null));
    }
  });
});

function sorted(statuses: Map<string, string>): [string, string][] {
  return [...statuses].sort(([a], [b]) => (a < b ? -1 : 1));
}
