// Goal: a rollback's plan names what it touches, and only that.
import { expect, it } from "vitest";
import { consequences } from "../src/model/rewinding";

const NOTHING = { to: 3, cancelled: [], compensated: [], kept: [], again: [], removed: [], irreversible: [], children: [], paused: [] };

it("says what a rollback does, in the order in which it matters", () => {
  const plan = { ...NOTHING, kept: ["a"], again: Array.from({ length: 10 }, (_, index) => `t${index}`), irreversible: ["mail"] };
  expect(consequences(plan)).toEqual([
    ["Cannot be undone", "mail"],
    ["Run again", "t0, t1, t2, t3, t4, t5, t6, t7 and 2 more"],
    ["Kept", "a"],
  ]);
  expect(consequences(NOTHING)).toEqual([]);
});
