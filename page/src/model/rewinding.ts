/** What a rollback would do, for people. */
import type { RollbackPlan } from "./events";

/** So many tasks are named; of more there is a number. */
const NAMED = 8;

export function consequences(plan: RollbackPlan): [what: string, tasks: string][] {
  const all: [string, readonly string[]][] = [
    ["Cancelled", plan.cancelled],
    ["Undone, in this order", plan.compensated],
    ["Cannot be undone", plan.irreversible],
    ["Sub-workflows undone", plan.children.map((child) => child.task_id)],
    ["Run again", plan.again],
    ["Removed", plan.removed],
    ["Stay paused", plan.paused],
    ["Kept", plan.kept],
  ];
  return all.filter(([, tasks]) => tasks.length).map(([what, tasks]) => [what, named(tasks)]);
}

function named(tasks: readonly string[]): string {
  const more = tasks.length - NAMED;
  return tasks.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
