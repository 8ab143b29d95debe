// Goal: what allocations hold is what their definitions declare, summed and said in words.
import { describe, expect, it } from "vitest";
import type { TalkaEvent } from "../src/model/events";
import { fold } from "../src/model/fold";
import { amountsHeld, heldInWords, sumOf } from "../src/model/holdings";

const task = (resources?: object) => ({ id: "a", agent_type: "sleep", ...(resources && { resources }) });

describe("an allocation", () => {
  it("holds what its task declares, custom resources under their own names", () => {
    const found = amountsHeld(task({ cpu_cores: 0.5, memory_mb: 512, gpu_count: 1, custom_resources: { licence: 2, tape: 0 } }));
    expect(heldInWords(found)).toBe("0.5 cores, 512 MiB memory, 1 GPU, 2 licence");
    expect(heldInWords(amountsHeld(task()))).toBe("");
    expect(heldInWords(amountsHeld(undefined))).toBe("");
  });

  it("is added to the others of its worker, with their slots", () => {
    const all = [task({ cpu_cores: 0.1 }), task({ cpu_cores: 0.2, disk_mb: 10 }), task()].map(amountsHeld);
    expect(heldInWords(sumOf(all))).toBe("0.3 cores, 10 MiB disk, 3 slots");
    expect(heldInWords(sumOf([amountsHeld(task())]))).toBe("1 slot");
  });

  it("is kept when its task has ended, until another has it or it is returned", () => {
    const what: [string, object][] = [
      ["AllocationKept", { allocation_id: "x/a/1", task_id: "a" }],
      ["AllocationKept", { allocation_id: "x/b/1", task_id: "b" }],
      ["AllocationHandedOn", { allocation_id: "x/a/1", from_task: "a", to_task: "c" }],
      ["AllocationReleased", { allocation_id: "x/b/1" }],
    ];
    const events = what.map(([type, more], index): TalkaEvent => ({ version: index + 1, at: index, type, cause: "", ...more }));
    const kept = events.map((_, index) => [...fold(events, index + 1, null).kept.values()]);
    expect(kept).toEqual([["a"], ["a", "b"], ["b"], []]);
  });
});
