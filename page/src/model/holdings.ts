/** What the allocations of tasks hold: the pool grants what a definition declares, no more and no less, beside a slot. */
import type { TaskDefinition } from "./events";

/** Amounts by the name of what is held. */
export type Amounts = ReadonlyMap<string, number>;

const NAMES: Record<string, (amount: string, isOne: boolean) => string> = {
  cpu_cores: (amount, isOne) => `${amount} ${isOne ? "core" : "cores"}`,
  memory_mb: (amount) => `${amount} MiB memory`,
  disk_mb: (amount) => `${amount} MiB disk`,
  network_bandwidth_mbps: (amount) => `${amount} Mbit/s`,
  gpu_count: (amount, isOne) => `${amount} ${isOne ? "GPU" : "GPUs"}`,
  slots: (amount, isOne) => `${amount} ${isOne ? "slot" : "slots"}`,
};

/** Return what one attempt of a task holds beside its slot; places under the limits of keys are the pool's, and no worker's. */
export function amountsHeld(task: TaskDefinition | undefined): Amounts {
  const { custom_resources: custom = {}, ...ordinary } = task?.resources ?? {};
  return new Map(Object.entries({ ...ordinary, ...custom }).filter(([, amount]) => amount));
}

/** Return what several attempts hold together, with their slots. */
export function sumOf(all: readonly Amounts[]): Amounts {
  const sum = new Map([["slots", all.length]]);
  for (const each of all) for (const [name, amount] of each) sum.set(name, (sum.get(name) ?? 0) + amount);
  return sum;
}

/** Say what is held in words, what is under a name of its own last. */
export function heldInWords(amounts: Amounts): string {
  const known = Object.keys(NAMES).filter((name) => amounts.has(name));
  const own = [...amounts.keys()].filter((name) => !(name in NAMES)).sort();
  return [...known, ...own].map((name) => inWords(name, amounts.get(name)!)).join(", ");
}

function inWords(name: string, amount: number): string {
  const text = String(Math.round(amount * 100) / 100);
  return NAMES[name]?.(text, amount === 1) ?? `${text} ${name}`;
}
