/** Two runs of the same tasks beside each other, as bars on one axis. */
import type { SimulatedRun, Spent } from "./insight";

/** From when to when (seconds) it waited and ran; null for what never happened. */
export interface Bar {
  wait: [number, number] | null;
  run: [number, number] | null;
}

export interface Pair {
  task: string;
  first: Bar;
  second: Bar;
}

const NEVER: Bar = { wait: null, run: null };

/** Return the tasks of two runs in the order in which they began, each where it really was. */
export function pairsOfRuns(first: SimulatedRun | null, second: SimulatedRun): Pair[] {
  const tasks = [...new Set([...Object.keys(first?.tasks ?? {}), ...Object.keys(second.tasks)])];
  const pairs = tasks.map((task) => ({ task, first: barOf(first, task), second: barOf(second, task) }));
  const begin = ({ first: one, second: other }: Pair): number =>
    Math.min(one.run?.[0] ?? Infinity, other.run?.[0] ?? Infinity);
  return pairs.filter((pair) => pair.first.run || pair.second.run).sort((a, b) => begin(a) - begin(b));
}

function barOf(run: SimulatedRun | null, id: string): Bar {
  const task = run?.tasks[id];
  if (!task || task.start_s === null || task.end_s === null) return NEVER;
  const from = Math.min(task.ready_s ?? task.start_s, task.start_s);
  return { wait: [from, task.start_s], run: [task.start_s, task.end_s] };
}

/** Return what each task took in both, from zero on; where it differs most comes first. */
export function pairsOfSpent(spent: readonly Spent[]): Pair[] {
  const pairs = spent.map((each) => ({
    task: each.task_id,
    first: spentBar(each.first_waited_s, each.first_ran_s),
    second: spentBar(each.second_waited_s, each.second_ran_s),
  }));
  return pairs.filter((pair) => pair.first.run || pair.second.run).sort((a, b) => difference(b) - difference(a));
}

function spentBar(waited: number | null, ran: number | null): Bar {
  if (ran === null) return NEVER;
  const from = Math.max(0, waited ?? 0);
  return { wait: [0, from], run: [from, from + ran] };
}

function difference(pair: Pair): number {
  return Math.abs(endOf(pair.first) - endOf(pair.second));
}

export function endOf(bar: Bar): number {
  return bar.run?.[1] ?? 0;
}

/** Return amounts that people wrote as `NAME=NUMBER`, parted by commas or blanks; or what is wrong with them. */
export function amountsOf(text: string): Record<string, number> | string {
  const found: Record<string, number> = {};
  for (const word of text.split(/[\s,]+/).filter(Boolean)) {
    const [, name, amount] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(word) ?? [];
    if (name === undefined || amount === undefined) return `“${word}” is not like name=2.`;
    found[name] = Number(amount);
  }
  return found;
}
